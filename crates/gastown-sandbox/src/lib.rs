//! Client of the API inside a sandbox: health, rigs, sync.

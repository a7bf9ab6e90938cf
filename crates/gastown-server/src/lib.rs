//! The control plane of Gastown Cloud: the binary that wires every crate together.

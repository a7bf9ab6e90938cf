//! The thin HTTP adapter: the tRPC wire protocol, who asks, health probes.

//! tokio and the host.

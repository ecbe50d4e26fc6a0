//! What operators see of a server: health endpoints, Prometheus metrics, the access log, and which drives hang.

pub mod drives;
pub mod health;
pub mod prometheus;
pub mod requests;

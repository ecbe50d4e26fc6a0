//! Monitoring of a server: health endpoints, Prometheus metrics, the access log, and drives that hang.

pub mod drives;
pub mod health;
pub mod prometheus;
pub mod requests;

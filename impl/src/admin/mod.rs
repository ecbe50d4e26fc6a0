//! The admin API: what it tells of a store, its HTTP side, and a client for it.

pub mod client;
mod handler;
mod info;

pub use handler::{API, AdminApi, is_own, respond_error};
pub use info::{Backend, Count, Drive, INFO_PATH, Info, Mode, Server, VERSION, info};

//! The entrance of other nodes, beside the clients' on the same port.

use crate::{
    http::SideEntrance,
    peer::{ALPN, Entrance},
    runtime::{BoxFuture, Stream},
};
use std::{net::SocketAddr, sync::Arc};

/// Connections of other nodes.
pub(super) struct Peers(pub Arc<Entrance>);

impl SideEntrance for Peers {
    fn takes_plain(&self, first: u8) -> bool {
        self.0.takes_plain(first)
    }

    fn takes_protocol(&self, alpn: &[u8]) -> bool {
        alpn == ALPN
    }

    fn serve(&self, stream: Box<dyn Stream>, from: SocketAddr) -> BoxFuture<()> {
        Box::pin(self.0.clone().serve(stream, from))
    }
}

//! The certificates that are served now, and which of them a client gets.

use super::pair::Pair;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::{Arc, PoisonError, RwLock};

/// Certificates, the default first.
#[derive(Debug)]
pub(super) struct Serving(RwLock<Vec<Pair>>);

impl Serving {
    pub fn new(pairs: Vec<Pair>) -> Serving {
        Serving(RwLock::new(pairs))
    }

    /// Returns the current pairs.
    pub fn pairs(&self) -> Vec<Pair> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves these from now on; connections that are open stay as they are.
    pub fn replace(&self, pairs: Vec<Pair>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pairs;
    }

    /// The certificate for a client that asks for `name`, the default if none is for it.
    pub fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let named = name.and_then(|name| pairs.iter().find(|pair| pair.is_for(name)));
        Some(named.or(pairs.first())?.key.clone())
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

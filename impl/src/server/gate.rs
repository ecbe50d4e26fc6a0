//! What stands in front of a server's requests until its drives are open: it answers that the server is starting.

use super::router::{Router, closing, complete, request_id};
use crate::{
    admin,
    api::{ApiError, Code},
    http::{Body, Handler, Incoming, Outgoing, Peer},
    monitor::{
        health,
        requests::{Class, Observed, Observer, RequestInfo, Tracker},
    },
    store::Store,
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use std::sync::{Arc, OnceLock};

const STARTING: &str = "The server is starting; try again.";

/// Store of a server, which it gets once its drives are open.
#[derive(Clone, Debug, Default)]
pub struct StoreSlot(Arc<OnceLock<Arc<Store>>>);

impl StoreSlot {
    /// Lets the server serve a store from now on. Only the first one counts.
    pub fn set(&self, store: Arc<Store>) {
        self.0.set(store).ok();
    }

    /// Returns the store, once it is there.
    #[must_use]
    pub fn get(&self) -> Option<&Arc<Store>> {
        self.0.get()
    }
}

impl From<Arc<Store>> for StoreSlot {
    fn from(store: Arc<Store>) -> StoreSlot {
        StoreSlot(Arc::new(OnceLock::from(store)))
    }
}

/// Handles the requests of a server that may still be starting. Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate {
    pub store: StoreSlot,
    pub observer: Observer,
    /// Makes the router of an open server.
    pub open: Arc<dyn Fn(Arc<Store>) -> Router + Send + Sync>,
    pub router: Arc<OnceLock<Router>>,
}

impl Handler for Gate {
    type Body = Observed<Outgoing>;

    async fn handle(self, request: Request<Incoming>, peer: Peer) -> Response<Observed<Outgoing>> {
        if let Some(store) = self.store.get() {
            let router = self.router.get_or_init(|| (self.open)(store.clone())).clone();
            return router.handle(request, peer).await;
        }
        let rt = &self.observer.rt;
        let info = Arc::new(RequestInfo {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            request_id: request_id(rt),
        });
        let tracker = Tracker::begin(&self.observer, &info, peer.address, Class::Probe);
        let health = health::answer_starting(&request);
        let answer = health.unwrap_or_else(|| match admin::is_own(&info.path) {
            true => admin::respond_error(&ApiError::new(Code::ServiceUnavailable, STARTING), &info),
            false => starting(&info),
        });
        let mut response = closing(&request, answer);
        complete(&mut response, &info);
        let stream = Some((peer.streams, peer.open));
        tracker.answer(response.map(|body| Outgoing::new(rt, body, None, stream)))
    }
}

/// The answer to everything that needs a store: clients try again after a 503.
fn starting(info: &RequestInfo) -> Response<Body> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>XMinioServerNotInitialized</Code>\
         <Message>{STARTING}</Message><RequestId>{}</RequestId></Error>",
        info.request_id
    );
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let content_type = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

//! What a node has to another one that it asks: a control connection that is dialled again whenever it ends, and a
//! pool of bulk connections that are dialled on demand.

use super::{
    CallError, ConnectionError, HandshakeError, Lost, NotSent, Security, Traffic,
    ask::{Calls, Receiver},
    frame::Payload,
    greet::{self, Identity, Use},
    handshake::Introduction,
    pump::{Wire, pump},
};
use crate::runtime::{self, BoxFuture, Mutant, Rt, Task, spawn};
use bytes::Bytes;
use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Longest time of dialling and introducing.
const DIAL_MAX: Duration = Duration::from_secs(5);
/// Pauses between attempts to dial: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Bulk connections to one node.
pub const BULK_MAX: usize = 32;
/// Time after which a bulk connection without a call ends.
const BULK_IDLE_MAX: Duration = Duration::from_secs(60);

/// Returns the addresses of a node as they are now: its name is resolved for each attempt.
pub type Resolve = Arc<dyn Fn() -> BoxFuture<io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Which node a [`Link`] is to, and how it is reached.
#[derive(Clone)]
pub struct LinkConfig {
    /// How this node introduces itself.
    pub introduction: Introduction,
    /// Fingerprint of the deployment that this node's drives are of. Without one the link is for the questions of a
    /// start.
    pub deployment: Option<u128>,
    /// Index of the node that is asked.
    pub to: u16,
    /// Its name, for the log.
    pub name: String,
    /// Its name, which its certificate has to be for.
    pub host: String,
    /// Its addresses.
    pub resolve: Resolve,
    /// The sessions below.
    pub security: Security,
    /// Random number of this process.
    pub boot: u64,
}

/// Connections to another node, which this one asks.
pub struct Link {
    inner: Arc<Inner>,
    task: Arc<dyn Task>,
}

struct Inner {
    rt: Rt,
    config: LinkConfig,
    control: Mutex<Control>,
    /// Bulk connections that nobody uses, the last used last.
    idle: Mutex<Vec<Connection>>,
    bulk: Semaphore,
    /// Held while a bulk connection is dialled: one after the other, since a peer has few places for connections that
    /// have yet to prove themselves.
    dialling: tokio::sync::Mutex<()>,
    traffic: Arc<Traffic>,
    /// Differences of settings that were logged.
    told: Mutex<String>,
}

/// State of the control connection.
enum Control {
    Connected(Connection),
    Unreachable(Arc<str>),
}

/// A connection that is served by a task of its own until it is dropped, or ends by itself.
struct Connection {
    calls: Arc<Calls>,
    /// Process of the peer.
    boot: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.calls.close();
    }
}

impl Link {
    /// Begins to dial, and keeps the control connection for as long as the link lives.
    #[must_use]
    pub fn start(rt: &Rt, config: LinkConfig) -> Link {
        let inner = Arc::new(Inner {
            rt: rt.clone(),
            config,
            control: Mutex::new(Control::Unreachable("not connected yet".into())),
            idle: Mutex::default(),
            bulk: Semaphore::new(BULK_MAX),
            dialling: tokio::sync::Mutex::default(),
            traffic: Arc::default(),
            told: Mutex::default(),
        });
        let task = spawn(rt, "peer", inner.clone().keep_connected());
        Link { inner, task }
    }

    /// Makes a small call: it is handed over before this returns, behind those made before it (`peer.order`). Its
    /// answer comes within `wait` (`peer.deadline`). Dropping the answer takes nothing back.
    pub fn call(
        &self,
        service: u16,
        payload: impl Into<Payload>,
        wait: Duration,
    ) -> BoxFuture<Result<Bytes, CallError>> {
        let payload = payload.into();
        let repeats = self.inner.config.introduction.mutation.is(Mutant::CallRepeated);
        let again = repeats.then(|| (self.inner.clone(), payload.clone()));
        let handed_over = self.inner.hand_over(service, payload, wait);
        Box::pin(async move {
            let answer = answer_of(handed_over?).await;
            if let Some((inner, payload)) = again
                && let Err(CallError::Unknown(Lost::Connection(_))) = answer
            {
                inner.rt.sleep(PAUSE_MAX).await;
                return answer_of(inner.hand_over(service, payload, wait)?).await;
            }
            answer
        })
    }

    /// Makes a large call on a connection of its own, once one of [`BULK_MAX`] is free. Its answer comes within `wait`.
    pub async fn call_bulk(
        &self,
        service: u16,
        payload: impl Into<Payload>,
        wait: Duration,
    ) -> Result<Bytes, CallError> {
        let inner = &self.inner;
        let deadline = inner.rt.mono() + wait;
        let borrowed = runtime::timeout(&inner.rt, wait, inner.borrow()).await;
        let (_permit, connection) = borrowed.unwrap_or(Err(CallError::NotSent(NotSent::Busy)))?;
        let now = inner.rt.mono();
        let called = connection
            .calls
            .call(now, service, payload.into(), deadline.saturating_sub(now));
        let answer = match called {
            Ok(receiver) => answer_of(receiver).await,
            Err(error) => Err(error),
        };
        // One with a call that has no answer yet would make the next call wait for it.
        if !matches!(answer, Err(CallError::Unknown(_))) {
            inner.idle().push(connection);
        }
        answer
    }

    /// Returns the process of the peer that the control connection is to, if there is one.
    #[must_use]
    pub fn boot(&self) -> Option<u64> {
        self.inner.boot()
    }

    /// Returns why there is no control connection, if there is none.
    #[must_use]
    pub fn unreachable(&self) -> Option<Arc<str>> {
        self.inner.unreachable()
    }

    /// Returns since when nothing has come from the peer although it owes an answer on the control connection, by
    /// this node's monotonic clock.
    #[must_use]
    pub fn silent_since(&self) -> Option<Duration> {
        match &*self.inner.control() {
            Control::Connected(connection) => connection.calls.silent_since(),
            Control::Unreachable(_) => None,
        }
    }

    /// Returns what was sent and received on all connections of the link.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.inner.traffic
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        *self.inner.control() = Control::Unreachable("closed".into());
        self.inner.idle().clear();
    }
}

/// Waits for the answer of a call that was handed over.
async fn answer_of(receiver: Receiver) -> Result<Bytes, CallError> {
    let ended = || CallError::Unknown(Lost::Connection("the connection has ended".into()));
    receiver.await.unwrap_or_else(|_| Err(ended()))
}

impl Inner {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, service: u16, payload: Payload, wait: Duration) -> Result<Receiver, CallError> {
        match &*self.control() {
            Control::Connected(connection) => connection.calls.call(self.rt.mono(), service, payload, wait),
            Control::Unreachable(reason) => Err(CallError::NotSent(NotSent::Unreachable(reason.clone()))),
        }
    }

    fn unreachable(&self) -> Option<Arc<str>> {
        match &*self.control() {
            Control::Connected(_) => None,
            Control::Unreachable(reason) => Some(reason.clone()),
        }
    }

    /// # Errors
    /// There is no control connection.
    fn check_reachable(&self) -> Result<(), CallError> {
        let unreachable = |reason| Err(CallError::NotSent(NotSent::Unreachable(reason)));
        self.unreachable().map_or(Ok(()), unreachable)
    }

    /// Process of the peer that answers on the control connection.
    fn boot(&self) -> Option<u64> {
        match &*self.control() {
            Control::Connected(connection) => Some(connection.boot),
            Control::Unreachable(_) => None,
        }
    }

    /// A free bulk connection to the process that the control connection is to, and the permit to use it.
    async fn borrow(&self) -> Result<(tokio::sync::SemaphorePermit<'_>, Connection), CallError> {
        let closed = |_| CallError::NotSent(NotSent::Busy);
        self.check_reachable()?;
        let permit = self.bulk.acquire().await.map_err(closed)?;
        if let Some(connection) = self.take_idle(self.boot()) {
            return Ok((permit, connection));
        }
        let _turn = self.dialling.lock().await;
        // One may have become free meanwhile.
        if let Some(connection) = self.take_idle(self.boot()) {
            return Ok((permit, connection));
        }
        self.check_reachable()?;
        match self.dial(Use::Bulk).await {
            Ok((wire, connection)) => {
                let (rt, calls) = (self.rt.clone(), connection.calls.clone());
                spawn(&self.rt, "peer bulk", async move {
                    let ended = pump(&rt, wire, &mut &*calls).await;
                    calls.end(&ended);
                });
                Ok((permit, connection))
            }
            Err(error) => Err(CallError::NotSent(NotSent::Unreachable(error.to_string().into()))),
        }
    }

    /// A bulk connection that nobody uses, to this process of the peer. Those to others are dropped.
    fn take_idle(&self, boot: Option<u64>) -> Option<Connection> {
        let is_good = |connection: &Connection| !connection.calls.is_ending() && Some(connection.boot) == boot;
        let mut idle = self.idle();
        while let Some(connection) = idle.pop() {
            if is_good(&connection) {
                return Some(connection);
            }
        }
        None
    }

    /// Dials the peer at one of its addresses after the other, and introduces this node.
    async fn dial(&self, used_for: Use) -> Result<(Wire, Connection), ConnectionError> {
        let resolved = runtime::timeout(&self.rt, DIAL_MAX, (self.config.resolve)()).await;
        let addresses = resolved.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address").into();
        for address in addresses {
            let dialled = runtime::timeout(&self.rt, DIAL_MAX, self.dial_at(address, used_for)).await;
            match dialled.unwrap_or(Err(ConnectionError::Slow(DIAL_MAX.as_secs()))) {
                Ok(dialled) => return Ok(dialled),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn dial_at(&self, address: SocketAddr, used_for: Use) -> Result<(Wire, Connection), ConnectionError> {
        let config = &self.config;
        let stream = self.rt.connect(address).await?;
        let session = config.security.connect(&config.host, stream).await?;
        let identity = Identity::of(&config.introduction, config.deployment, config.boot, used_for);
        let introduction = config.introduction.clone();
        let (greeting, _, theirs) = greet::dial(&self.rt, session, introduction, config.to, identity.clone()).await?;
        if used_for != Use::Bulk {
            self.tell_differences(&identity, &theirs);
        }
        let idle_max = (used_for == Use::Bulk).then_some(BULK_IDLE_MAX);
        let calls = Calls::new(self.rt.mono(), idle_max, config.introduction.mutation);
        let wire = Wire {
            stream: greeting.stream,
            decoder: greeting.decoder,
            traffic: self.traffic.clone(),
            pings: true,
        };
        let connection = Connection {
            calls: Arc::new(calls),
            boot: theirs.boot,
        };
        Ok((wire, connection))
    }

    /// Logs the settings that may differ and do, once for each change.
    fn tell_differences(&self, ours: &Identity, theirs: &Identity) {
        let host = &self.config.name;
        let differences: Vec<_> = ours.differences(theirs).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = format!("{differences:?}");
        if *told != now && !(told.is_empty() && differences.is_empty()) {
            for (setting, here, there) in differences {
                tracing::warn!(
                    node = self.config.to,
                    host,
                    setting,
                    here,
                    there,
                    "a node is set up differently"
                );
            }
            *told = now;
        }
    }

    /// Keeps the control connection: dials whenever there is none. Logs each change once.
    async fn keep_connected(self: Arc<Self>) {
        let (to, host) = (self.config.to, self.config.name.clone());
        let mut pause = PAUSE_MIN;
        let mut told = String::new();
        loop {
            let used_for = match self.config.deployment {
                Some(_) => Use::Control,
                None => Use::Start,
            };
            let dialled = self.dial(used_for).await;
            let was_reached = dialled.is_ok();
            let ended = match dialled {
                Ok((wire, connection)) => {
                    if used_for == Use::Control {
                        tracing::info!(node = to, host, "connected to a node");
                    }
                    let began = self.rt.mono();
                    let calls = connection.calls.clone();
                    *self.control() = Control::Connected(connection);
                    let ended = pump(&self.rt, wire, &mut &*calls).await;
                    *self.control() = Control::Unreachable(ended.to_string().into());
                    calls.end(&ended);
                    // One that ends at once, again and again, is dialled no more often than one that does not begin.
                    if self.rt.mono().saturating_sub(began) >= PAUSE_MAX {
                        pause = PAUSE_MIN;
                        told.clear();
                    }
                    ended
                }
                Err(error) => {
                    *self.control() = Control::Unreachable(error.to_string().into());
                    error
                }
            };
            // It will be there soon.
            let is_starting = matches!(ended, ConnectionError::Handshake(HandshakeError::Starting));
            let reason = ended.to_string();
            // A start says itself for whom it waits, and why.
            if told != reason && self.config.deployment.is_some() && !is_starting {
                tracing::warn!(node = to, host, reason, "not connected to a node; it is dialled again");
                told = reason;
            }
            let is_back = match was_reached {
                // Not at once if it dials: two nodes whose connections end at once would wake each other.
                true => {
                    self.rt.sleep(pause).await;
                    false
                }
                false => {
                    let heard = self.config.introduction.heard.from(to);
                    runtime::timeout(&self.rt, pause, heard).await.is_some()
                }
            };
            pause = match is_starting || is_back {
                true => PAUSE_MIN,
                false => (pause * 2).min(PAUSE_MAX),
            };
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link(to node {})", self.inner.config.to)
    }
}

//! What a node has for those that dial it: places for connections that have yet to prove themselves, and the
//! connections of proven peers.

use super::{
    HandshakeError, Security, Traffic,
    answer::{Answering, Caller, Service},
    greet::{self, Greeting, Identity, Use},
    handshake::{Agreed, Introduction},
    link::BULK_MAX,
    pump::{Wire, pump},
};
use crate::runtime::{self, BoxFuture, Mutant, Mutation, Rt, Stream, spawn};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// Connections that have yet to prove themselves: in all, and from one address. A node dials two at once (see `link`),
/// and all nodes may have one address.
const UNPROVEN_MAX: usize = 64;
const UNPROVEN_OF_ADDRESS_MIN: usize = 8;
/// Time in which a connection has to prove itself.
const PROOF_MAX: Duration = Duration::from_secs(3);
/// Time without a control connection after which a process of a peer counts as ended.
const ABSENCE_MAX: Duration = Duration::from_secs(60);
/// Bulk connections of a process. It uses half as many; one that it has given up may end a little later here.
const BULK_KEPT_MAX: usize = 2 * BULK_MAX;
/// Time after which the connections of a process that was replaced have ended.
const NOTICED_AFTER: Duration = Duration::from_secs(1);
/// Time in which a peer has to take the goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// First byte of a TLS client.
const TLS_HANDSHAKE: u8 = 0x16;
/// Interval of log lines about the failed proofs of an address, and addresses whose lines are remembered.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
const LOGGED_MAX: usize = 256;

/// Takes the connections of peers, and answers their calls.
pub struct Entrance {
    rt: Rt,
    introduction: Introduction,
    security: Security,
    boot: u64,
    /// Answers the questions of starts.
    start: Option<Arc<dyn Service>>,
    /// Fingerprint of the deployment that this node's drives are of, and who answers for them; once they are open.
    drives: OnceLock<(u128, Arc<dyn Service>)>,
    state: Mutex<State>,
    /// Wakes all connections when this node stops. A `watch` channel would wake them in an order that no seed decides.
    stops: Notify,
    traffic: Arc<Traffic>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    last_id: u64,
    unproven: BTreeMap<u64, Place>,
    peers: BTreeMap<u16, Connections>,
    /// Addresses whose failed proofs were logged, and when.
    logged: BTreeMap<IpAddr, Duration>,
}

/// Place of a connection: it ends when this is dropped.
struct Place {
    address: IpAddr,
    _end: oneshot::Sender<()>,
}

/// Connections of a proven process.
#[derive(Default)]
struct Connections {
    boot: u64,
    control: Option<(u64, oneshot::Sender<()>)>,
    /// Number of the last control connection, also once it has ended.
    last_control: u64,
    bulk: BTreeMap<u64, oneshot::Sender<()>>,
    start: Option<(u64, oneshot::Sender<()>)>,
}

impl Entrance {
    /// An entrance for questions of starts, which `start` answers. The drives follow with [`Entrance::open`].
    #[must_use]
    pub fn new(
        rt: &Rt,
        introduction: Introduction,
        security: Security,
        boot: u64,
        start: Option<Arc<dyn Service>>,
    ) -> Arc<Entrance> {
        Arc::new(Entrance {
            rt: rt.clone(),
            introduction,
            security,
            boot,
            start,
            drives: OnceLock::new(),
            state: Mutex::default(),
            stops: Notify::new(),
            traffic: Arc::default(),
        })
    }

    /// Lets nodes in whose drives are of the same deployment: `service` answers them from now on. Only once.
    pub fn open(&self, deployment: u128, service: Arc<dyn Service>) {
        let was_open = self.drives.set((deployment, service)).is_err();
        debug_assert!(!was_open, "an entrance is opened once");
    }

    /// Returns who answers on a connection.
    fn service(&self, used_for: Use) -> Result<&Arc<dyn Service>, HandshakeError> {
        let service = match used_for {
            Use::Start => self.start.as_ref(),
            Use::Control | Use::Bulk => self.drives.get().map(|(_, service)| service),
        };
        service.ok_or(HandshakeError::Starting)
    }

    /// Returns what was sent and received by all connections.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Returns how many connections have yet to prove themselves.
    #[must_use]
    pub fn unproven(&self) -> usize {
        self.state().unproven.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says goodbye on all connections, ends them, and takes no more.
    pub fn close(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_closed = true;
        state.unproven.clear();
        drop(state);
        self.stops.notify_waiters();
        // Those whose peers do not read.
        let (rt, entrance) = (self.rt.clone(), Arc::downgrade(self));
        spawn(&self.rt, "end of peers", async move {
            rt.sleep(GOODBYE_MAX).await;
            if let Some(entrance) = entrance.upgrade() {
                entrance.state().peers.clear();
            }
        });
    }

    /// Completes when this node stops.
    fn stopping(self: &Arc<Self>) -> BoxFuture<()> {
        let entrance = self.clone();
        Box::pin(async move {
            let stops = entrance.stops.notified();
            if !entrance.state().is_closed {
                stops.await;
            }
        })
    }

    /// Returns whether a connection to a plain port that begins with this byte is a node's: nodes speak TLS, and
    /// clients do not there.
    #[must_use]
    pub fn takes_plain(&self, first: u8) -> bool {
        match self.security {
            Security::Tls(_) => first == TLS_HANDSHAKE,
            #[cfg(feature = "mutants")]
            Security::None(_) => usize::from(first) == super::handshake::HELLO_BYTES,
        }
    }

    /// Serves a connection that was accepted, to its end: its session first.
    pub async fn serve(self: Arc<Self>, stream: Box<dyn Stream>, address: SocketAddr) {
        let (place, evicted) = self.take_place(address.ip());
        let proving = async {
            let session = self.security.accept(stream).await?;
            greet::respond(&self.rt, session, self.introduction.clone()).await
        };
        let proving = runtime::timeout(&self.rt, PROOF_MAX, proving);
        let proven = tokio::select! {
            biased;
            _ = evicted => None,
            proven = proving => proven,
        };
        self.state().unproven.remove(&place);
        match proven {
            Some(Ok((greeting, agreed, identity))) => self.serve_proven(greeting, agreed, identity).await,
            Some(Err(error)) => self.log_failure(address.ip(), &error.to_string()),
            None => self.log_failure(address.ip(), "it has not proven itself in time, or others came"),
        }
    }

    /// Takes a place for a connection that has yet to prove itself. If there is none, one that has a place loses it: by
    /// chance, since who floods the entrance could keep any order full.
    fn take_place(&self, address: IpAddr) -> (u64, oneshot::Receiver<()>) {
        let mut draw = [0; 8];
        self.rt.fill_random(&mut draw);
        let of_address_max = UNPROVEN_OF_ADDRESS_MIN.max(2 * usize::from(self.introduction.nodes));
        let mut state = self.state();
        let of_address = |place: &Place| place.address == address;
        let is_full = state.unproven.values().filter(|place| of_address(place)).count() >= of_address_max;
        let is_bounded = !self.introduction.mutation.is(Mutant::StrangersUnbounded);
        if (is_full || state.unproven.len() >= UNPROVEN_MAX) && is_bounded {
            let candidates = state.unproven.iter().filter(|(_, place)| !is_full || of_address(place));
            let candidates: Vec<u64> = candidates.map(|(id, _)| *id).collect();
            let chosen = u64::from_le_bytes(draw) % candidates.len().max(1) as u64;
            if let Some(id) = candidates.get(usize::try_from(chosen).unwrap_or(0)) {
                state.unproven.remove(id);
            }
        }
        state.last_id += 1;
        let (end, evicted) = oneshot::channel();
        let id = state.last_id;
        if !state.is_closed {
            state.unproven.insert(id, Place { address, _end: end });
        }
        (id, evicted)
    }

    async fn serve_proven(self: &Arc<Self>, mut greeting: Greeting, agreed: Agreed, theirs: Identity) {
        let caller = Caller {
            node: agreed.peer,
            boot: theirs.boot,
        };
        let deployment = self.drives.get().map(|(deployment, _)| *deployment);
        let ours = Identity::of(&self.introduction, deployment, self.boot, theirs.used_for);
        let admit = |service| {
            let admitted = self
                .state()
                .admit(caller, theirs.used_for, self.introduction.mutation)?;
            Ok((admitted, service))
        };
        let checked = ours.check(&theirs).and_then(|()| self.service(theirs.used_for));
        let (id, ended, service) = match checked.and_then(admit) {
            Ok((Admitted { id, ended, before }, service)) => {
                if let Some(before) = before {
                    self.forget_later(before);
                }
                if theirs.used_for != Use::Bulk {
                    self.introduction.heard.note(caller.node);
                }
                (id, ended, service.clone())
            }
            Err(refusal) => {
                runtime::timeout(
                    &self.rt,
                    PROOF_MAX,
                    greet::refuse(&self.rt, &mut greeting, ours, &refusal),
                )
                .await;
                return;
            }
        };
        let connection = async {
            greet::accept(&self.rt, &mut greeting, &ours).await?;
            let wire = Wire {
                stream: greeting.stream,
                decoder: greeting.decoder,
                traffic: self.traffic.clone(),
                pings: false,
            };
            let mutation = self.introduction.mutation;
            let mut answering = Answering::new(self.rt.mono(), caller, service, self.stopping(), mutation);
            Err::<(), _>(pump(&self.rt, wire, &mut answering).await)
        };
        tokio::select! {
            biased;
            _ = ended => {}
            ended = connection => tracing::debug!(node = caller.node, ?ended, "a connection of a node has ended"),
        }
        if self.state().leave(caller, id) {
            let (entrance, rt) = (self.clone(), self.rt.clone());
            spawn(&self.rt, "absence of a peer", async move {
                rt.sleep(ABSENCE_MAX).await;
                if entrance.state().forget(caller, id) {
                    entrance.ended(caller);
                }
            });
        }
    }

    /// Tells the service of a process that was replaced, once its connections are sure to have noticed: another thread
    /// may be in the middle of a call of theirs.
    fn forget_later(self: &Arc<Self>, before: Caller) {
        let (entrance, rt) = (self.clone(), self.rt.clone());
        spawn(&self.rt, "end of a peer", async move {
            rt.sleep(NOTICED_AFTER).await;
            entrance.ended(before);
        });
    }

    /// Tells who answers for the drives that a process has ended.
    fn ended(&self, caller: Caller) {
        if let Some((_, service)) = self.drives.get() {
            service.ended(caller);
        }
    }

    /// Logs that a connection did not prove itself, once for each address and minute.
    fn log_failure(&self, address: IpAddr, reason: &str) {
        let now = self.rt.mono();
        let mut state = self.state();
        state.logged.retain(|_, at| now.saturating_sub(*at) < LOG_INTERVAL);
        if state.logged.len() < LOGGED_MAX && state.logged.insert(address, now).is_none() {
            tracing::warn!(%address, reason, "a connection that is to be a node's was refused");
        }
    }
}

/// A connection of a proven peer that was taken in.
struct Admitted {
    id: u64,
    /// Completes when another one takes its place.
    ended: oneshot::Receiver<()>,
    /// The process of that node that this one replaces.
    before: Option<Caller>,
}

impl State {
    /// Takes in a connection of a proven peer. A new process of the node ends the connections of the one before, and a
    /// new control connection the one before it.
    fn admit(&mut self, caller: Caller, used_for: Use, mutation: Mutation) -> Result<Admitted, HandshakeError> {
        if self.is_closed {
            return Err(HandshakeError::Closing);
        }
        self.last_id += 1;
        let id = self.last_id;
        let (end, ended) = oneshot::channel();
        let known = self.peers.get(&caller.node).map(|connections| connections.boot);
        let before = known.filter(|boot| *boot != caller.boot);
        match used_for {
            Use::Control => {
                if mutation.is(Mutant::OldConnectionsKept) {
                    std::mem::forget(self.peers.remove(&caller.node));
                }
                if before.is_some() {
                    self.peers.remove(&caller.node);
                }
                let connections = self.peers.entry(caller.node).or_default();
                connections.boot = caller.boot;
                connections.control = Some((id, end));
                connections.last_control = id;
            }
            Use::Start => {
                if before.is_some() {
                    self.peers.remove(&caller.node);
                }
                let connections = self.peers.entry(caller.node).or_default();
                connections.boot = caller.boot;
                connections.start = Some((id, end));
            }
            Use::Bulk => {
                let connections = self.peers.get_mut(&caller.node).filter(|_| before.is_none());
                let connections = connections.filter(|connections| connections.bulk.len() < BULK_KEPT_MAX);
                connections.ok_or(HandshakeError::TooMany)?.bulk.insert(id, end);
            }
        }
        let before = before.map(|boot| Caller { boot, ..caller });
        Ok(Admitted { id, ended, before })
    }

    /// Takes out a connection that has ended. Returns whether it was the process's last control connection.
    fn leave(&mut self, caller: Caller, id: u64) -> bool {
        let Some(connections) = self.peers.get_mut(&caller.node) else {
            return false;
        };
        connections.bulk.remove(&id);
        connections.start.take_if(|(start, _)| *start == id);
        let was_control = connections.control.as_ref().is_some_and(|(control, _)| *control == id);
        if was_control {
            connections.control = None;
        }
        was_control
    }

    /// Forgets a process that has had no control connection since the one with this number. Returns whether it did.
    fn forget(&mut self, caller: Caller, id: u64) -> bool {
        let is_absent = |connections: &Connections| connections.boot == caller.boot && connections.last_control == id;
        let is_absent = self.peers.get(&caller.node).is_some_and(is_absent);
        if is_absent {
            self.peers.remove(&caller.node);
        }
        is_absent
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entrance(of node {})", self.introduction.me)
    }
}

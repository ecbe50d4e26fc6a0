//! A host: its entrance, its links to all others, and its clients.

use super::{
    history::{History, Outcome},
    plan::{Plan, of},
    service::{self, AT_ONCE, BUSY, LATER, NEVER, NONE, Recorded, TOO_LARGE},
};
use bytes::Bytes;
use futures::future::join_all;
use madsim::rand::{Rng, thread_rng};
use std::{collections::BTreeMap, future::Future, net::SocketAddr, sync::Arc, time::Duration};
use store::{
    peer::{
        CallError, Caller, Entrance, Introduction, Link, LinkConfig, PAYLOAD_BYTES_MAX, PeerSecret, Security, Service,
    },
    runtime::{Listener, Rt, spawn, timeout},
};

/// Number of hosts, which are peers 0 to 3 on nodes 1 to 4.
pub(super) const NODES: u16 = 4;
/// Port of the entrances.
pub(super) const PORT: u16 = 9000;
/// Session without TLS.
/// Deployment of all hosts.
const DEPLOYMENT: u128 = 7;

pub(super) const PLAIN: Security = Security::None([0; 32]);

pub(super) fn secret(byte: u8) -> PeerSecret {
    PeerSecret::from_bytes(&[byte; 32]).expect("long enough")
}

/// How a host introduces itself.
pub(super) fn introduction(rt: &Rt, me: u16) -> Introduction {
    Introduction::new(me, NODES, vec![secret(1)], rt.mutation())
}

/// Node of the world that a peer is on.
pub(super) fn node(peer: u16) -> u32 {
    u32::from(peer) + 1
}

/// Listens on the port of the entrances, and answers with `service`.
pub(super) async fn serve(
    rt: &Rt,
    address: SocketAddr,
    me: Caller,
    security: Security,
    service: Arc<dyn Service>,
    accepted: impl Fn() + Send + Sync + 'static,
) -> Arc<Entrance> {
    let listener = rt.listen(address).await.expect("the address is free");
    let entrance = Entrance::new(rt, introduction(rt, me.node), security, me.boot, None);
    entrance.open(DEPLOYMENT, service);
    spawn(rt, "accept", accept(rt.clone(), listener, entrance.clone(), accepted));
    entrance
}

async fn accept(rt: Rt, listener: Box<dyn Listener>, entrance: Arc<Entrance>, accepted: impl Fn() + Send + Sync) {
    while let Ok((stream, from)) = listener.accept().await {
        accepted();
        spawn(&rt, "peer", entrance.clone().serve(stream, from));
    }
}

/// Links a process to a node that is to be at an address.
pub(super) fn link(rt: &Rt, me: Caller, to: u16, security: Security, address: SocketAddr) -> Link {
    let config = LinkConfig {
        deployment: Some(DEPLOYMENT),
        introduction: introduction(rt, me.node),
        to,
        name: format!("n{}", node(to)),
        host: format!("n{}", node(to)),
        resolve: Arc::new(move || Box::pin(std::future::ready(Ok(vec![address])))),
        security,
        boot: me.boot,
    };
    Link::start(rt, config)
}

/// Makes the calls of a process, and writes them down.
#[derive(Clone)]
pub(super) struct Client {
    pub rt: Rt,
    pub me: Caller,
    pub history: Arc<History>,
    pub links: Arc<BTreeMap<u16, Link>>,
}

/// A call to make.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub to: u16,
    pub service: u16,
    pub wait: Duration,
    pub bytes: usize,
    pub answer_bytes: usize,
}

impl Client {
    /// Makes a small call; it is made before this returns. Returns whether it is answered.
    pub fn small(&self, wanted: Wanted) -> impl Future<Output = bool> + Send + 'static {
        let number = self.history.make(self.me, wanted.to, false, wanted.wait);
        let payload = service::call(number, wanted.answer_bytes, wanted.bytes);
        let answer = self.links[&wanted.to].call(wanted.service, payload, wanted.wait);
        let told = Told::new(self.history.clone(), number, wanted);
        async move { told.tell(answer.await) }
    }

    /// Makes a bulk call. Returns whether it is answered.
    pub async fn bulk(self, wanted: Wanted) -> bool {
        let number = self.history.make(self.me, wanted.to, true, wanted.wait);
        let payload = service::call(number, wanted.answer_bytes, wanted.bytes);
        let told = Told::new(self.history.clone(), number, wanted);
        let answer = self.links[&wanted.to].call_bulk(wanted.service, payload, wanted.wait);
        told.tell(answer.await)
    }
}

/// A call whose caller has yet to be told how it ended. When it is dropped, the caller has gone away.
struct Told {
    history: Arc<History>,
    number: u64,
    wanted: Wanted,
    is_told: bool,
}

impl Told {
    fn new(history: Arc<History>, number: u64, wanted: Wanted) -> Told {
        Told {
            history,
            number,
            wanted,
            is_told: false,
        }
    }

    fn tell(mut self, answer: Result<Bytes, CallError>) -> bool {
        self.is_told = true;
        let outcome = match answer {
            Ok(answer) => {
                if !self.is_own(&answer) {
                    let (number, len) = (self.number, answer.len());
                    let what =
                        format!("peer.own-answer: call {number} is answered with {len} bytes that are not its own");
                    self.history.violated(what);
                }
                Outcome::Answered
            }
            Err(error) => Outcome::Failed(error),
        };
        let is_answered = outcome == Outcome::Answered;
        self.history.end(self.number, outcome);
        is_answered
    }

    fn is_own(&self, answer: &Bytes) -> bool {
        matches!(self.wanted.service, AT_ONCE | LATER)
            && *answer == service::answer(self.number, self.wanted.answer_bytes)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.is_told {
            self.history.dropped(self.number);
        }
    }
}

/// Runs a host: its process, until it is killed.
pub(super) async fn host(rt: Rt, peer: u16, history: Arc<History>, plan: Arc<Plan>) {
    let me = history.begin(peer);
    let service = Recorded {
        rt: rt.clone(),
        me,
        history: history.clone(),
    };
    let counted = history.clone();
    let address = |peer| SocketAddr::new(history.world.ip(node(peer)), PORT);
    serve(&rt, address(peer), me, PLAIN, Arc::new(service), move || {
        counted.accepted()
    })
    .await;
    let others = (0..NODES).filter(|to| *to != peer);
    let links = others.map(|to| (to, link(&rt, me, to, PLAIN, address(to))));
    let client = Client {
        rt: rt.clone(),
        me,
        links: Arc::new(links.collect()),
        history,
    };
    for _ in 0..plan.clients {
        spawn(&rt, "client", clients(client.clone(), plan.clone()));
    }
    for to in client.links.keys() {
        spawn(&rt, "reach", reach(client.clone(), *to));
    }
    std::future::pending().await
}

/// Makes calls until the faults are over.
async fn clients(client: Client, plan: Arc<Plan>) {
    while !client.history.is_calm() {
        let pause = thread_rng().gen_range(Duration::ZERO..=plan.pause_max);
        client.rt.sleep(pause).await;
        if thread_rng().gen_bool(plan.bulk) {
            let bulk = client.clone().bulk(bulk_call(&client, &plan));
            finish(&client, &plan, bulk).await;
        } else {
            let burst = thread_rng().gen_range(1..=plan.burst_max);
            let calls = (0..burst).map(|_| client.small(small_call(&client, &plan)));
            let calls: Vec<_> = calls.collect();
            finish(&client, &plan, join_all(calls)).await;
        }
    }
}

/// Waits for calls in the background, and goes away before they end in some cases.
async fn finish<F>(client: &Client, plan: &Plan, calls: F)
where
    F: Future<Output: Send> + Send + 'static,
{
    let patience = thread_rng().gen_range(Duration::ZERO..=Duration::from_secs(2));
    let goes_away = thread_rng().gen_bool(plan.dropped);
    let rt = client.rt.clone();
    let all = async move {
        match goes_away {
            true => drop(timeout(&rt, patience, calls).await),
            false => drop(calls.await),
        }
    };
    match thread_rng().gen_bool(0.5) {
        true => all.await,
        false => drop(spawn(&client.rt, "calls", all)),
    }
}

fn small_call(client: &Client, plan: &Plan) -> Wanted {
    let rng = &mut thread_rng();
    let services = [AT_ONCE, AT_ONCE, AT_ONCE, LATER, LATER, NEVER, BUSY, NONE];
    Wanted {
        to: other(client.me.node),
        service: if rng.gen_bool(0.002) { TOO_LARGE } else { of(&services) },
        wait: wait(plan),
        bytes: of(&[0, 0, 200, 2_000, 20_000]),
        answer_bytes: of(&[0, 0, 200, 20_000]),
    }
}

fn bulk_call(client: &Client, plan: &Plan) -> Wanted {
    let rng = &mut thread_rng();
    let part = plan.bulk_bytes_max >> rng.gen_range(0..8);
    let bytes = match rng.gen_bool(0.01) {
        true => PAYLOAD_BYTES_MAX + 1,
        false => client.history.bulk_bytes(rng.gen_range(0..=part)),
    };
    let answer_bytes = client.history.bulk_bytes(rng.gen_range(0..=part));
    Wanted {
        to: other(client.me.node),
        service: of(&[AT_ONCE, AT_ONCE, AT_ONCE, LATER, NEVER, BUSY]),
        wait: wait(plan),
        bytes,
        answer_bytes,
    }
}

fn other(me: u16) -> u16 {
    (me + thread_rng().gen_range(1..NODES)) % NODES
}

fn wait(plan: &Plan) -> Duration {
    thread_rng().gen_range(plan.waits.0..=plan.waits.1)
}

/// Once the faults are over, asks a node until it has answered on both kinds of connections.
async fn reach(client: Client, to: u16) {
    while !client.history.is_calm() {
        client.rt.sleep(Duration::from_millis(200)).await;
    }
    let wanted = Wanted {
        to,
        service: AT_ONCE,
        wait: Duration::from_secs(5),
        bytes: 100,
        answer_bytes: 100,
    };
    while !(client.small(wanted).await && client.clone().bulk(wanted).await) {
        client.rt.sleep(Duration::from_millis(500)).await;
    }
    client.history.reached(client.me.node, to);
}

//! Two nodes with more calls and answers than a connection takes: what is held stays bounded (`peer.bounded`), and they
//! never wait for each other (`peer.replies-are-always-read`).

use super::{
    host::{PLAIN, PORT, link, node, serve},
    service::{ANSWER_BYTES_MIN, answer, call},
};
use crate::{World, lock, net};
use bytes::{Buf, Bytes};
use futures::future::join_all;
use madsim::time::sleep;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{
    peer::{CallError, Caller, Link, Lost, NotSent, Payload, Refusal, Request, Service},
    runtime::{BoxFuture, Rt},
};
use tokio::sync::watch;

const WAIT: Duration = Duration::from_secs(60);
/// Bytes of an answer, of which a connection holds about a hundred and sixty.
const ANSWER_BYTES: usize = 100_000;

/// Number of the service that answers once the scene says so. All others answer at once.
const ONCE_TOLD: u16 = 1;

/// Answers with as many bytes as it is asked for, and counts.
pub(super) struct Counted {
    state: Mutex<Ran>,
    told: watch::Sender<bool>,
}

/// What a service has run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ran {
    pub calls: usize,
    /// Bytes of its answers.
    pub answered_bytes: usize,
}

impl Counted {
    pub(super) fn new() -> Arc<Counted> {
        Arc::new(Counted {
            state: Mutex::default(),
            told: watch::channel(false).0,
        })
    }

    pub(super) fn ran(&self) -> Ran {
        *lock(&self.state)
    }
}

impl Service for Counted {
    fn call(&self, _: Caller, request: Request) -> BoxFuture<Result<Payload, Refusal>> {
        let mut payload = request.payload;
        let (number, bytes) = (payload.get_u64_le(), payload.get_u32_le() as usize);
        let mut ran = lock(&self.state);
        ran.calls += 1;
        ran.answered_bytes += bytes;
        drop(ran);
        let mut told = self.told.subscribe();
        Box::pin(async move {
            if request.service == ONCE_TOLD {
                told.wait_for(|told| *told).await.ok();
            }
            Ok(answer(number, bytes).into())
        })
    }
}

/// Address of a peer's entrance.
pub(super) fn address(world: &World, peer: u16) -> SocketAddr {
    SocketAddr::new(world.ip(node(peer)), PORT)
}

/// First process of a peer.
pub(super) fn first(node: u16) -> Caller {
    Caller { node, boot: 1 }
}

/// Starts a peer that answers with `service`.
pub(super) fn start(world: &World, peer: u16, service: Arc<Counted>) {
    let address = address(world, peer);
    world.start(node(peer), move |rt| {
        let service = service.clone();
        async move {
            serve(&rt, address, first(peer), PLAIN, service, || ()).await;
            std::future::pending().await
        }
    });
}

/// A link from one peer to another one, connected.
async fn connected(world: &World, rt: &Rt, from: u16, to: u16) -> Link {
    let link = link(rt, first(from), to, PLAIN, address(world, to));
    while link.unreachable().is_some() {
        rt.sleep(Duration::from_millis(10)).await;
    }
    link
}

/// How calls ended.
#[derive(Debug, Default)]
struct Ends {
    answered: usize,
    unanswered: usize,
    /// Not sent, since too many wait.
    busy: usize,
    /// Refused by the peer, which has too many under way.
    refused: usize,
    others: usize,
}

impl Ends {
    fn of(ends: Vec<Result<Bytes, CallError>>) -> Ends {
        let mut counts = Ends::default();
        for end in ends {
            let count = match end {
                Ok(_) => &mut counts.answered,
                Err(CallError::Unknown(Lost::Unanswered)) => &mut counts.unanswered,
                Err(CallError::NotSent(NotSent::Busy)) => &mut counts.busy,
                Err(CallError::Refused(Refusal::Busy)) => &mut counts.refused,
                Err(_) => &mut counts.others,
            };
            *count += 1;
        }
        counts
    }
}

/// Peer 0 makes `count` calls of peer 1 at once. Returns how they end, after `meanwhile`.
async fn flood(
    world: &World,
    (service, count, answer_bytes): (u16, u64, usize),
    meanwhile: impl Future<Output = ()>,
) -> Ends {
    let there = world.clone();
    let calls = world.run_on(node(0), move |rt| async move {
        let link = connected(&there, &rt, 0, 1).await;
        let calls = (0..count).map(|number| link.call(service, call(number, answer_bytes, 0), WAIT));
        let calls: Vec<_> = calls.collect();
        Ends::of(join_all(calls).await)
    });
    let (ends, ()) = futures::future::join(calls, meanwhile).await;
    ends.expect("alive")
}

/// More calls than are taken, of a service that does not answer.
pub(super) async fn calls_pile_up(world: World) {
    let service = Counted::new();
    start(&world, 1, service.clone());
    sleep(Duration::from_millis(100)).await;
    let meanwhile = async {
        sleep(Duration::from_secs(10)).await;
        let calls = service.ran().calls;
        assert!(calls <= 4096, "peer.bounded: {calls} calls are under way");
        assert!(calls > 4000, "{calls} calls were taken");
        service.told.send_replace(true);
    };
    let ends = flood(&world, (ONCE_TOLD, 20_000, 0), meanwhile).await;
    let taken = 20_000 - ends.busy;
    assert!(taken <= 16 << 10, "peer.bounded: {taken} calls waited to be sent");
    assert!(
        ends.answered > 4000 && ends.answered + ends.refused == taken,
        "{ends:?}"
    );
}

/// The caller is stopped while answers come: no more of its calls are run.
pub(super) async fn answers_pile_up(world: World) {
    let service = Counted::new();
    start(&world, 1, service.clone());
    sleep(Duration::from_millis(100)).await;
    let meanwhile = async {
        while service.ran().calls == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        world.pause(node(0));
        sleep(Duration::from_secs(10)).await;
        let bytes = service.ran().answered_bytes;
        assert!(bytes < 32 << 20, "peer.bounded: answers of {bytes} bytes were made");
        assert!(bytes > 8 << 20, "answers of {bytes} bytes were made");
        world.resume(node(0));
    };
    let ends = flood(&world, (0, 600, ANSWER_BYTES), meanwhile).await;
    assert!(ends.answered == 600, "{ends:?}");
}

/// More answers than are kept come at once, of calls that are under way, while the caller is stopped.
pub(super) async fn answers_come_at_once(world: World) {
    let service = Counted::new();
    start(&world, 1, service.clone());
    sleep(Duration::from_millis(100)).await;
    let meanwhile = async {
        while service.ran().calls < 1000 {
            sleep(Duration::from_millis(1)).await;
        }
        world.pause(node(0));
        service.told.send_replace(true);
        sleep(Duration::from_secs(10)).await;
        world.resume(node(0));
    };
    let ends = flood(&world, (ONCE_TOLD, 1000, ANSWER_BYTES), meanwhile).await;
    let kept = ends.answered * ANSWER_BYTES;
    assert!(kept <= 66 << 20, "peer.bounded: answers of {kept} bytes were kept");
    assert!(ends.answered + ends.unanswered == 1000, "{ends:?}");
}

/// Two peers ask each other for more than all buffers between them hold.
pub(super) async fn both_flood(world: World) {
    const CALLS: u64 = 24;
    const BYTES: usize = 1 << 20;
    for (from, to) in [(0, 1), (1, 0)] {
        start(&world, from, Counted::new());
        let latency = Duration::from_millis(1)..=Duration::from_millis(5);
        let bandwidth = Some(20_000_000);
        world.set_link_quality(node(from), node(to), net::Link { latency, bandwidth });
    }
    sleep(Duration::from_millis(100)).await;
    let floods = [(0, 1), (1, 0)].map(|(from, to)| {
        let there = world.clone();
        world.run_on(node(from), move |rt| async move {
            let link = connected(&there, &rt, from, to).await;
            let mut calls = Vec::new();
            for number in 0..CALLS {
                calls.push(link.call(0, call(number, BYTES, BYTES / 4), WAIT));
                rt.sleep(Duration::from_millis(1)).await;
            }
            Ends::of(join_all(calls).await)
        })
    });
    for ends in join_all(floods).await {
        let ends = ends.expect("alive");
        let is_all = ends.answered == CALLS as usize;
        assert!(is_all, "peer.replies-are-always-read: {ends:?}");
    }
}

/// Calls and answers on a link that is so narrow that each takes longer than a silence may last
/// (`peer.slow-is-not-silent`).
pub(super) async fn links_are_narrow(world: World) {
    const CALLS: u64 = 20;
    const BYTES: usize = 1 << 20;
    start(&world, 1, Counted::new());
    for (from, to) in [(0, 1), (1, 0)] {
        let latency = Duration::from_millis(1)..=Duration::from_millis(5);
        let bandwidth = Some(200_000);
        world.set_link_quality(node(from), node(to), net::Link { latency, bandwidth });
    }
    sleep(Duration::from_millis(100)).await;
    let there = world.clone();
    let test = move |rt: Rt| async move {
        let link = connected(&there, &rt, 0, 1).await;
        let answer = link.call_bulk(0, call(0, 0, 5 * BYTES), 2 * WAIT).await;
        assert!(answer.is_ok(), "peer.slow-is-not-silent: {:?}", answer.err());
        let answers = (0..CALLS).map(|number| link.call(0, call(number, BYTES, 0), 4 * WAIT));
        let ends = Ends::of(join_all(answers.collect::<Vec<_>>()).await);
        assert!(ends.answered == CALLS as usize, "peer.slow-is-not-silent: {ends:?}");
    };
    world.run_on(node(0), test).await.expect("alive");
}

/// Two peers have nothing to ask for a long time, and their clocks drift apart.
pub(super) async fn clocks_drift_apart(world: World) {
    start(&world, 1, Counted::new());
    world.set_clock_drift(node(0), -500);
    world.set_clock_drift(node(1), 500);
    sleep(Duration::from_millis(100)).await;
    let there = world.clone();
    let test = move |rt: Rt| async move {
        let link = connected(&there, &rt, 0, 1).await;
        for _ in 0..3 {
            let answer = link.call(0, call(0, 0, 0), Duration::from_millis(500)).await;
            assert!(answer.is_ok(), "peer.expired-is-not-run: {:?}", answer.err());
            rt.sleep(Duration::from_secs(1000)).await;
        }
    };
    world.run_on(node(0), test).await.expect("alive");
}

/// Calls that come to a peer while it is stopped for longer than their callers wait.
pub(super) async fn calls_come_too_late(world: World) {
    let service = Counted::new();
    start(&world, 1, service.clone());
    sleep(Duration::from_millis(100)).await;
    let (there, ran) = (world.clone(), service.clone());
    let test = move |rt: Rt| async move {
        let link = connected(&there, &rt, 0, 1).await;
        let ask = |wait| link.call(0, call(0, ANSWER_BYTES_MIN, 0), Duration::from_millis(wait));
        for _ in 0..10 {
            ask(5000).await.expect("an answer");
            rt.sleep(Duration::from_millis(100)).await;
        }
        let before = ran.ran().calls;
        there.pause(node(1));
        let mut late: Vec<_> = (0..20).map(|number| ask(200 * number + 1)).collect();
        let in_time = ask(20_000);
        rt.sleep(Duration::from_secs(6)).await;
        late.push(ask(0));
        there.resume(node(1));
        in_time.await.expect("an answer");
        for end in join_all(late).await {
            end.expect_err("nobody could answer in time");
        }
        let calls = ran.ran().calls - before;
        assert!(calls == 1, "peer.expired-is-not-run: {calls} calls were run");
        ask(5000).await.expect("it goes on");
    };
    world.run_on(node(0), test).await.expect("alive");
}

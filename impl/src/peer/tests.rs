//! Connections between nodes over loopback sockets and TLS. Faults of networks and hosts are the simulation's part.

use super::{frame::Frame, frame::Kind, frame::Outgoing, handshake::Dialler, *};
use crate::runtime::{BoxFuture, Listener, Mutation, Rt, real::RealRuntime, spawn};
use bytes::{Buf, Bytes};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

const WAIT: Duration = Duration::from_secs(20);

/// Answers with what it is sent, by service: 0 at once, 1 never, 2 once it is told to; 3 and 4 panic.
#[derive(Default)]
struct Echo {
    taken: Mutex<Vec<(u16, u64)>>,
    told: Arc<Notify>,
}

impl Service for Echo {
    fn call(&self, _: Caller, request: Request) -> BoxFuture<Result<Payload, Refusal>> {
        let number = request.payload.clone().try_get_u64_le().unwrap_or_default();
        self.taken.lock().expect("no panic").push((request.service, number));
        assert_ne!(request.service, 4, "expected by the test");
        let told = self.told.clone();
        Box::pin(async move {
            match request.service {
                0 => Ok(request.payload.into()),
                1 => std::future::pending().await,
                2 => {
                    told.notified().await;
                    Ok(request.payload.into())
                }
                3 => panic!("expected by the test"),
                _ => Err(Refusal::NoService),
            }
        })
    }
}

/// Deployment of all nodes.
const DEPLOYMENT: u128 = 7;

fn secret(byte: u8) -> PeerSecret {
    PeerSecret::from_bytes(&[byte; 32]).expect("long enough")
}

fn introduction(me: u16, secrets: &[PeerSecret]) -> Introduction {
    Introduction::new(me, 4, secrets.to_vec(), Mutation::NONE)
}

fn tls() -> PeerTls {
    PeerTls::new(rustls::crypto::ring::default_provider(), Certificates::Throwaway).expect("a session's settings")
}

/// Node 1, which answers.
struct Node {
    address: SocketAddr,
    entrance: Arc<Entrance>,
    echo: Arc<Echo>,
}

async fn node(rt: &Rt, secrets: &[PeerSecret]) -> Node {
    let listener = rt.listen(([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let echo = Arc::new(Echo::default());
    let entrance = Entrance::new(rt, introduction(1, secrets), Security::Tls(tls()), 7, None);
    entrance.open(DEPLOYMENT, echo.clone());
    spawn(rt, "accept", accept(rt.clone(), listener, entrance.clone()));
    Node {
        address,
        entrance,
        echo,
    }
}

async fn accept(rt: Rt, listener: Box<dyn Listener>, entrance: Arc<Entrance>) {
    while let Ok((stream, from)) = listener.accept().await {
        spawn(&rt, "peer", entrance.clone().serve(stream, from));
    }
}

fn link_to(rt: &Rt, address: SocketAddr, to: u16, secrets: &[PeerSecret]) -> Link {
    Link::start(rt, config_to(address, to, secrets))
}

fn config_to(address: SocketAddr, to: u16, secrets: &[PeerSecret]) -> LinkConfig {
    LinkConfig {
        deployment: Some(DEPLOYMENT),
        introduction: introduction(0, secrets),
        to,
        name: "localhost".to_owned(),
        host: "localhost".to_owned(),
        resolve: Arc::new(move || Box::pin(std::future::ready(Ok(vec![address])))),
        security: Security::Tls(tls()),
        boot: 9,
    }
}

async fn connected(rt: &Rt, link: &Link) {
    let begun = rt.mono();
    while link.unreachable().is_some() {
        assert!(rt.mono() - begun < WAIT, "{:?}", link.unreachable());
        rt.sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the link says why it is not connected.
async fn refused(rt: &Rt, link: &Link, reason: &str) {
    let begun = rt.mono();
    loop {
        let told = link.unreachable().expect("the two must not talk");
        if told.contains(reason) {
            return;
        }
        assert!(rt.mono() - begun < WAIT, "{told}");
        rt.sleep(Duration::from_millis(5)).await;
    }
}

fn number(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_taken_in_order_and_answered_as_they_end() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    let link = link_to(&rt, node.address, 1, &[secret(1)]);
    connected(&rt, &link).await;
    let held = link.call(2, number(0), WAIT);
    let answers: Vec<_> = (1..2000).map(|call| link.call(0, number(call), WAIT)).collect();
    for (call, answer) in (1..2000).zip(answers) {
        assert_eq!(answer.await, Ok(number(call)));
    }
    node.echo.told.notify_one();
    assert_eq!(held.await, Ok(number(0)));
    let taken = node.echo.taken.lock().expect("no panic").clone();
    let numbers: Vec<u64> = taken.into_iter().map(|(_, number)| number).collect();
    assert_eq!(numbers, (0..2000).collect::<Vec<_>>(), "peer.order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_that_dials_is_dialled_at_once() {
    let (rt, secrets) = (RealRuntime::new(), [secret(1)]);
    let lost = node(&rt, &secrets).await;
    let ours = introduction(0, &secrets);
    let is_lost = Arc::new(AtomicBool::new(true));
    let (address, still_lost) = (lost.address, is_lost.clone());
    let resolve: Resolve = Arc::new(move || {
        let found = match still_lost.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(vec![address]),
        };
        Box::pin(std::future::ready(found))
    });
    let config = LinkConfig {
        introduction: ours.clone(),
        resolve,
        ..config_to(address, 1, &secrets)
    };
    let link = Link::start(&rt, config);
    // Attempts after 0.1, 0.3, 0.7, 1.5 and 3.1 s; the next one is after 6.3 s.
    rt.sleep(Duration::from_millis(3500)).await;
    is_lost.store(false, Ordering::SeqCst);
    let listener = rt.listen(([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let our_address = listener.local_addr().expect("it is bound");
    let entrance = Entrance::new(&rt, ours, Security::Tls(tls()), 9, None);
    entrance.open(DEPLOYMENT, Arc::new(Echo::default()));
    spawn(&rt, "accept", accept(rt.clone(), listener, entrance));
    assert!(link.unreachable().is_some());
    let back = LinkConfig {
        introduction: introduction(1, &secrets),
        boot: 7,
        ..config_to(our_address, 0, &secrets)
    };
    let back = Link::start(&rt, back);
    connected(&rt, &back).await;
    let begun = rt.mono();
    connected(&rt, &link).await;
    assert!(rt.mono() - begun < Duration::from_secs(2), "it is not waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_says_goodbye_behind_its_answers() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    let link = link_to(&rt, node.address, 1, &[secret(1)]);
    connected(&rt, &link).await;
    let (answered, held) = (link.call(0, number(1), WAIT), link.call(1, number(2), WAIT));
    assert_eq!(answered.await, Ok(number(1)));
    node.entrance.close();
    let Err(CallError::Unknown(Lost::Connection(reason))) = held.await else {
        panic!("it may have been run");
    };
    assert_eq!(&*reason, "it was stopped");
    refused(&rt, &link, "stop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_ends_by_its_deadline_and_as_what_it_is() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    let link = link_to(&rt, node.address, 1, &[secret(1)]);
    connected(&rt, &link).await;
    let never = link.call(1, number(1), Duration::from_millis(50)).await;
    assert_eq!(never, Err(CallError::Unknown(Lost::Deadline)), "peer.deadline");
    assert_eq!(
        link.call(9, number(1), WAIT).await,
        Err(CallError::Refused(Refusal::NoService))
    );
    for panics in [3, 4] {
        let answer = link.call(panics, number(1), WAIT).await;
        assert_eq!(answer, Err(CallError::Unknown(Lost::Unanswered)));
    }
    let large = Bytes::from(vec![0; PAYLOAD_BYTES_MAX + 1]);
    let large = link.call(0, large, WAIT).await;
    assert_eq!(large, Err(CallError::NotSent(NotSent::TooLarge(PAYLOAD_BYTES_MAX + 1))));
    assert_eq!(link.call(0, number(2), WAIT).await, Ok(number(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_calls_have_connections_of_their_own() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    let link = Arc::new(link_to(&rt, node.address, 1, &[secret(1)]));
    connected(&rt, &link).await;
    let calls = (0..3 * BULK_MAX).map(|call| {
        let link = link.clone();
        async move {
            let payload = Bytes::from(vec![u8::try_from(call).unwrap_or(0); 300_000]);
            let answer = link.call_bulk(0, payload.clone(), WAIT).await.expect("an answer");
            assert!(answer == payload, "the answer is another's");
        }
    });
    futures::future::join_all(calls).await;
    // With every one of them taken by a call that hangs, the next waits for its turn, and small calls do not.
    let hung = (0..BULK_MAX).map(|_| link.call_bulk(1, number(1), Duration::from_secs(2)));
    let hung = futures::future::join_all(hung);
    let beside = async {
        rt.sleep(Duration::from_millis(500)).await;
        assert_eq!(link.call(0, number(5), WAIT).await, Ok(number(5)));
        let late = link.call_bulk(0, number(6), Duration::from_millis(100)).await;
        assert_eq!(late, Err(CallError::NotSent(NotSent::Busy)));
        assert_eq!(link.call_bulk(0, number(7), WAIT).await, Ok(number(7)));
    };
    let (hung, ()) = futures::future::join(hung, beside).await;
    let late = Err(CallError::Unknown(Lost::Deadline));
    assert!(hung.iter().all(|answer| *answer == late), "{hung:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_secret_or_place_is_refused_by_name() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    let wrong_secret = link_to(&rt, node.address, 1, &[secret(2)]);
    refused(&rt, &wrong_secret, "proof of the secret").await;
    let wrong_node = link_to(&rt, node.address, 3, &[secret(1)]);
    refused(&rt, &wrong_node, "node 3 was dialled, and node 1 answers there").await;
    let answer = wrong_node.call(0, number(1), WAIT).await;
    assert!(
        matches!(answer, Err(CallError::NotSent(NotSent::Unreachable(_)))),
        "{answer:?}"
    );
    assert_eq!(node.echo.taken.lock().expect("no panic").len(), 0);
}

/// A rolling change of the secret: at each step, each node talks to each.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_changed_node_by_node() {
    let rt = RealRuntime::new();
    let (old, new) = ([secret(1)], [secret(2)]);
    let changing = [secret(2), secret(1)];
    for (of_node, of_link) in [
        (&old[..], &changing[..]),
        (&changing, &old),
        (&changing, &new),
        (&new, &changing),
    ] {
        let node = node(&rt, of_node).await;
        let link = link_to(&rt, node.address, 1, of_link);
        connected(&rt, &link).await;
        assert_eq!(link.call(0, number(1), WAIT).await, Ok(number(1)));
    }
}

/// Reads frames from a session until it ends.
async fn frames(mut stream: Box<dyn crate::runtime::Stream>) -> Vec<u8> {
    let mut all = Vec::new();
    // Its end may be a reset.
    stream.read_to_end(&mut all).await.ok();
    all
}

async fn session(rt: &Rt, address: SocketAddr) -> (Box<dyn crate::runtime::Stream>, [u8; 32]) {
    let stream = rt.connect(address).await.expect("it listens");
    tls().connect("localhost", stream).await.expect("a session")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prober_is_told_nothing_that_depends_on_the_secret() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    // Silence is answered by silence, a greeting by a greeting, and a proof of nothing by the end.
    let (mut stream, _) = session(&rt, node.address).await;
    let (_, hello) = Dialler::begin(introduction(0, &[secret(2)]), 1, [5; 32]);
    let mut outgoing = Outgoing::default();
    outgoing.push(&hello);
    outgoing.push(&Frame::bare(Kind::Proof, vec![0; 32]));
    stream.write_all(&outgoing.take()).await.expect("it is read");
    let told = frames(stream).await;
    let hello_bytes = frame::HEADER_BYTES + hello.payload.len();
    assert_eq!(told.len(), hello_bytes, "peer.mutual: {told:?}");
    // The same from a node with another secret, but for the nonce.
    let other = node_of_another_secret(&rt, &outgoing_of(&hello)).await;
    assert_eq!(told[..hello_bytes - 32], other[..hello_bytes - 32]);
}

fn outgoing_of(hello: &Frame) -> Vec<u8> {
    let mut outgoing = Outgoing::default();
    outgoing.push(hello);
    outgoing.push(&Frame::bare(Kind::Proof, vec![0; 32]));
    outgoing.take()
}

async fn node_of_another_secret(rt: &Rt, said: &[u8]) -> Vec<u8> {
    let node = node(rt, &[secret(3)]).await;
    let (mut stream, _) = session(rt, node.address).await;
    stream.write_all(said).await.expect("it is read");
    frames(stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unproven_connections_leaves_room_for_peers() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    let mut open = Vec::new();
    for _ in 0..300 {
        open.push(rt.connect(node.address).await.expect("it listens"));
    }
    assert!(node.entrance.unproven() <= 64, "peer.bounded");
    let link = link_to(&rt, node.address, 1, &[secret(1)]);
    connected(&rt, &link).await;
    assert_eq!(link.call(0, number(1), WAIT).await, Ok(number(1)));
    let drained: io::Result<()> = async {
        for mut stream in open {
            let mut byte = [0; 1];
            assert_eq!(stream.read(&mut byte).await.unwrap_or(0), 0, "silence is not answered");
        }
        Ok(())
    }
    .await;
    drained.expect("they end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_ends_the_connections_of_the_one_before() {
    let rt = RealRuntime::new();
    let node = node(&rt, &[secret(1)]).await;
    let before = link_to(&rt, node.address, 1, &[secret(1)]);
    connected(&rt, &before).await;
    let hung = before.call(1, number(1), WAIT);
    let config = LinkConfig {
        deployment: Some(DEPLOYMENT),
        introduction: introduction(0, &[secret(1)]),
        to: 1,
        name: "localhost".to_owned(),
        host: "localhost".to_owned(),
        resolve: {
            let address = node.address;
            Arc::new(move || Box::pin(std::future::ready(Ok(vec![address]))))
        },
        security: Security::Tls(tls()),
        boot: 10,
    };
    let after = Link::start(&rt, config);
    let hung = hung.await;
    assert!(matches!(hung, Err(CallError::Unknown(Lost::Connection(_)))), "{hung:?}");
    drop(before);
    connected(&rt, &after).await;
    assert_eq!(after.call(0, number(2), WAIT).await, Ok(number(2)));
}

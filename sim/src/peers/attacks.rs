//! Strangers on the network: without the secret, in the middle between two nodes, or many at once.

use super::{
    host::{NODES, PORT, introduction, link, node, secret, serve},
    scenes::{Counted, address, first},
    service::call,
};
use crate::World;
use futures::future::join_all;
use madsim::{
    rand::{Rng, thread_rng},
    time::sleep,
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{
    peer::{
        Entrance, Introduction, Link, Security,
        fuzzing::{Decoder, Dialler, Frame, Kind, Outgoing, Responder, UNPROVEN_PAYLOAD_BYTES_MAX},
    },
    runtime::{Rt, Stream, spawn, timeout},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};

/// Nodes of the first stranger, and of the one in the middle.
const STRANGER: u32 = 20;
const MIDDLE: u32 = 10;
/// Time that an attack goes on for.
const LASTS: Duration = Duration::from_secs(20);

/// The session that a node's connections are in. Two that a stranger has are never the same.
fn session(byte: u8) -> Security {
    Security::None([byte; 32])
}

/// Starts peer `peer`, and returns its service. Its entrance is watched.
fn start(world: &World, peer: u16, security: Security) -> Arc<Counted> {
    let (service, address) = (Counted::new(), address(world, peer));
    let answers = service.clone();
    world.start(node(peer), move |rt| {
        let (service, security) = (answers.clone(), security.clone());
        async move {
            let entrance = serve(&rt, address, first(peer), security, service, || ()).await;
            watch(&rt, &entrance).await;
        }
    });
    service
}

/// Looks that strangers have no more places than there are: as many of one address as two for each node, 64 in all.
async fn watch(rt: &Rt, entrance: &Entrance) {
    loop {
        let unproven = entrance.unproven();
        assert!(unproven <= 64, "peer.bounded: {unproven} strangers have a place");
        rt.sleep(Duration::from_millis(10)).await;
    }
}

/// A stream of frames of a stranger.
struct Frames {
    stream: Box<dyn Stream>,
    decoder: Decoder,
}

impl Frames {
    fn new(stream: Box<dyn Stream>) -> Frames {
        let decoder = Decoder::new(UNPROVEN_PAYLOAD_BYTES_MAX);
        Frames { stream, decoder }
    }

    async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let mut outgoing = Outgoing::default();
        outgoing.push(frame);
        self.stream.write_all(&outgoing.take()).await
    }

    /// The next frame, or none at the end.
    async fn receive(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            if self.stream.read_buf(self.decoder.buffer()).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Checks that nothing more is said.
    async fn is_told_nothing(&mut self, rt: &Rt) {
        let more = timeout(rt, LASTS, self.receive()).await;
        let more = more.expect("peer.bounded: a stranger is kept");
        assert!(!matches!(more, Ok(Some(_))), "peer.mutual: a stranger is told more");
    }
}

fn stranger(rt: &Rt) -> Introduction {
    Introduction {
        secrets: vec![secret(2)],
        ..introduction(rt, 0)
    }
}

/// Strangers dial a node, and are told versions, an index and a nonce.
pub(super) async fn strangers_dial(world: World) {
    let service = start(&world, 1, session(0));
    sleep(Duration::from_millis(100)).await;
    let to = address(&world, 1);
    let test = move |rt: Rt| async move {
        // It has another secret.
        let mut frames = Frames::new(rt.connect(to).await.expect("connects"));
        let (dialler, hello) = Dialler::begin(stranger(&rt), 1, thread_rng().r#gen());
        frames.send(&hello).await.expect("is taken");
        let theirs = frames.receive().await.expect("a stream").expect("a greeting");
        let (_, proof) = dialler.greeted(&theirs, [0; 32]).expect("a greeting");
        frames.send(&proof).await.expect("is taken");
        frames.is_told_nothing(&rt).await;
        // It has none, and proves nothing, or speaks out of turn.
        let garbage: [u8; 32] = thread_rng().r#gen();
        let proof = Frame::bare(Kind::Proof, garbage.to_vec());
        let request = Frame::bare(Kind::Request, call(1, 0, 0));
        for said in [&[&hello, &proof][..], &[&hello, &request], &[&proof], &[&request]] {
            let mut frames = Frames::new(rt.connect(to).await.expect("connects"));
            for frame in said {
                // It may be gone already.
                frames.send(frame).await.ok();
                if frame.kind == Kind::Hello {
                    frames.receive().await.expect("a stream").expect("a greeting");
                }
            }
            frames.is_told_nothing(&rt).await;
        }
    };
    world.run_on(STRANGER, test).await.expect("alive");
    assert_eq!(service.ran().calls, 0, "peer.mutual: a stranger's call is run");
}

/// Links peer 0 to what is at an address, for a while, and checks that the two do not get to talk.
async fn link_is_refused(world: &World, security: Security, to: SocketAddr, rule: &'static str) {
    let test = move |rt: Rt| async move {
        let link = link(&rt, first(0), 1, security, to);
        for _ in 0..200 {
            rt.sleep(LASTS / 200).await;
            assert!(link.unreachable().is_some(), "{rule}: the two talk");
        }
    };
    world.run_on(node(0), test).await.expect("alive");
}

/// What answers at the address of a node has no secret, and sends back what it gets.
pub(super) async fn strangers_are_dialled(world: World) {
    let at = SocketAddr::new(world.ip(MIDDLE), PORT);
    world.start(MIDDLE, move |rt| async move {
        let listener = rt.listen(at).await.expect("free");
        let mut turn = 0;
        while let Ok((stream, _)) = listener.accept().await {
            turn += 1;
            spawn(
                &rt,
                "stranger",
                answer_as_a_stranger(rt.clone(), turn, Frames::new(stream)),
            );
        }
    });
    sleep(Duration::from_millis(100)).await;
    link_is_refused(&world, session(0), at, "peer.mutual").await;
}

async fn answer_as_a_stranger(rt: Rt, turn: u32, mut frames: Frames) {
    let Ok(Some(hello)) = frames.receive().await else {
        return;
    };
    let nonce = thread_rng().r#gen();
    let its_own = Introduction { me: 1, ..stranger(&rt) };
    let greeted = Responder::greeted(its_own, &hello, nonce, [0; 32]);
    let (_, greeting) = greeted.expect("a greeting");
    // Every other time also the greeting is what it got.
    let greeting = if turn.is_multiple_of(2) { hello } else { greeting };
    frames.send(&greeting).await.ok();
    let Ok(Some(proof)) = frames.receive().await else {
        return;
    };
    let mut last = Some(proof);
    while let Some(mut frame) = last {
        if frame.kind == Kind::Ping {
            frame.kind = Kind::Pong;
        }
        frames.send(&frame).await.ok();
        last = frames.receive().await.ok().flatten();
    }
}

/// Carries bytes both ways between who dials `at` and who listens at `to`. What the first one says is noted.
async fn relay(rt: Rt, at: SocketAddr, to: SocketAddr, heard: Arc<Mutex<Vec<u8>>>) {
    let listener = rt.listen(at).await.expect("free");
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(onwards) = rt.connect(to).await else { continue };
        let ((mut from, mut back), (mut answers, mut onwards)) = (split(stream), split(onwards));
        let heard = heard.clone();
        spawn(&rt, "there", async move {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut bytes).await {
                crate::lock(&heard).extend_from_slice(&bytes[..len]);
                if onwards.write_all(&bytes[..len]).await.is_err() {
                    return;
                }
            }
            onwards.shutdown().await.ok();
        });
        spawn(&rt, "back", async move {
            copy(&mut answers, &mut back).await.ok();
            back.shutdown().await.ok();
        });
    }
}

/// A stranger has a session with each of two nodes, and passes on what they say (`peer.no-replay`).
pub(super) async fn one_sits_in_the_middle(world: World) {
    let service = start(&world, 1, session(1));
    let (at, to) = (SocketAddr::new(world.ip(MIDDLE), PORT), address(&world, 1));
    world.start(MIDDLE, move |rt| relay(rt, at, to, Arc::default()));
    sleep(Duration::from_millis(100)).await;
    link_is_refused(&world, session(2), at, "peer.no-replay").await;
    assert_eq!(service.ran().calls, 0, "peer.no-replay: a call is passed on");
}

/// What a node has said on a connection is said again (`peer.no-replay`).
pub(super) async fn one_says_it_again(world: World) {
    let service = start(&world, 1, session(0));
    let (at, to) = (SocketAddr::new(world.ip(MIDDLE), PORT), address(&world, 1));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    world.start(MIDDLE, move |rt| relay(rt, at, to, noted.clone()));
    sleep(Duration::from_millis(100)).await;
    let ask = move |rt: Rt| async move {
        let link = link(&rt, first(0), 1, session(0), at);
        while link.unreachable().is_some() {
            rt.sleep(Duration::from_millis(10)).await;
        }
        link.call(0, call(1, 0, 0), LASTS).await.expect("an answer");
    };
    world.run_on(node(0), ask).await.expect("alive");
    assert_eq!(service.ran().calls, 1, "it is in the middle of it, and changes nothing");
    let said = crate::lock(&heard).clone();
    let again = move |rt: Rt| async move {
        let mut frames = Frames::new(rt.connect(to).await.expect("connects"));
        frames.stream.write_all(&said).await.ok();
        let greeting = frames.receive().await.expect("a stream");
        assert!(greeting.is_some_and(|frame| frame.kind == Kind::Hello));
        // The end may be a reset, since it has not read all.
        let more = timeout(&rt, LASTS, frames.receive()).await.expect("an end");
        assert!(
            !matches!(more, Ok(Some(_))),
            "peer.no-replay: what was said before counts again"
        );
    };
    world.run_on(STRANGER, again).await.expect("alive");
    assert_eq!(service.ran().calls, 1, "peer.no-replay: a call is run again");
}

/// The address of a node leads to another one, or back to the node itself.
pub(super) async fn addresses_are_mixed_up(world: World) {
    let services = [start(&world, 0, session(0)), start(&world, 2, session(0))];
    sleep(Duration::from_millis(100)).await;
    for peer in [2, 0] {
        link_is_refused(&world, session(0), address(&world, peer), "peer.right-node").await;
    }
    assert!(services.iter().all(|service| service.ran().calls == 0));
}

/// Many strangers connect and say nothing, or half a greeting, while nodes connect and ask (`peer.bounded`).
pub(super) async fn strangers_flood(world: World) {
    let service = start(&world, 1, session(0));
    sleep(Duration::from_millis(100)).await;
    let to = address(&world, 1);
    let flooding = (0..16).map(|number| {
        world.run_on(STRANGER + number, move |rt| async move {
            let mut open = Vec::new();
            for _ in 0..100 {
                if let Ok(mut stream) = rt.connect(to).await {
                    stream
                        .write_all(&[48, 0, 0, 0, 1, 0][..thread_rng().gen_range(0..6)])
                        .await
                        .ok();
                    open.push(stream);
                }
                rt.sleep(Duration::from_millis(thread_rng().gen_range(1..40))).await;
            }
        })
    });
    let flooding = join_all(flooding);
    let asking = [0, 2, 3].map(|peer| {
        world.run_on(node(peer), move |rt| async move {
            rt.sleep(Duration::from_secs(1)).await;
            let link: Link = link(&rt, first(peer), 1, session(0), to);
            let began = rt.mono();
            while link.unreachable().is_some() {
                let passed = rt.mono() - began;
                assert!(passed < LASTS, "peer.bounded: strangers keep a node out");
                rt.sleep(Duration::from_millis(10)).await;
            }
            link.call(0, call(1, 0, 0), LASTS).await.expect("an answer");
        })
    });
    let (_, asked) = futures::future::join(flooding, join_all(asking)).await;
    for asked in asked {
        asked.expect("alive");
    }
    assert_eq!(service.ran().calls, usize::from(NODES) - 1);
}

//! The simulated network: the same script over it and over the host's loopback, and its faults.

use madsim::time::sleep;
use sim::{World, net::Link, run::simulate};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use store::runtime::{Listener, Rt, Stream, real::RealRuntime, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SEEDS: u64 = 20;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn outcome<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// A connection to a listener: the end that connected, and the one that was accepted.
async fn pair(rt: &Rt, listener: &dyn Listener) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let addr = listener.local_addr().expect("bound");
    let (near, far) = futures::join!(rt.connect(addr), listener.accept());
    (near.expect("connects"), far.expect("accepts").0)
}

/// Uses sockets in the ways in which servers and clients do, and says what became of each.
async fn script(rt: Rt, ip: IpAddr) -> Vec<String> {
    let mut said = Vec::new();
    let listener = rt.listen(SocketAddr::new(ip, 0)).await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    said.push(format!("a port of its own: {}", addr.port() != 0));
    said.push(format!("bound twice: {}", outcome(rt.listen(addr).await)));

    let other = rt.listen(SocketAddr::new(ip, 0)).await.expect("a free port");
    let unused = other.local_addr().expect("bound");
    drop(other);
    said.push(format!("nobody listens: {}", outcome(rt.connect(unused).await)));
    said.push(format!("bound again: {}", outcome(rt.listen(unused).await)));

    let (mut near, mut far) = pair(&rt, &*listener).await;
    let sent = bytes(3_000_000);
    let echo = async {
        let mut buf = vec![0; 70_000];
        while let n @ 1.. = far.read(&mut buf).await.expect("reads") {
            far.write_all(&buf[..n]).await.expect("writes");
        }
        far.shutdown().await.expect("shuts down");
    };
    let (mut reader, mut writer) = tokio::io::split(&mut near);
    let send = async {
        writer.write_all(&sent).await.expect("writes");
        writer.shutdown().await.expect("shuts down");
    };
    let mut echoed = Vec::new();
    let receive = async { reader.read_to_end(&mut echoed).await.expect("reads") };
    futures::join!(echo, send, receive);
    said.push(format!("echoed whole: {}", echoed == sent));
    said.push(format!("write after the end: {}", outcome(near.write_all(b"x").await)));
    said.push(format!("read after the end: {:?}", near.read(&mut [0; 9]).await.ok()));

    let (mut near, far) = pair(&rt, &*listener).await;
    near.write_all(b"unread").await.expect("writes");
    rt.sleep(Duration::from_millis(50)).await;
    drop(far);
    said.push(format!(
        "dropped with bytes unread: {}",
        outcome(near.read(&mut [0; 9]).await)
    ));

    let (mut near, mut far) = pair(&rt, &*listener).await;
    near.write_all(b"unread").await.expect("writes");
    far.write_all(b"answer").await.expect("writes");
    rt.sleep(Duration::from_millis(50)).await;
    drop(far);
    rt.sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        let mut buf = [0; 9];
        let read = near.read(&mut buf).await;
        said.push(format!(
            "an answer, then a reset: {:?}",
            read.map_err(|error| error.kind())
        ));
    }

    let (mut near, mut far) = pair(&rt, &*listener).await;
    far.write_all(b"answer").await.expect("writes");
    drop(far);
    rt.sleep(Duration::from_millis(50)).await;
    said.push(format!("shut down behind the peer: {}", outcome(near.shutdown().await)));
    rt.sleep(Duration::from_millis(50)).await;
    let mut answer = Vec::new();
    let read = near.read_to_end(&mut answer).await;
    said.push(format!("and its answer is there: {} {answer:?}", outcome(read)));

    let (mut near, mut far) = pair(&rt, &*listener).await;
    let (_, mut blocked) = tokio::io::split(&mut near);
    let drops = async {
        far.write_all(b"nothing is read").await.expect("writes");
        rt.sleep(Duration::from_millis(300)).await;
        drop(far);
    };
    let many = vec![0; 64 << 20];
    let writes = timeout(&rt, Duration::from_secs(5), blocked.write_all(&many));
    let ((), written) = futures::join!(drops, writes);
    said.push(format!("a blocked writer hears of a reset: {:?}", written.map(outcome)));

    let (mut near, far) = pair(&rt, &*listener).await;
    drop(far);
    rt.sleep(Duration::from_millis(50)).await;
    said.push(format!("dropped: {:?}", near.read(&mut [0; 9]).await.ok()));
    said.push(format!(
        "first write to who is gone: {}",
        outcome(near.write_all(b"x").await)
    ));
    rt.sleep(Duration::from_millis(50)).await;
    said.push(format!("second write: {}", outcome(near.write_all(b"x").await)));

    let (mut near, mut far) = pair(&rt, &*listener).await;
    let (piece, mut written) = (vec![7; 64 << 10], 0);
    while written < 64 << 20
        && let Some(wrote) = timeout(&rt, Duration::from_millis(300), near.write(&piece)).await
    {
        written += wrote.expect("writes");
    }
    said.push(format!("a writer stops before 64 MiB: {}", written < 64 << 20));
    far.read_exact(&mut vec![0; written]).await.expect("reads all");
    let goes_on = timeout(&rt, Duration::from_secs(5), near.write(&piece)).await;
    said.push(format!("and goes on when all is read: {}", goes_on.is_some()));

    let mut order = Vec::new();
    let mut open = Vec::new();
    for number in 0..3 {
        let mut near = rt.connect(addr).await.expect("connects");
        near.write_all(&[number]).await.expect("writes");
        open.push(near);
    }
    for _ in 0..3 {
        let (mut far, peer) = listener.accept().await.expect("accepts");
        order.push((far.read_u8().await.ok(), peer.ip() == ip));
    }
    said.push(format!("accepted: {order:?}"));

    let mut waiting = rt.connect(addr).await.expect("connects");
    drop(listener);
    said.push(format!("never accepted: {}", outcome(waiting.read(&mut [0; 9]).await)));
    said
}

// `sim.network-like-host`
#[test]
#[allow(clippy::disallowed_methods, reason = "the host's own sockets, to compare with")]
fn the_network_answers_as_the_hosts_does() {
    let host = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let host = host.expect("a runtime");
    let expected = host.block_on(async { script(RealRuntime::new(), Ipv4Addr::LOCALHOST.into()).await });
    assert!(expected.len() > 12, "{expected:#?}");
    for seed in 0..SEEDS {
        let expected = expected.clone();
        let run = move |world: World| {
            let expected = expected.clone();
            async move {
                let ip = world.ip(1);
                let said = world.run_on(1, move |rt| script(rt, ip)).await.expect("alive");
                assert_eq!(said, expected);
            }
        };
        simulate(seed, Duration::from_secs(600), run).expect("the script");
    }
}

fn seeds<F>(scenario: impl Fn(World) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    for seed in 0..SEEDS {
        simulate(seed, Duration::from_secs(3600), scenario.clone()).expect("the test");
    }
}

/// Starts a server on node 1 that reads `count` bytes of each connection and answers with their number; with 0 it reads
/// nothing.
fn serve(world: &World, count: usize) -> SocketAddr {
    let addr = SocketAddr::new(world.ip(1), 9000);
    world.start(1, move |rt| async move {
        let listener = rt.listen(addr).await.expect("free");
        let mut idle = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if count == 0 {
                idle.push(stream);
                continue;
            }
            store::runtime::spawn(&rt, "count", async move {
                let mut read = vec![0; count];
                if stream.read_exact(&mut read).await.is_ok() {
                    assert_eq!(read, bytes(count));
                    stream.write_all(&(count as u64).to_be_bytes()).await.ok();
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    addr
}

/// Sends `count` bytes to a server and waits for its answer, for an hour.
async fn send(rt: Rt, addr: SocketAddr, count: usize) -> io::Result<u64> {
    let mut stream = rt.connect(addr).await?;
    stream.write_all(&bytes(count)).await?;
    stream.read_u64().await
}

#[test]
fn links_that_come_and_go_lose_nothing() {
    seeds(|world| async move {
        let addr = serve(&world, 2_000_000);
        let latency = Duration::from_millis(1)..=Duration::from_millis(5);
        let bandwidth = Some(2_000_000);
        world.set_link_quality(2, 1, Link { latency, bandwidth });
        sleep(Duration::from_millis(100)).await;
        let (clock, breaking) = (world.clone(), world.clone());
        let test = move |rt: Rt| async move {
            let mut stream = rt.connect(addr).await.expect("connects");
            let began = clock.now();
            let cuts = madsim::task::spawn(async move {
                for _ in 0..20 {
                    for (from, to) in [(1, 2), (2, 1), (2, 1), (1, 2)] {
                        breaking.set_link(from, to, false);
                        sleep(Duration::from_millis(30)).await;
                        breaking.set_link(from, to, true);
                        sleep(Duration::from_millis(10)).await;
                    }
                }
            });
            stream
                .write_all(&bytes(2_000_000))
                .await
                .expect("what is connected may not fail");
            assert_eq!(stream.read_u64().await.expect("answers"), 2_000_000);
            let took = clock.now() - began;
            assert!(
                took > Duration::from_millis(1500),
                "the cuts were not in the way: {took:?}"
            );
            cuts.await.expect("ends");
        };
        world.run_on(2, test).await.expect("alive");
    });
}

#[test]
fn a_connect_survives_a_short_cut() {
    seeds(|world| async move {
        let addr = serve(&world, 100);
        sleep(Duration::from_millis(100)).await;
        for link in [(1, 2), (2, 1)] {
            world.set_link(link.0, link.1, false);
            let mending = world.clone();
            madsim::task::spawn(async move {
                sleep(Duration::from_millis(1500)).await;
                mending.set_link(link.0, link.1, true);
            });
            let sent = world.run_on(2, move |rt| send(rt, addr, 100)).await.expect("alive");
            assert_eq!(sent.expect("asks again"), 100);
        }
    });
}

#[test]
fn a_link_that_is_cut_one_way_stops_the_writer_and_the_connect() {
    seeds(|world| async move {
        let addr = serve(&world, 3_000_000);
        sleep(Duration::from_millis(100)).await;
        let cutting = world.clone();
        let test = move |rt: Rt| async move {
            let mut stream = rt.connect(addr).await.expect("connects");
            cutting.set_link(1, 2, false);
            let all = bytes(3_000_000);
            let mut write = Box::pin(stream.write_all(&all));
            let written = timeout(&rt, Duration::from_secs(60), &mut write).await;
            assert!(written.is_none(), "nobody says that there is room");
            let connect = timeout(&rt, Duration::from_secs(60), rt.connect(addr)).await;
            let error = connect.expect("silence ends").err().expect("no answer comes");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            cutting.set_link(1, 2, true);
            let written = timeout(&rt, Duration::from_secs(60), write).await;
            written.expect("room is told").expect("writes");
            assert_eq!(stream.read_u64().await.expect("answers"), 3_000_000);
        };
        world.run_on(2, test).await.expect("alive");
    });
}

#[test]
fn a_host_without_power_is_silent_and_has_forgotten_its_connections_when_it_is_back() {
    seeds(|world| async move {
        let addr = serve(&world, 0);
        sleep(Duration::from_millis(100)).await;
        let power = world.clone();
        let test = move |rt: Rt| async move {
            let mut stream = rt.connect(addr).await.expect("connects");
            let mut idle = rt.connect(addr).await.expect("connects");
            power.power_off(1);
            stream
                .write_all(b"into the dark")
                .await
                .expect("nobody says that it is gone");
            let read = timeout(&rt, Duration::from_secs(600), stream.read(&mut [0; 9])).await;
            assert!(read.is_none(), "neither an end nor an error");
            let error = rt.connect(addr).await.err().expect("silence");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            power.restart(1);
            let read = timeout(&rt, Duration::from_secs(5), stream.read(&mut [0; 9])).await;
            let error = read.expect("its bytes are sent again").expect_err("it is forgotten");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            let read = timeout(&rt, Duration::from_secs(600), idle.read(&mut [0; 9])).await;
            assert!(read.is_none(), "one on which nothing was sent stays half open");
            idle.write_all(b"anybody?").await.expect("is taken");
            let read = timeout(&rt, Duration::from_secs(5), idle.read(&mut [0; 9])).await;
            assert!(read.expect("an answer").is_err());
            rt.connect(addr).await.expect("it listens again");
        };
        world.run_on(2, test).await.expect("alive");
    });
}

#[test]
fn a_process_that_is_killed_ends_its_connections_and_one_that_is_paused_does_not() {
    seeds(|world| async move {
        let addr = serve(&world, 3_000_000);
        sleep(Duration::from_millis(100)).await;
        let there = world.clone();
        let test = move |rt: Rt| async move {
            let mut stream = rt.connect(addr).await.expect("connects");
            stream.write_all(b"x").await.expect("writes");
            there.kill(1);
            let end = timeout(&rt, Duration::from_secs(5), stream.read(&mut [0; 9])).await;
            let end = end.expect("the operating system ends it");
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
            let error = rt.connect(addr).await.err().expect("nobody listens");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            there.restart(1);
            rt.sleep(Duration::from_millis(100)).await;

            let mut stream = rt.connect(addr).await.expect("connects");
            there.pause(1);
            let all = bytes(3_000_000);
            let mut write = Box::pin(stream.write_all(&all));
            let written = timeout(&rt, Duration::from_secs(600), &mut write).await;
            assert!(written.is_none(), "it does not read");
            rt.connect(addr).await.expect("its host answers");
            there.resume(1);
            let written = timeout(&rt, Duration::from_secs(60), write).await;
            written.expect("it reads").expect("writes");
            assert_eq!(stream.read_u64().await.expect("it goes on"), 3_000_000);
        };
        world.run_on(2, test).await.expect("alive");
    });
}

#[test]
fn a_process_or_host_that_is_back_at_once_listens_again_and_has_none_of_its_connections() {
    seeds(|world| async move {
        let addr = serve(&world, 0);
        sleep(Duration::from_millis(100)).await;
        let there = world.clone();
        let test = move |rt: Rt| async move {
            for round in 0..4 {
                let mut reading = rt.connect(addr).await.expect("connects");
                let mut writing = rt.connect(addr).await.expect("connects");
                reading.write_all(b"x").await.expect("writes");
                let strike = async {
                    rt.sleep(Duration::from_secs(5)).await;
                    if round == 3 {
                        there.set_link(1, 2, false);
                    }
                    match round {
                        0 => there.kill(1),
                        _ => there.power_off(1),
                    }
                    if round == 2 {
                        there.power_off(1);
                        rt.sleep(Duration::from_secs(60)).await;
                    }
                    there.restart(1);
                    if round == 3 {
                        rt.sleep(Duration::from_secs(5)).await;
                        there.set_link(1, 2, true);
                    }
                };
                let much = vec![0; 3_000_000];
                let writes = timeout(&rt, Duration::from_secs(90), writing.write_all(&much));
                let ((), wrote) = futures::join!(strike, writes);
                wrote.expect("a blocked writer hears of it").expect_err("it is gone");
                if round > 0 {
                    // Its byte was acknowledged: only the next one is answered.
                    reading.write_all(b"x").await.expect("is taken");
                }
                let read = timeout(&rt, Duration::from_secs(5), reading.read(&mut [0; 9])).await;
                let read = read.expect("an answer");
                assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
                rt.connect(addr).await.expect("it listens again");
            }
        };
        world.run_on(2, test).await.expect("alive");
    });
}

#[test]
fn what_a_host_could_not_send_before_it_lost_its_power_is_never_sent() {
    seeds(|world| async move {
        let addr = SocketAddr::new(world.ip(1), 9000);
        world.start(1, move |rt| async move {
            let listener = rt.listen(addr).await.expect("free");
            while let Ok((mut stream, _)) = listener.accept().await {
                store::runtime::spawn(&rt, "greet", async move {
                    if stream.read_u8().await.is_ok() {
                        stream.write_all(b"of the life before").await.ok();
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        sleep(Duration::from_millis(100)).await;
        let there = world.clone();
        let test = move |rt: Rt| async move {
            let mut stream = rt.connect(addr).await.expect("connects");
            there.set_link(1, 2, false);
            stream.write_all(b"x").await.expect("writes");
            rt.sleep(Duration::from_secs(1)).await;
            there.power_off(1);
            there.restart(1);
            there.set_link(1, 2, true);
            let mut buf = [0; 32];
            let read = timeout(&rt, Duration::from_secs(60), stream.read(&mut buf)).await;
            assert!(!matches!(read, Some(Ok(1..))), "{read:?}");
        };
        world.run_on(2, test).await.expect("alive");
    });
}

#[test]
fn links_have_latency_and_bandwidth_and_connections_can_be_reset() {
    seeds(|world| async move {
        let addr = serve(&world, 1_000_000);
        sleep(Duration::from_millis(100)).await;
        let latency = Duration::from_millis(40)..=Duration::from_millis(60);
        world.set_link_quality(
            2,
            1,
            Link {
                latency,
                bandwidth: Some(500_000),
            },
        );
        let (clock, network) = (world.clone(), world.clone());
        let test = move |rt: Rt| async move {
            let began = clock.now();
            assert_eq!(send(rt.clone(), addr, 1_000_000).await.expect("answers"), 1_000_000);
            let took = clock.now() - began;
            assert!(
                took >= Duration::from_millis(2080) && took < Duration::from_secs(4),
                "{took:?}"
            );

            let mut stream = rt.connect(addr).await.expect("connects");
            let other = rt
                .connect(SocketAddr::new(addr.ip(), 1))
                .await
                .err()
                .expect("nobody listens");
            assert_eq!(other.kind(), io::ErrorKind::ConnectionRefused);
            let mut blocked = rt.connect(addr).await.expect("connects");
            let resetting = async {
                rt.sleep(Duration::from_secs(1)).await;
                network.reset_connections(1, 3);
                rt.sleep(Duration::from_secs(1)).await;
                network.reset_connections(1, 2);
            };
            let began = clock.now();
            let (mut buf, much) = ([0; 9], vec![0; 3_000_000]);
            let ((), read, wrote) = futures::join!(resetting, stream.read(&mut buf), blocked.write_all(&much));
            assert_eq!(read.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(wrote.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
            let took = clock.now() - began;
            assert!(took < Duration::from_millis(2100), "both were woken: {took:?}");
        };
        world.run_on(2, test).await.expect("alive");
    });
}

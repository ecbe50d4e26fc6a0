//! Simulated runtime: executors, clocks, kills, and failures that the runner must notice.

use madsim::time::sleep;
use sim::{World, run::simulate};
use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use store::runtime::{Gone, Lane, Rt, cpu, random_id, run, spawn, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn seeds<F>(scenario: impl Fn(World) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    for seed in 0..20 {
        simulate(seed, Duration::from_secs(600), scenario.clone()).expect("the test");
    }
}

#[test]
fn commits_run_in_order_and_data_jobs_do_not() {
    let mixed = Arc::new(AtomicU32::new(0));
    let count = mixed.clone();
    seeds(move |world| {
        let count = count.clone();
        async move {
            let commits = world.run_on(1, |rt| order_of(rt, Lane::Commit)).await.expect("alive");
            assert_eq!(commits, (0..20).collect::<Vec<_>>());
            let data = world.run_on(1, |rt| order_of(rt, Lane::Data)).await.expect("alive");
            assert_eq!(data.len(), 20);
            count.fetch_add(u32::from(!data.is_sorted()), Ordering::Relaxed);
        }
    });
    assert_eq!(mixed.load(Ordering::Relaxed), 20);
}

/// Returns the order in which jobs ran that were submitted in ascending order.
async fn order_of(rt: Rt, lane: Lane) -> Vec<u32> {
    let executor = rt.executor("/drive");
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs = (0..20).map(|n| {
        let order = order.clone();
        executor.run_boxed(lane, Box::new(move || order.lock().expect("no panic").push(n)))
    });
    futures::future::join_all(jobs).await;
    let ran = order.lock().expect("no panic");
    ran.clone()
}

#[test]
fn a_job_that_nobody_waits_for() {
    let ran = Arc::new(Mutex::new((0, 0)));
    let counts = ran.clone();
    seeds(move |world| {
        let counts = counts.clone();
        async move {
            let (commits, data) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let counters = [(Lane::Commit, commits.clone()), (Lane::Data, data.clone())];
            let test = |rt: Rt| async move {
                let executor = rt.executor("/drive");
                for (lane, counter) in counters {
                    drop(executor.run_boxed(lane, Box::new(move || _ = counter.fetch_add(1, Ordering::Relaxed))));
                }
            };
            world.run_on(1, test).await.expect("alive");
            sleep(Duration::from_secs(1)).await;
            let mut counts = counts.lock().expect("no panic");
            counts.0 += commits.load(Ordering::Relaxed);
            counts.1 += data.load(Ordering::Relaxed);
        }
    });
    let (commits, data) = *ran.lock().expect("no panic");
    assert_eq!(commits, 20);
    assert!(data > 0 && data < 20, "{data} of 20 data jobs ran");
}

#[test]
fn a_hung_drive_runs_nothing_until_it_recovers() {
    seeds(|world| async move {
        let drive = world.drive(1, "/drive");
        let test = |rt: Rt| async move {
            let (executor, other) = (rt.executor("/drive/below"), rt.executor("/other"));
            drive.set_faults(|faults| faults.hung = true);
            for lane in [Lane::Commit, Lane::Data] {
                assert_eq!(
                    timeout(&rt, Duration::from_secs(9), run(&executor, lane, || 1)).await,
                    None
                );
                assert_eq!(
                    timeout(&rt, Duration::from_secs(9), run(&other, lane, || 1)).await,
                    Some(Ok(1))
                );
            }
            drive.set_faults(|faults| faults.hung = false);
            assert_eq!(
                timeout(&rt, Duration::from_secs(9), run(&executor, Lane::Commit, || 2)).await,
                Some(Ok(2))
            );
        };
        world.run_on(1, test).await.expect("alive");
    });
}

#[test]
fn a_panic_in_a_job_is_contained_and_still_reported() {
    let doomed = || -> u32 { panic!("expected by the test") };
    seeds(move |world| async move {
        let test = move |rt: Rt| async move {
            let executor = rt.executor("/drive");
            assert_eq!(run(&executor, Lane::Commit, doomed).await, Err(Gone));
            assert_eq!(cpu(&rt, doomed).await, Err(Gone));
            assert_eq!(run(&executor, Lane::Commit, || 1).await, Ok(1));
        };
        world.run_on(1, test).await.expect("alive");
        assert_eq!(world.take_job_panics(), ["expected by the test"; 2]);
    });
    let unnoticed = simulate(0, Duration::from_secs(1), move |world| async move {
        let answer = world.run_on(1, move |rt| async move { cpu(&rt, doomed).await });
        assert_eq!(answer.await.expect("alive"), Err(Gone));
    });
    assert!(
        unnoticed
            .expect_err("a failure")
            .message
            .contains("jobs panicked: [\"expected by the test\"]")
    );
}

#[test]
fn a_killed_node_runs_tasks_again_in_a_new_process() {
    seeds(|world| async move {
        let (waiting, there) = (world.clone(), world.clone());
        let killed = madsim::task::spawn(async move { waiting.run_on(1, |_| std::future::pending::<()>()).await });
        sleep(Duration::from_millis(10)).await;
        there.kill(1);
        assert_eq!(killed.await.expect("ends"), Err(Gone));
        world.restart(1);
        assert_eq!(world.run_on(1, |_| async { 1 }).await, Ok(1));
    });
}

#[test]
fn hosts_are_looked_up_by_name_or_address() {
    seeds(|world| async move {
        let (there, moved) = (world.clone(), world.ip(9));
        let test = move |rt: Rt| async move {
            let resolve = async |host: &str| {
                let found = rt.resolve(host.to_owned(), 9000).await;
                found.map_err(|error| error.kind())
            };
            let at = |ip| Ok(vec![SocketAddr::new(ip, 9000)]);
            assert_eq!(resolve("node300").await, at(there.ip(300)));
            for literal in ["10.1.2.3", "::1"] {
                assert_eq!(resolve(literal).await, at(literal.parse().expect("an address")));
            }
            for unknown in ["", "node", "node70000", "nodes", "s3.example.com"] {
                assert_eq!(resolve(unknown).await, Err(ErrorKind::NotFound), "{unknown}");
            }
            there.set_addresses("s3.example.com", [moved, there.ip(300)]);
            let two = [moved, there.ip(300)].map(|ip| SocketAddr::new(ip, 9000));
            assert_eq!(resolve("s3.example.com").await, Ok(two.to_vec()));
            there.set_addresses("node300", []);
            assert_eq!(resolve("node300").await, Err(ErrorKind::NotFound));
        };
        world.run_on(1, test).await.expect("alive");
    });
}

#[test]
fn a_link_that_is_down_is_silent() {
    seeds(|world| async move {
        let addr = SocketAddr::new(world.ip(1), 9000);
        world.start(1, move |rt| async move {
            let listener = rt.listen(addr).await.expect("free");
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(b"hello").await.expect("writes");
                stream.flush().await.expect("flushes");
            }
        });
        sleep(Duration::from_millis(100)).await;
        let greeting = move |rt: Rt| async move {
            let hello = async {
                let mut bytes = [0; 5];
                rt.connect(addr).await?.read_exact(&mut bytes).await?;
                std::io::Result::Ok(bytes)
            };
            timeout(&rt, Duration::from_secs(60), hello)
                .await
                .expect("an answer or an error")
                .ok()
        };
        assert_eq!(world.run_on(2, greeting).await, Ok(Some(*b"hello")));
        for (from, to) in [(1, 2), (2, 1)] {
            world.set_link(from, to, false);
        }
        assert_eq!(world.run_on(2, greeting).await, Ok(None));
        for (from, to) in [(1, 2), (2, 1)] {
            world.set_link(from, to, true);
        }
        assert_eq!(world.run_on(2, greeting).await, Ok(Some(*b"hello")));
    });
}

#[test]
fn a_kill_stops_tasks_and_jobs_and_a_restart_begins_anew() {
    seeds(|world| async move {
        let (ticks, starts) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (tick, start) = (ticks.clone(), starts.clone());
        world.start(1, move |rt| {
            let (tick, start) = (tick.clone(), start.clone());
            async move {
                start.fetch_add(1, Ordering::Relaxed);
                let executor = rt.executor("/drive");
                spawn(&rt.clone(), "ticking", async move {
                    loop {
                        let tick = tick.clone();
                        run(&executor, Lane::Data, move || tick.fetch_add(1, Ordering::Relaxed))
                            .await
                            .expect("runs");
                        rt.sleep(Duration::from_millis(5)).await;
                    }
                });
                std::future::pending::<()>().await;
            }
        });
        sleep(Duration::from_secs(1)).await;
        let before = ticks.load(Ordering::Relaxed);
        assert!(before > 10);
        world.kill(1);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ticks.load(Ordering::Relaxed), before);
        world.restart(1);
        sleep(Duration::from_secs(1)).await;
        assert!(ticks.load(Ordering::Relaxed) > before + 10);
        assert_eq!(starts.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn clocks_have_offset_and_drift() {
    seeds(|world| async move {
        world.set_clock_drift(1, 100_000);
        let (here, there) = (world.runtime(2), world.runtime(1));
        let begun = (here.mono(), there.mono(), here.wall_nanos(), there.wall_nanos());
        sleep(Duration::from_secs(10)).await;
        let passed = (here.mono() - begun.0, there.mono() - begun.1);
        assert!(
            passed.1 > passed.0.mul_f64(1.0999) && passed.1 < passed.0.mul_f64(1.1001),
            "{passed:?}"
        );
        let wall = (here.wall_nanos() - begun.2, there.wall_nanos() - begun.3);
        assert_eq!(
            (u128::from(wall.0), u128::from(wall.1)),
            (passed.0.as_nanos(), passed.1.as_nanos())
        );

        world.set_clock_offset(1, -1_000_000_000_000);
        assert!(there.wall_nanos() < begun.3, "the wall clock steps back");
        assert!(there.mono() >= begun.1 + passed.1, "the monotonic one does not");

        let before = world.now();
        there.sleep(Duration::from_secs(11)).await;
        let waited = world.now() - before;
        assert!(
            waited > Duration::from_millis(9_990) && waited < Duration::from_millis(10_010),
            "{waited:?}"
        );
        assert_ne!(random_id(&here), random_id(&here));
    });
}

#[test]
fn a_run_that_panics_hangs_or_takes_too_long_fails() {
    let limit = Duration::from_secs(5);
    let message = |run: Result<Vec<String>, sim::run::Failure>| run.expect_err("a failure").message;
    let panics = simulate(0, limit, |world| async move {
        world.event(3, "until here");
        panic!("seen");
    });
    let failure = panics.expect_err("a failure");
    assert_eq!(failure.message, "seen");
    assert!(failure.trace[0].ends_with("0 n3 until here"), "{:?}", failure.trace);
    assert!(message(simulate(0, limit, |_| sleep(Duration::from_secs(9)))).contains("time limit"));
    assert!(message(simulate(0, limit, |_| std::future::pending())).contains("all tasks will block"));
}

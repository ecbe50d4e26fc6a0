//! Run of a seed: lives of the node under fault injection, then recovery without faults, then the checks.

use super::{
    gremlin::{CAPACITY_BYTES, calm, damage, ends_with_power, inject_faults},
    hang::HungDrives,
    plan::{Fault, Kind, Plan},
    remote,
};
use crate::{
    SimDrive, World,
    workload::{Answered, BUCKET, KEYS, OPERATION_MAX, Workload, clients, random},
};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use std::{
    collections::BTreeSet,
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use store::{
    background::recovery::Recovered,
    drive::DriveStatus,
    node::{self, IndexPolicy, NodeConfig},
    runtime::{self, Rt},
    store::{Store, StoreError},
};

pub const NODE: u32 = 1;

/// Most recoveries until no folder is left behind.
const RECOVERIES: usize = 5;

/// Longest pause between a client's operations while drives hang for minutes.
const STANDING_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Interval of the checks that drives serve.
const WATCH: Duration = Duration::from_millis(200);
/// Exceeds the time in which a drive notices free space, or that it may bring its index to rest.
const TEND: Duration = Duration::from_millis(2500);

/// State that clients and supervisor share outside of the node, so that it survives power loss.
pub struct Shared {
    pub workload: Workload,
    pub plan: Plan,
    phase: Mutex<Phase>,
    /// True while the node is up and no fault may disturb its start any more.
    serving: AtomicBool,
    /// True once the node has served.
    served: AtomicBool,
    /// True while every drive that may hang does, for minutes.
    standing: AtomicBool,
    /// True once the node has completed its phase.
    reached: AtomicBool,
    /// Pair of drives that is swapped.
    swapped: Mutex<(usize, usize)>,
    /// Mounts of removed drives; `wiped` has those of wiped ones.
    out: Mutex<BTreeSet<PathBuf>>,
    pub hangs: HungDrives,
    wiped: Mutex<BTreeSet<PathBuf>>,
}

/// Counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// [`HungDrives::checked`].
    pub hung: (u64, u64),
    /// Requests that were answered over HTTP with success, or refused by their condition.
    pub answered: Answered,
}

/// Task of the node once it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Clients work until the node is killed or loses power.
    Work,
    /// Drives are swapped: the node finds them at their new paths, or refuses them.
    Swapped,
    /// Without clients: recovery after the last life, then a clean stop.
    Settle,
    /// Every key is read.
    Verify,
    /// Every key is written.
    Progress,
}

impl Deref for Shared {
    type Target = Workload;

    fn deref(&self) -> &Workload {
        &self.workload
    }
}

impl Shared {
    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }

    fn set_phase(&self, phase: Phase) {
        *self.phase.lock().expect("no panic") = phase;
        self.set_calm(phase != Phase::Work);
    }

    /// Returns a random pause between two operations of a client. It is long while drives hang for minutes: most
    /// operations fail at once then, and a run would be tens of thousands of them long.
    pub fn pause(&self) -> Duration {
        let standing = self.standing.load(Ordering::Relaxed);
        random(if standing {
            STANDING_PAUSE_MAX
        } else {
            self.plan.pause_max
        })
    }

    /// Returns the drives that are removed or wiped.
    pub fn gone(&self, drives: &[SimDrive]) -> Vec<SimDrive> {
        let (out, wiped) = (self.out.lock().expect("no panic"), self.wiped.lock().expect("no panic"));
        let gone = |drive: &&SimDrive| out.contains(drive.mount()) || wiped.contains(drive.mount());
        drives.iter().filter(gone).cloned().collect()
    }

    pub fn pulled(&self, drive: &SimDrive) {
        self.out.lock().expect("no panic").insert(drive.mount().to_owned());
    }

    pub fn wiped(&self, drive: &SimDrive) {
        self.wiped.lock().expect("no panic").insert(drive.mount().to_owned());
    }

    /// Reinserts drives that were removed.
    pub fn put_back(&self, drives: &[SimDrive]) {
        let mut out = self.out.lock().expect("no panic");
        for drive in drives.iter().filter(|drive| out.remove(drive.mount())) {
            drive.insert();
        }
    }
}

/// Runs a seed.
pub async fn one_node(world: World, kind: Kind) {
    one_node_as(world, kind, |_| {}).await;
}

/// Runs a seed with a plan that `change` adapts after it is drawn.
pub async fn one_node_as(world: World, kind: Kind, change: fn(&mut Plan)) -> Report {
    let mut plan = Plan::draw(kind);
    plan.http = kind == Kind::Honest && world.seed() % 10 == 7;
    plan.link_faults = (world.seed() / 10).is_multiple_of(2);
    change(&mut plan);
    // Rot at the end of a log looks like a torn entry: its drive loses those commits (`specs/format.md`), which a
    // replay would report.
    if kind == Kind::Honest && !world.is_mutated() && plan.index_rot == 0.0 {
        world.replay_machines();
    }
    world.event(NODE, &format!("{plan:?}"));
    let drives: Vec<_> = paths(&plan).into_iter().map(|path| world.drive(NODE, path)).collect();
    drives.iter().for_each(calm);
    let shared = Arc::new(Shared {
        workload: Workload::new(&world, plan.settings()),
        plan,
        phase: Mutex::new(Phase::Work),
        serving: AtomicBool::new(false),
        served: AtomicBool::new(false),
        standing: AtomicBool::new(false),
        reached: AtomicBool::new(false),
        swapped: Mutex::default(),
        out: Mutex::default(),
        hangs: HungDrives::default(),
        wiped: Mutex::default(),
    });
    let server = shared.clone();
    world.start(NODE, move |rt| live(rt, server.clone()));
    if shared.plan.http {
        remote::start(&shared);
    }
    for life in 0..shared.plan.lives {
        if life > 0 {
            between_lives(&shared, &drives).await;
            world.restart(NODE);
        }
        lie(&shared, &drives, true);
        let length = random(shared.plan.life_max) + Duration::from_millis(5);
        let cut = remote::disturbed(&shared, inject_faults(&shared, &drives, length)).await;
        stand_still(&shared, &drives).await;
        end_life(&shared, &drives, cut);
    }
    if shared.plan.http {
        remote::stop(&shared);
    }
    calm_down(&shared, &drives).await;
    check(&shared);
    let answered = shared.answered.lock().expect("no panic").clone();
    Report {
        hung: shared.hangs.checked(),
        answered,
    }
}

/// Turns lying syncs of the victims on or off, if the plan has a lying drive.
fn lie(shared: &Shared, drives: &[SimDrive], lies: bool) {
    if shared.plan.kind == Kind::Lying {
        for victim in shared.plan.victims() {
            // A lying sync in the first start leaves a drive that is refused by name: only after that do drives lie.
            let lies = lies && shared.served.load(Ordering::Relaxed);
            drives[victim].set_faults(|faults| faults.lying_sync = if lies { 0.3 } else { 0.0 });
        }
    }
}

/// Hangs every drive that may hang, if that leaves too few for a quorum: even so every operation must end.
async fn stand_still(shared: &Shared, drives: &[SimDrive]) {
    let plan = &shared.plan;
    let spare = (plan.set_size - 1) / 2;
    let too_few = plan.sets.iter().all(|set| set.absentees.len() > spare);
    if plan.has(Fault::Hang) && too_few && shared.is_serving() && thread_rng().gen_bool(0.3) {
        shared.hangs.struck(plan.absentees());
        for absentee in plan.absentees() {
            drives[absentee].set_faults(|faults| faults.hung = true);
        }
        shared.standing.store(true, Ordering::Relaxed);
        sleep(OPERATION_MAX * 5 / 4).await;
        shared.standing.store(false, Ordering::Relaxed);
    }
}

fn end_life(shared: &Shared, drives: &[SimDrive], cut: bool) {
    let cut = cut || drives.iter().any(SimDrive::is_cut);
    shared
        .hangs
        .struck((0..drives.len()).filter(|index| drives[*index].is_cut()));
    let world = &shared.world;
    if ends_with_power(&shared.plan, cut) {
        world.power_off(NODE);
    } else {
        world.kill(NODE);
    }
    shared.serving.store(false, Ordering::Relaxed);
    for drive in drives {
        calm(drive);
        drive.cut_after(u64::MAX);
    }
    // Until all drives are formatted, a start needs every one of them (`format.complete-after-all`).
    if shared.served.load(Ordering::Relaxed) {
        damage(shared, drives);
    }
}

async fn between_lives(shared: &Arc<Shared>, drives: &[SimDrive]) {
    let plan = &shared.plan;
    // A removed drive may come back later. A lone one must not: a store that finds no drive formats a new one.
    if !thread_rng().gen_bool(0.3) || plan.drives == 1 {
        shared.put_back(drives);
    }
    let served = shared.served.load(Ordering::Relaxed);
    if served
        && plan.drives > 1
        && shared.gone(drives).is_empty()
        && thread_rng().gen_bool(plan.late_drive)
        && let Some(late) = plan.absentees().choose(&mut thread_rng())
    {
        shared.hangs.struck([*late]);
        drives[*late].remove();
        shared.pulled(&drives[*late]);
    }
    if served && plan.drives > 1 && shared.gone(drives).is_empty() && thread_rng().gen_bool(plan.swap) {
        // Swaps two drives whose formats are undamaged.
        let rotten = plan.index_victims();
        let intact = (0..drives.len()).filter(|n| !rotten.contains(n));
        let mut swapped: Vec<usize> = intact.collect();
        swapped.shuffle(&mut thread_rng());
        *shared.swapped.lock().expect("no panic") = (swapped[0], swapped[1]);
        shared.hangs.struck(swapped[..2].iter().copied());
        drives[swapped[0]].swap(&drives[swapped[1]]);
        pass(shared, Phase::Swapped).await;
        drives[swapped[0]].swap(&drives[swapped[1]]);
        shared.set_phase(Phase::Work);
    }
}

/// Ends fault injection, and checks that the node recovers, serves reads and writes, and survives more rot.
async fn calm_down(shared: &Arc<Shared>, drives: &[SimDrive]) {
    shared.put_back(drives);
    lie(shared, drives, false);
    pass(shared, Phase::Settle).await;
    let stopped: Vec<_> = drives.iter().map(|drive| drive.files_below("data")).collect();
    pass(shared, Phase::Verify).await;
    if shared.plan.kind == Kind::Honest {
        for (drive, files) in drives.iter().zip(stopped) {
            let swept = files.difference(&drive.files_below("data")).count();
            let path = drive.mount().display();
            assert_eq!(
                swept, 0,
                "drive.removed-after-jobs: files that a clean stop left on {path}"
            );
        }
    }
    if shared.plan.progress {
        pass(shared, Phase::Progress).await;
        pass(shared, Phase::Settle).await;
    }
    if shared.plan.kind == Kind::Honest {
        // Waits until the indexes are at rest: reads may have settled votes.
        sleep(TEND).await;
        for victim in shared.plan.victims() {
            for _ in 0..20 {
                drives[victim].rot_anywhere();
            }
            // No commit is in progress that rot could take back (`drive.index-verified`).
            let bits = [0, 3, 200][thread_rng().gen_range(0..3)];
            drives[victim].rot(".minio.sys/index.redb", bits);
        }
        pass(shared, Phase::Verify).await;
    }
}

/// Checks that the recorded histories and listings are possible.
fn check(shared: &Shared) {
    if shared.plan.kind == Kind::Lying {
        let verdict = shared.histories.check().map_err(|(key, _)| key);
        return shared.world.event(NODE, &format!("with a lying drive: {verdict:?}"));
    }
    // A client of HTTP may complete an upload again (`specs/s3.md`).
    shared.workload.check(shared.plan.http);
}

/// Restarts the node for a phase and waits until it has completed it.
async fn pass(shared: &Arc<Shared>, phase: Phase) {
    shared.set_phase(phase);
    shared.reached.store(false, Ordering::Relaxed);
    shared.world.restart(NODE);
    while !shared.reached.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(50)).await;
    }
    shared.world.kill(NODE);
}

/// Runs one life of the node.
async fn live(rt: Rt, shared: Arc<Shared>) {
    let phase = *shared.phase.lock().expect("no panic");
    let config = NodeConfig {
        drives: paths(&shared.plan),
        set_size: shared.plan.set_size,
        standard_parity: shared.plan.parity,
        reduced_parity: shared.plan.parity.min(1),
        index: index_policy(&shared.plan),
    };
    let opened = node::open(rt.clone(), config).await;
    if phase == Phase::Swapped {
        let node = opened.unwrap_or_else(|error| panic!("format.by-identity: swapped drives: {error}"));
        check_swapped(&node.store, &shared).await;
        shared.reached.store(true, Ordering::Relaxed);
        return std::future::pending().await;
    }
    let node = match opened {
        Ok(node) => node,
        // A power failure during startup.
        Err(error) if shared.world.drives(NODE).iter().any(SimDrive::is_cut) => {
            shared.world.event(NODE, &format!("no start: {error}"));
            return std::future::pending().await;
        }
        Err(error) => panic!("a node with a drive that serves starts: {error}"),
    };
    let store = node.store.clone();
    match phase {
        Phase::Work => {
            shared.serving.store(true, Ordering::Relaxed);
            shared.served.store(true, Ordering::Relaxed);
            if shared.plan.recover_beside {
                let (beside, grace) = (shared.clone(), random(Duration::from_millis(300)));
                runtime::spawn(&rt, "recover", async move {
                    let recovered = node.recover(grace).await;
                    beside.world.event(NODE, &format!("recovered {recovered:?}"));
                });
            } else {
                let recovered = node.recover(Duration::ZERO).await;
                shared.world.event(NODE, &format!("recovered {recovered:?}"));
            }
            if shared.plan.http {
                runtime::spawn(&rt, "http", remote::serve(rt.clone(), store.clone(), shared.clone()));
            } else {
                create_bucket(&rt, &store).await;
            }
            if shared.plan.kind == Kind::Honest {
                runtime::spawn(&rt, "watch", watch(store.clone(), shared.clone()));
            }
            let inside = if shared.plan.http { 0 } else { shared.plan.clients };
            for client in 0..inside {
                runtime::spawn(&rt, "client", work(client, store.clone(), shared.clone()));
            }
            std::future::pending::<()>().await;
        }
        Phase::Settle => {
            if shared.plan.vanish > 0.0 {
                leave(&store, &shared).await;
            }
            // By then the sweep of leftovers of the last life has ended.
            sleep(TEND).await;
            let recovered: Recovered = shared.ends("recovery", node.recover(Duration::ZERO)).await;
            let lies = shared.plan.kind == Kind::Lying;
            assert!(recovered.left == 0 || lies, "live.resolves: {recovered:?}");
            let mut again: Recovered = shared.ends("recovery", node.recover(Duration::ZERO)).await;
            assert!(again.ended == 0 || lies, "multipart.leaves-nothing: {again:?}");
            // A drive that was too slow for one recovery takes part in the next.
            for _ in 0..RECOVERIES {
                if again == Recovered::default() {
                    break;
                }
                again = shared.ends("recovery", node.recover(Duration::ZERO)).await;
            }
            assert!(again.dropped == 0 || lies, "drive.no-garbage: {again:?}");
            shared.ends("close", store.close()).await;
        }
        Phase::Verify => {
            verify(&store, &shared).await;
            if shared.plan.http && store.bucket(BUCKET).await.is_ok() {
                runtime::spawn(&rt, "http", remote::serve(rt.clone(), store.clone(), shared.clone()));
                remote::verify(&shared).await;
            }
            // By then the sweep has ended.
            sleep(TEND).await;
        }
        Phase::Progress => progress(&store, &shared).await,
        Phase::Swapped => {}
    }
    shared.reached.store(true, Ordering::Relaxed);
    std::future::pending::<()>().await;
}

/// Runs a client until its node is killed.
async fn work(client: usize, store: Arc<Store>, shared: Arc<Shared>) {
    loop {
        let key = *KEYS.choose(&mut thread_rng()).expect("there are keys");
        let what = shared.what();
        let operation = clients::operation(&store, &shared, key, what);
        let drives = shared.world.drives(NODE);
        // A step of an upload consists of many operations, so the bound for one does not apply.
        let watched = (what < 100).then(|| shared.hangs.begin(&shared.world, &shared.plan, &drives));
        let result = shared.ends("an operation", operation).await;
        let event = format!("client {client}: {key} {what} {result:?}");
        shared
            .hangs
            .end(&shared.world, &drives, watched.flatten().as_ref(), &event);
        shared.world.event(NODE, &event);
        store.rt().sleep(shared.pause()).await;
    }
}

async fn create_bucket(rt: &Rt, store: &Arc<Store>) {
    while !matches!(store.create_bucket(BUCKET).await, Ok(_) | Err(StoreError::BucketExists)) {
        rt.sleep(Duration::from_millis(10)).await;
    }
}

fn index_policy(plan: &Plan) -> IndexPolicy {
    let mut policy = IndexPolicy::default();
    if let Some(rows) = plan.log_rows {
        policy.log_rows = rows;
    }
    if let Some(interval) = plan.compaction {
        (policy.wasted_bytes_min, policy.interval) = (0, interval);
    }
    policy
}

/// Starts puts that are cancelled before they end.
async fn leave(store: &Arc<Store>, shared: &Arc<Shared>) {
    for key in KEYS {
        // Fails if there is no bucket, which is fine.
        shared.ends("a put", clients::vanish(store, shared, key)).await.ok();
    }
}

/// Checks that swapped drives are found at each other's paths, or refused by name if they are of different sets.
async fn check_swapped(store: &Arc<Store>, shared: &Arc<Shared>) {
    let (a, b) = *shared.swapped.lock().expect("no panic");
    let survey = store.survey().await;
    let found: Vec<&DriveStatus> = survey.drives().map(|(_, _, drive)| &drive.status).collect();
    if a / shared.plan.set_size == b / shared.plan.set_size {
        let paths = paths(&shared.plan);
        let is_at = |drive: usize, other: usize| found[drive].path == paths[other].display().to_string();
        assert!(is_at(a, b) && is_at(b, a), "format.by-identity: {found:?}");
    } else {
        let by_name = |drive: usize| {
            let reason = found[drive].state.reason();
            reason.is_some_and(|reason| reason.contains("of erasure set"))
        };
        assert!(by_name(a) && by_name(b), "format.by-identity: {found:?}");
    }
}

/// Checks that everything is readable despite the damage to the victims.
async fn verify(store: &Arc<Store>, shared: &Arc<Shared>) {
    let lies = shared.plan.kind == Kind::Lying;
    if let Err(error) = store.bucket(BUCKET).await {
        assert!(
            lies || error == StoreError::NoSuchBucket,
            "the buckets cannot be read: {error}"
        );
        let unused = shared.is_unused();
        assert!(lies || unused, "the bucket is lost");
        return;
    }
    for key in KEYS {
        let read = shared.ends("a read", clients::get(store, shared, key)).await;
        assert!(read.is_ok() || lies, "put.acked-survives: {key}: {read:?}");
    }
    let listed = shared.ends("a listing", clients::list(store, shared)).await;
    assert!(listed.is_ok() || lies, "a listing of the survivors: {listed:?}");
}

/// Checks that a drive that no fault has struck serves (`drive.offline-has-a-cause`), whatever clients do and whatever
/// happens to other drives.
async fn watch(store: Arc<Store>, shared: Arc<Shared>) {
    let plan = &shared.plan;
    let may_fail: BTreeSet<usize> = plan.absentees().into_iter().chain(plan.victims()).collect();
    loop {
        sleep(WATCH).await;
        for (set, place, drive) in store.survey().await.drives() {
            let index = set * plan.set_size + place;
            let DriveStatus { path, state, .. } = &drive.status;
            assert!(
                drive.status.is_online() || may_fail.contains(&index),
                "drive.offline-has-a-cause: {path}: {state:?}"
            );
        }
    }
}

/// Checks that every key can be written, and deleted even when the drives are full (`drive.full-still-deletes`).
async fn progress(store: &Arc<Store>, shared: &Arc<Shared>) {
    let lies = shared.plan.kind == Kind::Lying;
    let created = store.create_bucket(BUCKET).await;
    assert!(
        lies || matches!(created, Ok(_) | Err(StoreError::BucketExists)),
        "{created:?}"
    );
    if shared.plan.full_at_the_end {
        sleep(TEND).await;
        for drive in shared.world.drives(NODE) {
            let capacity_bytes = drive.used_bytes();
            drive.set_faults(|faults| faults.capacity_bytes = capacity_bytes);
        }
        for key in KEYS {
            let deleted = shared.ends("a delete", clients::delete(store, shared, key)).await;
            assert!(deleted.is_ok() || lies, "drive.full-still-deletes: {key}: {deleted:?}");
        }
        for drive in shared.world.drives(NODE) {
            drive.set_faults(|faults| faults.capacity_bytes = CAPACITY_BYTES);
        }
        sleep(TEND).await;
    }
    for key in KEYS {
        let put = shared.ends("a put", clients::put_value(store, shared, key)).await;
        assert!(put.is_ok() || lies, "live.resolves: {key} cannot be written: {put:?}");
    }
}

fn paths(plan: &Plan) -> Vec<PathBuf> {
    (1..=plan.drives).map(|n| PathBuf::from(format!("/d{n}"))).collect()
}

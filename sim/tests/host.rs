//! Comparison of the simulated file system with the host's: the same random calls on both, without faults.

use madsim::rand::{Rng, seq::SliceRandom, thread_rng};
use sim::run::simulate;
use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::runtime::{File, Files, Kind, OpenMode, real::RealRuntime};

const CALLS: usize = 800;

/// One of the two file systems, and the folder in which the test runs.
struct Side {
    host: Arc<dyn Files>,
    /// File system that the calls go to.
    files: Arc<dyn Files>,
    folder: PathBuf,
    open: Vec<Arc<dyn File>>,
}

impl Side {
    fn new(host: Arc<dyn Files>, folder: PathBuf) -> Side {
        Side {
            files: host.clone(),
            host,
            folder,
            open: Vec::new(),
        }
    }

    /// Removes the content of a folder below the test's.
    fn remove_all(&self, below: &Path) {
        for entry in self.files.read_dir(&self.folder.join(below)).expect("a folder") {
            let path = below.join(entry.name);
            match entry.kind {
                Kind::Folder => {
                    self.remove_all(&path);
                    self.files.remove_dir(&self.folder.join(path)).expect("it is empty");
                }
                _ => self.files.remove_file(&self.folder.join(path)).expect("a file"),
            }
        }
    }
}

// `sim.drive-like-host`
#[test]
fn the_simulated_drive_behaves_like_the_host() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().expect("a folder");
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("tokio");
        let entered = tokio.enter();
        let files = RealRuntime::new().files();
        drop(entered);
        files.create_dir_all(&folder.path().join("test")).expect("makes");
        let host = Side::new(files, folder.path().join("test"));
        let run = simulate(seed, Duration::from_secs(1), |world| async move {
            world.drive(1, "/drive");
            let files = world.runtime(1).files();
            files.create_dir_all(Path::new("/drive/test")).expect("makes");
            let mut sides = [host, Side::new(files, "/drive/test".into())];
            let mut succeeded = (0..CALLS).filter(|_| call(&mut sides)).count();
            // Work below an open folder that is then renamed, so that no path of the host's reaches it any more.
            for side in &mut sides {
                side.files = side.host.rooted(&side.folder).expect("opens");
            }
            succeeded += (0..CALLS).filter(|_| call(&mut sides)).count();
            for side in &mut sides {
                let away = side.folder.with_file_name("away");
                side.host.rename(&side.folder, &away).expect("renames");
            }
            succeeded += (0..CALLS).filter(|_| call(&mut sides)).count();
            assert!(succeeded > CALLS, "{succeeded} calls did something");
            for side in &mut sides {
                let found = side.host.kind(&side.folder).map_err(|error| error.kind());
                assert_eq!(found, Err(io::ErrorKind::NotFound));
                let outside = side.files.kind(&side.folder.with_file_name("away"));
                assert_eq!(outside.map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput));
                side.remove_all(Path::new(""));
                let away = side.folder.with_file_name("away");
                side.host.remove_dir(&away).expect("it is empty");
                let made = side.files.create_dir_all(&side.folder.join("a"));
                assert_eq!(made.map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
            }
        });
        run.expect("the same answers");
    }
}

/// Makes one random call on both sides and compares the answers. Returns whether it succeeded.
fn call(sides: &mut [Side; 2]) -> bool {
    let mut rng = thread_rng();
    let (path, other) = (random_path(), random_path());
    let call = rng.gen_range(0..12);
    let offset = rng.gen_range(0..20_000);
    let data = vec![rng.r#gen::<u8>(); rng.gen_range(0..6000)];
    let mode = *[OpenMode::Read, OpenMode::Write, OpenMode::CreateNew, OpenMode::Create]
        .choose(&mut rng)
        .expect("not empty");
    let handle = rng.r#gen::<usize>();
    let answer = |side: &mut Side| -> io::Result<String> {
        let (path, other) = (side.folder.join(&path), side.folder.join(&other));
        let open = side.open.len();
        let file = (open > 0).then(|| side.open[handle % open].clone());
        match (call, file) {
            (0, _) => said(side.files.create_dir_all(&path)),
            (1, _) => said(side.files.read_dir(&path)),
            (2, _) => said(side.files.rename(&path, &other)),
            (3, _) => said(side.files.remove_file(&path)),
            (4, _) => said(side.files.remove_dir(&path)),
            (5, _) => said(side.files.kind(&path)),
            // The host can open folders for reading, which the store never does.
            (6 | 7, _) if matches!(side.files.kind(&path), Ok(Kind::Folder)) => said(side.files.sync_dir(&path)),
            (6 | 7, _) => {
                side.open.push(side.files.open(&path, mode)?);
                Ok("opened".to_owned())
            }
            (_, None) => Ok("nothing is open".to_owned()),
            (8, Some(file)) => said(file.write_at(offset, &data)),
            (9, Some(file)) => said(file.set_len(offset)),
            (10, Some(file)) => {
                // Writing zeroes gives the same content on a file system without holes.
                let len = data.len() as u64;
                let end = file.len()?.min(offset + len);
                file.punch(offset, len)
                    .and_then(|()| file.write_at(offset, &zeroes(offset, end)))?;
                said(file.sync())
            }
            (_, Some(file)) => {
                let mut bytes = vec![1; data.len() * 4];
                let read = file.read_at(offset, &mut bytes)?;
                said(Ok((file.len()?, read, bytes)))
            }
        }
    };
    let [host, simulated] = sides.each_mut().map(answer);
    let same = match (&host, &simulated) {
        (Ok(a), Ok(b)) => a == b,
        // Precedence among errors depends on the file system, but these two must agree.
        (Err(a), Err(b)) => {
            let told_apart = [io::ErrorKind::NotFound, io::ErrorKind::AlreadyExists];
            told_apart.iter().all(|kind| (a.kind() == *kind) == (b.kind() == *kind))
        }
        _ => false,
    };
    assert!(
        same,
        "call {call} {path:?} {other:?} {mode:?} {offset}: {host:?} or {simulated:?}"
    );
    host.is_ok()
}

fn zeroes(offset: u64, end: u64) -> Vec<u8> {
    vec![0; end.saturating_sub(offset) as usize]
}

fn said<T: Debug>(result: io::Result<T>) -> io::Result<String> {
    result.map(|answer| format!("{answer:?}"))
}

fn random_path() -> PathBuf {
    (0..thread_rng().gen_range(1..4))
        .map(|_| ["a", "b", "c"].choose(&mut thread_rng()).expect("not empty"))
        .collect()
}

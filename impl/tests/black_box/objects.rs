//! Objects over HTTP through kills of the process and lost or corrupt drives.

use crate::{client, start};
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tests::damage;

/// Returns a body that differs from object to object.
fn body(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 ^ seed ^ (at >> 16) as u8).collect()
}

/// Sizes around the boundaries between ways to store a body.
const SIZES: [usize; 8] = [0, 1, 4 << 10, (32 << 10) + 1, 100_000, 1 << 20, (1 << 20) + 1, 5 << 20];

#[test]
fn objects_come_back_as_they_were_put() {
    let server = start(4);
    let mut client = client(&server);
    client.create_bucket("photos").unwrap();
    for (size, seed) in SIZES.into_iter().zip(0..) {
        client
            .put("photos", &format!("size/{size}"), &body(size, seed))
            .unwrap();
    }
    for (size, seed) in SIZES.into_iter().zip(0..) {
        let read = client.get("photos", &format!("size/{size}")).unwrap();
        assert!(read == body(size, seed), "{size} bytes");
    }
    client.put("photos", "size/0", b"no longer empty").unwrap();
    assert_eq!(client.get("photos", "size/0").unwrap(), b"no longer empty");
    client.delete("photos", "size/1").unwrap();
    assert_eq!(client.get("photos", "size/1").unwrap_err().status(), Some(404));
    let mut expected: Vec<String> = SIZES.iter().map(|size| format!("size/{size}")).collect();
    expected.retain(|key| key != "size/1");
    expected.sort();
    assert_eq!(client.list_all("photos", "size/").unwrap(), expected);
    assert_eq!(client.list_buckets().unwrap(), ["photos"]);
}

/// After a kill while four clients write, everything that was acknowledged is intact.
#[test]
fn acknowledged_objects_survive_a_kill() {
    let mut server = start(4);
    client(&server).create_bucket("photos").unwrap();
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    for round in 0..3u8 {
        let writers: Vec<_> = (0..4u8)
            .map(|writer| {
                let (mut client, acknowledged) = (client(&server), acknowledged.clone());
                thread::spawn(move || {
                    for number in 0.. {
                        let key = format!("{round}/{writer}/{number}");
                        let size = SIZES[number % 5];
                        if client.put("photos", &key, &body(size, writer)).is_err() {
                            return;
                        }
                        acknowledged.lock().unwrap().insert(key, (size, writer));
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(400));
        server.kill();
        for writer in writers {
            writer.join().unwrap();
        }
        server.restart();
    }
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.len() > 10, "only {} objects", acknowledged.len());
    let mut client = client(&server);
    for (key, (size, writer)) in &*acknowledged {
        assert!(client.get("photos", key).unwrap() == body(*size, *writer), "{key}");
    }
}

/// EC:2 on four drives: everything can be read with one drive missing and another corrupt.
#[test]
fn objects_outlive_a_lost_and_a_rotten_drive() {
    let server = start(4);
    let mut client = client(&server);
    client.create_bucket("photos").unwrap();
    for (size, seed) in SIZES.into_iter().zip(0..) {
        client.put("photos", &format!("{size}"), &body(size, seed)).unwrap();
    }
    fs::remove_dir_all(&server.drives()[2]).unwrap();
    assert!(damage::rot(&server.drives()[0].join("data")) > 0, "nothing to rot");
    for (size, seed) in SIZES.into_iter().zip(0..) {
        let read = client.get("photos", &format!("{size}")).unwrap();
        assert!(read == body(size, seed), "{size} bytes");
    }
}

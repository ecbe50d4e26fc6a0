//! Opens a world in stateright's explorer: `cargo run -p model --example explore -- put`, then a browser.
//!
//! Each step is told in words; the explorer shows what may come next, and checks the rules beside it.

use check::configuration::world::Kind::{Change, Serve};
use check::explore::Charted;
use check::register::bounds::{NONE, world as register};
use check::register::world::Faults;
use check::{bucket, configuration, history, list, lock, pool};
use std::fmt::Debug;
use std::hash::Hash;
use std::process::ExitCode;

const HELP: &str = "\
Opens a world of the checker in a browser.

Usage: cargo run -p model --example explore -- WORLD [ADDRESS]      [ADDRESS: 127.0.0.1:3000]

Worlds:
  put            two puts and a read on three drives, K = 2
  create         two creations race
  delete         a put, a delete and a read
  power          a put and a read; a drive loses power
  crash          a put whose coordinator may crash, and a read that finds it
  clean-up       a put and the clean-up of what it staged
  wipe           a put and a read; a drive loses everything and comes back
  heal           a put, a heal and a read; a drive loses everything
  purge          a put, a delete and the purge of the tombstone
  upload         a part, a completion and an abort of one upload
  versions       puts and a delete with versions
  bucket         a put races the deletion of its bucket
  lock           two clients and two lock servers
  configuration  a change and a request, three nodes
  list           a listing of three keys, a page each, and a put of the second
  pool           a creation in each of two pools, and a read
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments.first() else {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    };
    let address = arguments.get(1).map_or("127.0.0.1:3000", String::as_str);
    let boots = Faults { boots: 1, ..NONE };
    let wipes = Faults { wipes: 1, ..NONE };
    let crashes = Faults { crashes: 1, ..NONE };
    match name.as_str() {
        "put" => serve(register(3, 2, "ppg", 1, NONE), address),
        "create" => serve(register(3, 2, "cc", 2, NONE), address),
        "delete" => serve(register(3, 2, "pdg", 1, NONE), address),
        "power" => serve(register(3, 2, "pg", 2, boots), address),
        "crash" => serve(register(3, 2, "pG", 2, crashes), address),
        "clean-up" => serve(register(3, 2, "px", 2, NONE), address),
        "wipe" => serve(register(3, 2, "pg", 1, wipes), address),
        "heal" => serve(register(3, 2, "phg", 1, wipes), address),
        "purge" => serve(register(3, 2, "pdu", 1, NONE), address),
        "upload" => serve(history::uploads::bounds::world("uca"), address),
        "versions" => serve(history::versions::bounds::world("pe pe de"), address),
        "bucket" => {
            let faults = bucket::world::Faults { losses: 0, boots: 0 };
            serve(bucket::world::world(1, 3, "pd", faults), address);
        }
        "lock" => {
            let faults = lock::world::Faults { restarts: 0, steps: 0 };
            serve(lock::world::world(2, &[1, 1], faults), address);
        }
        "configuration" => {
            let faults = configuration::world::Faults {
                losses: 0,
                no_acceptors: 0,
            };
            let world = configuration::world::world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], faults);
            serve(world, address);
        }
        "list" => serve(list::bounds::world(3, &["1o1"], &[('p', 2)], 1), address),
        "pool" => serve(
            pool::bounds::world(&[2, 2], "cCg", 1, pool::world::Faults::default()),
            address,
        ),
        "-h" | "--help" => print!("{HELP}"),
        other => {
            eprintln!("error: there is no world {other:?}; without a name they are listed");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Serves until the process is stopped.
fn serve<M>(world: M, address: &str)
where
    M: Charted + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    println!("open http://{address} in a browser; stop with Ctrl-C");
    world.checker().serve(address);
}

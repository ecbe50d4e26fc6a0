//! Opens a world in stateright's explorer: `cargo run -p model --example explore -- put`, then a browser.
//!
//! Steps are described in words; the explorer shows the possible next steps, and checks the rules.

use check::explorer::worlds;
use std::process::ExitCode;

fn help() -> String {
    let mut text = "\
Opens a world of the checker in a browser.

Usage: cargo run -p model --example explore -- WORLD [ADDRESS]      [ADDRESS: 127.0.0.1:3000]

Worlds:
"
    .to_owned();
    for shown in worlds() {
        text += &format!("  {:<14} {}\n", shown.name, shown.text);
    }
    text
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments
        .first()
        .filter(|name| !["-h", "--help"].contains(&name.as_str()))
    else {
        print!("{}", help());
        return ExitCode::SUCCESS;
    };
    let Some(shown) = worlds().into_iter().find(|shown| shown.name == name) else {
        eprintln!("error: there is no world {name:?}; without a name they are listed");
        return ExitCode::FAILURE;
    };
    let address = arguments.get(1).map_or("127.0.0.1:3000", String::as_str);
    println!("open http://{address} in a browser; stop with Ctrl-C");
    shown.world.serve(address);
    ExitCode::SUCCESS
}

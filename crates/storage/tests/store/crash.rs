//! `kill -9` at random moments: every acknowledged batch is there, none twice.

#[path = "../../examples/torture/rounds.rs"]
pub(crate) mod rounds;

use std::{path::Path, process::Command};

const DIR: &str = "PREFIX_INDEXER_TEST_DIR";
const SEED: &str = "PREFIX_INDEXER_TEST_SEED";

fn kill(rounds: u64, seed: u64) {
    let spawn = |dir: &Path, seed: u64| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::child", "--ignored", "--nocapture"]).env(DIR, dir).env(SEED, seed.to_string());
        command
    };
    let report = rounds::run(&spawn, rounds, seed).unwrap();
    assert!(report.acknowledged > rounds / 2, "the child hardly ran: {report:?}");
}

// Four tests, so that a runner with several threads is done sooner: 200 kills.

#[test]
fn fifty_kills() {
    kill(50, 1);
}

#[test]
fn fifty_more_kills() {
    kill(50, 2);
}

#[test]
fn another_fifty_kills() {
    kill(50, 3);
}

#[test]
fn the_last_fifty_kills() {
    kill(50, 4);
}

#[test]
#[ignore = "what the others kill"]
fn child() {
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    rounds::child(Path::new(&std::env::var_os(DIR).unwrap()), seed).unwrap();
}

//! Kills a writer at random moments and checks what is left: `torture [ROUNDS] [SEED]`. The long form of the kill test.
//!
//! `torture child DIR SEED` is the program that is killed.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod rounds;

use std::{path::Path, process::Command};

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| match args.get(index) {
        None => Ok(default),
        Some(arg) => arg.parse::<u64>().map_err(|error| format!("`{arg}`: {error}")),
    };
    if args.first().is_some_and(|arg| arg == "child") {
        let dir = args.get(1).ok_or("child: which directory?")?;
        return rounds::child(Path::new(dir), number(2, 0)?);
    }
    let (rounds, seed) = (number(0, 2000)?, number(1, 1)?);
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let spawn = |dir: &Path, seed: u64| {
        let mut command = Command::new(&program);
        command.arg("child").arg(dir).arg(seed.to_string());
        command
    };
    let report = rounds::run(&spawn, rounds, seed)?;
    println!("{rounds} kills survived: {} batches acknowledged, {} found", report.acknowledged, report.found);
    Ok(())
}

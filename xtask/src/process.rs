//! Programs that tasks run: cargo, mostly, and always from the root of the workspace.

use crate::root;
use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, ExitStatus, Stdio},
    thread,
};

/// The cargo that runs this task, with arguments separated by spaces.
///
/// It is told nothing of the package that runs it: build scripts that look at such variables (that of `ring` does) would run again, and all
/// that depends on them be compiled again, each time after a cargo that was called by hand.
pub(crate) fn cargo(arguments: &str) -> Result<Command> {
    let mut command = program(&std::env::var("CARGO").unwrap_or("cargo".to_owned()), arguments)?;
    let of_a_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_a_package)) {
        command.env_remove(name);
    }
    Ok(command)
}

pub(crate) fn program(name: &str, arguments: &str) -> Result<Command> {
    let mut command = Command::new(name);
    command.args(arguments.split_whitespace()).current_dir(root()?);
    Ok(command)
}

/// Says what runs, runs it, and fails if it does.
pub(crate) fn run(mut command: Command) -> Result<()> {
    announce(&command);
    let status = command.status().with_context(|| format!("cannot run {}", shown(&command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(&command));
    }
    Ok(())
}

/// Runs a program, shows what it prints and returns it too.
pub(crate) fn run_copied(mut command: Command) -> Result<(ExitStatus, String)> {
    announce(&command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", shown(&command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let printed = thread::scope(|scope| {
        let errors = scope.spawn(|| copy(stderr, &mut std::io::stderr()));
        let printed = copy(stdout, &mut std::io::stdout());
        printed + &errors.join().unwrap_or_default()
    });
    Ok((child.wait()?, printed))
}

/// Whether a program runs at all.
pub(crate) fn is_there(mut command: Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn copy(from: Option<impl Read>, to: &mut dyn Write) -> String {
    let mut copied = String::new();
    let Some(from) = from else { return copied };
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // Whoever reads our output may be gone; the program still runs to its end.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        copied += &String::from_utf8_lossy(&line);
        line.clear();
    }
    copied
}

fn announce(command: &Command) {
    eprintln!("+ {}", shown(command));
}

fn shown(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

//! Running the command and reading what it says.

use serde_json::Value;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prefix-indexer"));
    command.env_remove("PREFIX_INDEXER_INDEX_DATA").env("NO_COLOR", "1");
    command
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// Runs to the end with nothing on standard input.
pub(crate) fn run(args: &[&str]) -> Output {
    command().args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs to the end with `input` on standard input.
pub(crate) fn run_with(args: &[&str], input: &[u8]) -> Output {
    let mut child =
        command().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one JSON document on standard output of a command that succeeded.
pub(crate) fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert_eq!(status(&output), 0, "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A native event as a line, with a line end.
pub(crate) fn event_line(tenant: &str, prefix_id: &str, timestamp_ms: u64) -> String {
    format!(
        "{{\"prefix_id\":\"{prefix_id}\",\"tenant\":\"{tenant}\",\"model_id\":\"m\",\"layer\":1,\"page_start\":2,\"page_end\":3,\
         \"bytes\":4096,\"latency_ms\":1.5,\"timestamp_ms\":{timestamp_ms}}}\n"
    )
}

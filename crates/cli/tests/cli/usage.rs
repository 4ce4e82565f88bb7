//! Wrong usage, and what surrounds the commands.

use crate::common::{command, event_line, run, run_with, status, stderr, stdout};
use std::process::Stdio;
use tempfile::tempdir;

#[test]
fn usage_errors_exit_2_and_say_what_there_is() {
    let check = |args: &[&str], expect: &str| {
        let output = run(args);
        assert_eq!(status(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expect), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
    };
    check(&[], "Usage");
    check(&["inget"], "ingest");
    check(&["ingest", "--data", "d"], "INPUT");
    check(&["ingest", "f", "--data", "d", "--format", "csv"], "mooncake");
    check(&["ingest", "f", "--data", "d", "--half-life", "5"], "5m");
    check(&["ingest", "f", "--data", "d", "--utility", "luck"], "latency");
    check(&["ingest", "f", "--data", "d", "--bad-lines", "ignore"], "quarantine");
    check(&["ingest", "f", "--data", "d", "--block-bytes", "1XB"], "MiB");
    check(&["suggest", "--data", "d", "--top-k", "many"], "--top-k");
    check(&["forget", "--data", "d"], "--tenant");
    check(&["export", "--data", "d", "--format", "xml", "o"], "parquet");
}

#[test]
fn an_index_that_is_not_there_is_an_error() {
    let dir = tempdir().unwrap();
    let absent = dir.path().join("absent");
    for command in ["suggest", "snapshot", "inspect", "compact"] {
        let output = run(&[command, "--data", absent.to_str().unwrap()]);
        assert_eq!(status(&output), 1, "{command}");
        assert!(stderr(&output).contains("no index"), "{command}: {}", stderr(&output));
        assert!(!absent.exists(), "{command} must not create one");
    }
}

#[test]
fn other_settings_than_the_index_was_made_with() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let ingest = |more: &[&str]| {
        run_with(&[&["ingest", "-", "--data", data], more].concat(), event_line("t", "p", 1).as_bytes())
    };
    assert_eq!(status(&ingest(&["--half-life", "2m,10m", "--utility", "bytes"])), 0);
    assert_eq!(status(&ingest(&[])), 0, "what is not named is as it was");
    assert_eq!(status(&ingest(&["--utility", "bytes"])), 0);
    let refused = ingest(&["--half-life", "1m"]);
    assert_eq!(status(&refused), 1);
    assert!(stderr(&refused).contains("2m,10m"), "{}", stderr(&refused));
    let unknown = run(&["suggest", "--data", data, "--half-life", "5m"]);
    assert_eq!(status(&unknown), 1);
    assert!(stderr(&unknown).contains("2m,10m"), "{}", stderr(&unknown));
    assert_eq!(status(&run(&["suggest", "--data", data])), 0);
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    run_with(&["ingest", "-", "--data", data], event_line("t", "p", 1).as_bytes());
    // A writer that waits for its input holds the lock.
    let mut writer = command()
        .args(["ingest", "-", "--format", "events", "--data", data, "--follow"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let refused = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let output = run(&["compact", "--data", data]);
        (status(&output) == 1).then(|| stderr(&output))
    });
    assert!(refused.unwrap().contains("another process is writing"));
    assert_eq!(status(&run(&["suggest", "--data", data])), 0);
    drop(writer.stdin.take());
    assert!(writer.wait().unwrap().success());
}

#[test]
fn completions_and_manual_page_cover_every_command() {
    let commands =
        ["ingest", "suggest", "snapshot", "inspect", "compact", "merge", "forget", "export", "feedback", "demo"];
    for args in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let text = stdout(&run(args));
        for command in commands {
            assert!(text.contains(command), "{args:?} lacks {command}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let input: String = (0..20_000).map(|n| event_line("t", &format!("p{n}"), n)).collect();
    run_with(&["ingest", "-", "--data", data], input.as_bytes());
    let mut child = command()
        .args(["snapshot", "--data", data, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((status(&output), stderr(&output).as_str()), (0, ""));
}

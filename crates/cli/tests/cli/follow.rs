//! `ingest --follow`: a file that is still being written.

use crate::common::{command, event_line, json};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};
use tempfile::tempdir;

/// Polls until the index holds so many uses.
fn wait_for_hits(data: &Path, hits: u64) {
    let started = Instant::now();
    loop {
        let output = command().args(["suggest", "--json", "--top-k", "100", "--data"]).arg(data).output().unwrap();
        if let Ok(found) = serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            let sum: u64 = found.as_array().unwrap().iter().map(|prefix| prefix["hit_count"].as_u64().unwrap()).sum();
            if sum == hits {
                return;
            }
            assert!(sum < hits, "{sum} uses where there were {hits}");
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no {hits} uses after a minute");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn follow(trace: &Path, data: &Path) -> Child {
    command()
        .args(["ingest", "--follow", "--format", "events", "--data"])
        .arg(data)
        .arg(trace)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Asks the process to end, as a service manager does.
fn terminate(child: Child) -> std::process::Output {
    assert!(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    child.wait_with_output().unwrap()
}

#[test]
fn appended_lines_count_and_a_restart_goes_on() {
    let dir = tempdir().unwrap();
    let (trace, data) = (dir.path().join("trace.jsonl"), dir.path().join("index"));
    let append = |text: &str| {
        fs::OpenOptions::new().append(true).create(true).open(&trace).unwrap().write_all(text.as_bytes()).unwrap();
    };
    append(&event_line("t", "p", 1));
    let child = follow(&trace, &data);
    wait_for_hits(&data, 1);
    let line = event_line("t", "p", 2);
    append(&line[..20]);
    std::thread::sleep(Duration::from_millis(300));
    append(&line[20..]);
    wait_for_hits(&data, 2);
    let output = terminate(child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    append(&event_line("t", "p", 3));
    let child = follow(&trace, &data);
    wait_for_hits(&data, 3);
    // Killed without warning: what was durable is there, and the next start goes on behind it.
    append(&event_line("t", "q", 4));
    wait_for_hits(&data, 4);
    let mut child = child;
    child.kill().unwrap();
    child.wait().unwrap();
    append(&event_line("t", "r", 5));
    let report = json(&["ingest", trace.to_str().unwrap(), "--data", data.to_str().unwrap(), "--json"]);
    assert_eq!(report["events"], 1);
    wait_for_hits(&data, 5);
}

#[test]
fn an_event_from_the_future_is_bad() {
    let dir = tempdir().unwrap();
    let (trace, data) = (dir.path().join("trace.jsonl"), dir.path().join("index"));
    let far = 1 << 50;
    fs::write(&trace, [event_line("t", "p", 1), event_line("t", "far", far), event_line("t", "q", 2)].concat())
        .unwrap();
    let output = {
        let mut child = command()
            .args(["ingest", "--follow", "--bad-lines", "skip", "--format", "events", "--data"])
            .arg(&data)
            .arg(&trace)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_hits(&data, 2);
        assert!(child.try_wait().unwrap().is_none(), "it goes on");
        terminate(child)
    };
    assert!(output.status.success());
    let found = json(&["suggest", "--data", data.to_str().unwrap(), "--json"]);
    assert!(found.as_array().unwrap().iter().all(|prefix| prefix["prefix_id"] != "far"));
}

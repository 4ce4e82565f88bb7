//! A service whose configuration has tiers and a section `[prefetch]` moves blocks beside answering, and shows it.

use crate::{
    client::Client,
    older_contract::{event, now_ms},
    server::{Server, run},
};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

fn section(dir: &Path) -> String {
    let tier = |name: &str| {
        let path = dir.join(name);
        format!("[[cache.tiers]]\nname = \"{name}\"\nbackend = \"filesystem\"\npath = {path:?}\nlayout = \"plain\"\n")
    };
    format!(
        "[blocks]\nkey = \"{{prefix_id}}\"\n[cache]\n{}{}[prefetch]\ninterval = \"50ms\"\n",
        tier("local"),
        tier("cold")
    )
}

fn check(args: &[&str], outcome: &str, is_local: bool) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("cold")).unwrap();
    fs::write(dir.path().join("cold/p"), "a block").unwrap();
    let line = event("acme", "p", 7, now_ms()).to_string();
    fs::write(dir.path().join("trace.jsonl"), line + "\n").unwrap();
    assert!(run(dir.path(), &["ingest", "trace.jsonl", "--data", "index"]).status.success());
    let section = section(dir.path());
    let server = Server::over(dir, &section, args);
    let mut client = server.client();
    let ingest = |client: &mut Client, later: u64| {
        let line = event("acme", "p", 7, now_ms() + later).to_string();
        let answer = client.call("POST", "/v1/ingest", &[("content-type", "application/x-ndjson")], line.as_bytes());
        assert_eq!(answer.status, 202);
    };
    let wanted = format!("prefix_indexer_prefetch_blocks_total{{outcome=\"{outcome}\"}} 1");
    let began = Instant::now();
    for count in 1.. {
        let text = String::from_utf8(client.get("/metrics").body).unwrap();
        assert_eq!(text.matches("# TYPE prefix_indexer_prefetch_blocks counter").count(), 1, "{text}");
        if text.contains(&wanted) && text.contains("prefix_indexer_tier_up{tier=\"cold\"} 1") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{text}");
        std::thread::sleep(Duration::from_millis(100));
        // Uses go on: the worker sees them once they are flushed.
        if count % 10 == 0 {
            ingest(&mut client, count);
        }
    }
    assert_eq!(server.dir.path().join("local/p").exists(), is_local);
    let (ended, said, _dir) = server.terminate();
    assert!(ended, "{said:?}");
    assert_eq!(said.iter().any(|line| line.contains("too early to say: of 1 blocks")), !is_local, "{said:?}");
}

#[test]
fn a_service_prefetches() {
    check(&[], "fetched", true);
}

#[test]
fn a_dry_run_says_what_it_would_have_gained() {
    check(&["--dry-run"], "used", false);
}

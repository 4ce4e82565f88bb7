//! `prefetch` shows what it does while it does it: every number of the documented list that a short run can move.

use crate::common::{command, json, run, status, stderr};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tempfile::tempdir;

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Samples by name and labels.
fn scrape(url: &str) -> BTreeMap<String, f64> {
    let text = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
    samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

fn ingest(dir: &Path, ids: &[String]) {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let events: String = ids.iter().map(|id| crate::common::event_line("acme", id, now_ms)).collect();
    let trace = dir.join(format!("{now_ms}.jsonl"));
    fs::write(&trace, events).unwrap();
    json(&["ingest", trace.to_str().unwrap(), "--data", dir.join("index").to_str().unwrap(), "--json"]);
}

#[test]
fn what_is_named_moves() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let tier = |name: &str| {
        let path = path(name);
        format!("[[cache.tiers]]\nname = \"{name}\"\nbackend = \"filesystem\"\npath = {path:?}\nlayout = \"plain\"\n")
    };
    let config = format!(
        "[blocks]\nkey = \"{{prefix_id}}\"\n[cache]\n{}{}[prefetch]\ninterval = \"20ms\"\npolicy = \"auto\"\nworkers = 1\n\
         adaptive = true\nmax_bytes_per_second = \"1GiB\"\nmax_requests_per_second = 100\nmetrics = \"127.0.0.1:0\"\n",
        tier("local"),
        tier("cold"),
    );
    fs::write(path("config.toml"), config).unwrap();
    for name in ["local", "cold"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    let ids: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
    ids.iter().skip(10).for_each(|id| fs::write(path("cold").join(id), "a block").unwrap());
    ids.iter().skip(30).for_each(|id| fs::write(path("local").join(id), "a block").unwrap());
    ingest(dir.path(), &ids);
    let (data, config) = (path("index"), path("config.toml"));
    let args = ["prefetch", "--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let child = command().args(args).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Worker(child);
    let mut said = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let url = said.find_map(|line| line.unwrap().strip_prefix("metrics at ").map(str::to_owned)).unwrap();
    let draining = std::thread::spawn(move || said.count());
    let wait_for = |name: &str, least: f64| {
        let name = format!("prefix_indexer_{name}");
        let began = Instant::now();
        loop {
            let samples = scrape(&url);
            match samples.get(&name) {
                Some(value) if *value >= least => return samples,
                found => assert!(began.elapsed().as_secs() < 60, "{name}: {found:?} in {samples:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let blocks = |outcome: &str| format!("prefetch_blocks_total{{outcome=\"{outcome}\"}}");
    // One a hundredth of a second: some wait.
    wait_for("prefetch_queue_depth", 1.0);
    wait_for(&blocks("missing"), 10.0);
    let samples = wait_for(&blocks("resident"), 10.0);
    let samples = if samples[&format!("prefix_indexer_{}", blocks("fetched"))] < 20.0 {
        wait_for(&blocks("fetched"), 20.0)
    } else {
        samples
    };
    assert_eq!(samples["prefix_indexer_prefetch_bytes_total"], 20.0 * 7.0);
    assert_eq!(samples[&format!("prefix_indexer_{}", blocks("failed"))], 0.0);
    assert!((0.05..=0.85).contains(&samples["prefix_indexer_prefetch_min_probability"]));
    // What was fetched is used, what was not has come back, and what was neither leaves.
    ingest(dir.path(), &[ids[10].clone(), ids[0].clone()]);
    fs::remove_file(path("local").join(&ids[11])).unwrap();
    for outcome in ["used", "late", "evicted"] {
        wait_for(&blocks(outcome), 1.0);
    }
    wait_for("cache_fills_total{tier=\"local\"}", 20.0);
    wait_for("cache_bytes{tier=\"local\"}", 20.0 * 7.0);
    let samples = wait_for("tier_up{tier=\"cold\"}", 1.0);
    let metrics = include_str!("../../../../docs/metrics.md");
    for name in samples.keys() {
        let name = name.trim_start_matches("prefix_indexer_").split('{').next().unwrap();
        assert!(metrics.contains(&format!("`{name}")), "{name} is not in docs/metrics.md");
    }
    assert!(ureq::get(url.replace("/metrics", "/")).call().is_err());
    drop(child);
    draining.join().unwrap();
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let dir = tempdir().unwrap();
    ingest(dir.path(), &["p".to_owned()]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let tiers = "[[cache.tiers]]\nbackend = \"memory\"\n".repeat(2);
    fs::write(dir.path().join("config.toml"), format!("{tiers}[prefetch]\nmetrics = \"{address}\"\n")).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let output = run(&["prefetch", "--data", &path("index"), "--config", &path("config.toml"), "--cycles", "1"]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains(&format!("cannot listen on {address}")), "{}", stderr(&output));
}

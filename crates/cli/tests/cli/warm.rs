//! `warm` and `prefetch`: blocks really move, from a cold directory to a local one.

use crate::common::{command, fixture, json, run, run_with, status, stderr};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
};
use tempfile::{TempDir, tempdir};

struct Site {
    root: TempDir,
}

/// An index of a trace, a plan of it, and a cold tier that has all blocks of the plan but those left out.
fn site(left_out: usize) -> (Site, Value) {
    let site = Site { root: tempdir().unwrap() };
    let config = format!(
        "[blocks]\nnamespace = \"prod\"\n[cache]\n{}{}[prefetch]\ninterval = \"20ms\"\ntop_k = 16\npolicy = \"decay-5m\"\n\
         profile = \"high-performance\"\nmax_requests_per_second = 10000\n",
        site.tier("local"),
        site.tier("cold"),
    );
    fs::write(site.path("config.toml"), config).unwrap();
    json(&["ingest", fixture("mooncake.jsonl").to_str().unwrap(), "--data", &site.text("index"), "--json"]);
    let plan = json(&["plan", "--data", &site.text("index"), "--budget", "64MiB", "--horizon", "5m", "--json"]);
    fs::write(site.path("plan.json"), plan.to_string()).unwrap();
    for id in ids(&plan).iter().skip(left_out) {
        site.put_cold(id);
    }
    (site, plan)
}

fn ids(plan: &Value) -> Vec<&str> {
    plan["entries"].as_array().unwrap().iter().map(|entry| entry["prefix_id"].as_str().unwrap()).collect()
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn tier(&self, name: &str) -> String {
        let path = self.text(name);
        format!(
            "[[cache.tiers]]\nname = \"{name}\"\nbackend = \"filesystem\"\npath = \"{path}\"\nlayout = \"plain\"\nescape = \"path\"\n"
        )
    }

    fn block(&self, tier: &str, id: &str) -> PathBuf {
        self.path(tier).join("prod/default/default").join(id)
    }

    /// What an engine would have written: bytes, and nothing of ours.
    fn put_cold(&self, id: &str) {
        let path = self.block("cold", id);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("block {id}")).unwrap();
    }

    fn local(&self, id: &str) -> Option<String> {
        fs::read_to_string(self.block("local", id)).ok()
    }

    fn warm(&self, options: &[&str]) -> (i32, Value, String) {
        let output = run(&[&["warm", "--config", &self.text("config.toml"), "--json"], options].concat());
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (status(&output), report, stderr(&output))
    }
}

/// planned, resident, fetched, missing, failed.
fn counts(report: &Value) -> [u64; 5] {
    ["planned", "resident", "fetched", "missing", "failed"].map(|name| report[name].as_u64().unwrap())
}

#[test]
fn a_plan_is_executed_and_going_on_skips_what_is_there() {
    let (site, plan) = site(2);
    let all = ids(&plan).len() as u64;
    assert!(all > 20, "{all}");
    let (code, report, said) = site.warm(&["--plan", &site.text("plan.json")]);
    assert_eq!((code, counts(&report)), (0, [all, 0, all - 2, 2, 0]), "{said}");
    let bytes: usize = ids(&plan).iter().skip(2).map(|id| format!("block {id}").len()).sum();
    assert_eq!((report["bytes"].as_u64().unwrap(), report["complete"].as_bool()), (bytes as u64, Some(true)));
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    for id in ids(&plan).iter().skip(2) {
        assert_eq!(site.local(id), Some(format!("block {id}")));
    }
    // Half of it is lost, and what was missing has come.
    for id in ids(&plan).iter().skip(2).step_by(2) {
        fs::remove_file(site.block("local", id)).unwrap();
    }
    ids(&plan).iter().take(2).for_each(|id| site.put_cold(id));
    let lost = (all - 2).div_ceil(2);
    let (code, report, _) = site.warm(&["--plan", &site.text("plan.json"), "--in-flight", "1"]);
    assert_eq!((code, counts(&report)), (0, [all, all - 2 - lost, lost + 2, 0, 0]));
}

#[test]
fn a_deadline_ends_it_with_what_there_is_and_status_3() {
    let (site, plan) = site(0);
    let (code, report, said) = site.warm(&["--plan", &site.text("plan.json"), "--deadline", "0ms"]);
    assert_eq!((code, report["complete"].as_bool()), (3, Some(false)), "{said}");
    assert!(said.contains("run it again to go on"), "{said}");
    let (code, report, _) = site.warm(&["--plan", &site.text("plan.json"), "--deadline", "1h"]);
    let [planned, resident, fetched, ..] = counts(&report);
    assert_eq!((code, planned, resident + fetched), (0, ids(&plan).len() as u64, planned));
}

#[test]
fn a_signal_ends_it_with_status_3_and_the_next_run_goes_on() {
    let (site, plan) = site(0);
    let all = ids(&plan).len() as u64;
    let config = fs::read_to_string(site.path("config.toml")).unwrap();
    fs::write(site.path("slow.toml"), config.replace("_per_second = 10000", "_per_second = 5")).unwrap();
    let args = ["warm", "--config", &site.text("slow.toml"), "--plan", &site.text("plan.json"), "--json"];
    let child =
        command().args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let moved = || ids(&plan).iter().filter(|id| site.local(id).is_some()).count() as u64;
    let began = std::time::Instant::now();
    while moved() < 2 {
        assert!(began.elapsed().as_secs() < 60, "nothing moves");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((status(&output), report["complete"].as_bool()), (3, Some(false)), "{report}");
    let there = moved();
    assert!((2..all).contains(&there), "{there} of {all}");
    let (code, report, said) = site.warm(&["--plan", &site.text("plan.json")]);
    assert_eq!((code, counts(&report)), (0, [all, there, all - there, 0, 0]), "{said}");
}

#[test]
fn an_address_that_does_not_answer_is_given_up_at_the_deadline() {
    let (site, _) = site(0);
    // Takes the connection and says nothing.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/plan", server.local_addr().unwrap());
    let (code, _, said) = site.warm(&["--plan", &url, "--deadline", "200ms"]);
    assert_eq!(code, 1);
    assert!(said.contains(&url) && said.contains("timeout"), "{said}");
}

#[test]
fn plans_come_from_standard_input_an_address_or_the_index_itself() {
    let (site, plan) = site(0);
    let all = ids(&plan).len() as u64;
    let args = ["warm", "--config", &site.text("config.toml"), "--json", "--plan", "-"];
    let output = run_with(&args, plan.to_string().as_bytes());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(counts(&serde_json::from_slice(&output.stdout).unwrap()), [all, 0, all, 0, 0]);

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/plan", server.local_addr().unwrap());
    fs::write(site.path("token"), "secret\n").unwrap();
    let document = plan.to_string();
    let answering = std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let head: Vec<String> =
            BufReader::new(&client).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{document}", document.len())
            .unwrap();
        head
    });
    let (code, report, said) = site.warm(&["--plan", &url, "--token-file", &site.text("token")]);
    assert_eq!((code, counts(&report)), (0, [all, all, 0, 0, 0]), "{said}");
    let head = answering.join().unwrap();
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("authorization: bearer secret")), "{head:?}");

    let (code, report, _) = site.warm(&["--data", &site.text("index"), "--budget", "64MiB", "--horizon", "5m"]);
    assert_eq!((code, report["failed"].as_u64()), (0, Some(0)));
}

#[test]
fn blocks_may_be_named_by_their_layers_and_pages() {
    let site = Site { root: tempdir().unwrap() };
    let config = format!("{}{}", site.tier("local"), site.tier("cold"));
    let banded =
        format!("{config}[blocks]\nkey = \"{{tenant}}/{{prefix_id}}-{{layer}}-{{page_start}}-{{page_end}}\"\n");
    fs::write(site.path("config.toml"), &banded).unwrap();
    // Two bands of eight layers, and of the second two bands of sixteen pages.
    let event = |layer: u32, pages: [u32; 2]| {
        let at_ms = 1_000 + layer;
        format!(
            "{{\"prefix_id\":\"p\",\"tenant\":\"acme\",\"model_id\":\"m\",\"layer\":{layer},\"page_start\":{},\"page_end\":{},\
             \"bytes\":100,\"latency_ms\":1.5,\"timestamp_ms\":{at_ms}}}\n",
            pages[0], pages[1]
        )
    };
    fs::write(site.path("trace.jsonl"), event(3, [0, 7]) + &event(5, [4, 9]) + &event(8, [1, 2]) + &event(9, [16, 31]))
        .unwrap();
    let index = site.text("index");
    let bands = ["--layer-band", "8", "--page-band", "16"];
    json(&[&["ingest", &site.text("trace.jsonl"), "--data", &index, "--json"][..], &bands].concat());
    let objects = ["p-3-0-9", "p-8-1-2", "p-9-16-31"];
    fs::create_dir_all(site.path("cold/acme")).unwrap();
    objects.iter().for_each(|name| fs::write(site.path("cold/acme").join(name), name).unwrap());
    let limits = ["--budget", "1GiB", "--horizon", "5m"];
    let there =
        || objects.map(|name| fs::read_to_string(site.path("local/acme").join(name)).ok().as_deref() == Some(name));

    // Without the names of objects a prefix is one block.
    let merged = json(&[&["plan", "--data", &index, "--json"][..], &limits].concat());
    assert_eq!((ids(&merged), &merged["total_bytes"]), (vec!["p"], &100.into()));
    let plan =
        json(&[&["plan", "--data", &index, "--json", "--config", &site.text("config.toml")][..], &limits].concat());
    assert_eq!((ids(&plan), &plan["total_bytes"]), (vec!["p", "p", "p"], &300.into()));
    fs::write(site.path("plan.json"), plan.to_string()).unwrap();
    let (code, report, said) = site.warm(&["--plan", &site.text("plan.json")]);
    assert_eq!((code, counts(&report), there()), (0, [3, 0, 3, 0, 0], [true; 3]), "{said}");
    // Likewise from the index, and by the worker.
    fs::remove_dir_all(site.path("local/acme")).unwrap();
    let (code, report, said) = site.warm(&[&["--data", &index][..], &limits].concat());
    assert_eq!((code, counts(&report), there()), (0, [3, 0, 3, 0, 0], [true; 3]), "{said}");
    fs::remove_dir_all(site.path("local/acme")).unwrap();
    let worker = run(&["prefetch", "--data", &index, "--config", &site.text("config.toml"), "--cycles", "1"]);
    assert_eq!((status(&worker), there()), (0, [true; 3]), "{}", stderr(&worker));
}

#[test]
fn mistakes_are_said_before_anything_moves() {
    let (site, plan) = site(0);
    let check = |config: &str, plan: &str, expect: &str| {
        fs::write(site.path("bad.toml"), config).unwrap();
        fs::write(site.path("bad.json"), plan).unwrap();
        let args = ["warm", "--config", &site.text("bad.toml"), "--plan", &site.text("bad.json")];
        let output = run(&args);
        assert_eq!(status(&output), 1);
        assert!(stderr(&output).contains(expect), "{}", stderr(&output));
    };
    let (tiers, plan) = ([site.tier("local"), site.tier("cold")].concat(), plan.to_string());
    check(&tiers, "{}", "is not a plan: missing field `plan_id`");
    check(&site.tier("local"), &plan, "there is no second");
    check(
        &format!("{tiers}[blocks]\nkey = \"{{prefix}}\""),
        &plan,
        "key template, at character 1: there is no field `prefix`",
    );
    let silent = plan.replace("\"layer_min\":0,", "");
    check(
        &format!("{tiers}[blocks]\nkey = \"{{prefix_id}}/{{layer}}\""),
        &silent,
        "what made the plan does not say them",
    );
    check(&format!("{tiers}[prefetch]\nprofile = \"fast\""), &plan, "expected one of standard");
    check(&format!("{tiers}[prefetch]\nintervall = 1"), &plan, "perhaps `interval` is meant");
    assert!(!site.path("local/prod").exists());
    let usage = run(&["warm", "--config", "x"]);
    assert_eq!(status(&usage), 2);
}

#[test]
fn the_worker_moves_what_matters_now_and_ends_on_sigterm() {
    let (site, _) = site(0);
    let best = json(&["suggest", "--data", &site.text("index"), "--top-k", "40", "--half-life", "5m", "--json"]);
    let best: Vec<&str> = best.as_array().unwrap().iter().map(|row| row["prefix_id"].as_str().unwrap()).collect();
    best.iter().for_each(|id| site.put_cold(id));
    let args = ["prefetch", "--data", &site.text("index"), "--config", &site.text("config.toml")];
    let dry = run(&[&args[..], &["--dry-run", "--cycles", "2"]].concat());
    assert_eq!(status(&dry), 0, "{}", stderr(&dry));
    assert!(stderr(&dry).contains("too early to say: of 32 blocks"), "{}", stderr(&dry));
    assert!(!site.path("local/prod").exists());
    let child = command().args(args).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = std::time::Instant::now();
    while !best.iter().all(|id| site.local(id).is_some()) {
        assert!(began.elapsed().as_secs() < 60, "not all of the best were moved");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(status(&output), 0);
    assert!(stderr(&output).contains("blocks fetched"), "{}", stderr(&output));
}

#[test]
fn the_worker_follows_every_policy() {
    let (site, plan) = site(0);
    let config = fs::read_to_string(site.path("config.toml")).unwrap();
    let prefetch = |policy: &str| {
        let config = config.replace("\"decay-5m\"", &format!("\"{policy}\""));
        fs::write(site.path("policy.toml"), config).unwrap();
        let args = ["prefetch", "--data", &site.text("index"), "--config", &site.text("policy.toml"), "--cycles", "1"];
        let output = run(&args);
        (status(&output), stderr(&output))
    };
    let (code, said) = prefetch("hottest");
    assert_eq!(code, 1);
    let policies = said.trim_end().rsplit_once("expected one of ").unwrap().1.to_owned();
    let policies: Vec<&str> = policies.split(", ").collect();
    assert!(policies.len() > 9 && policies[..2] == ["auto", "reuse"], "{policies:?}");
    for policy in policies {
        let (code, said) = prefetch(policy);
        assert!(code == 0 && said.contains("16 chosen of "), "{policy}: {said}");
        if policy == "auto" {
            // What it loads first a plan loads too, but for prefixes whose ancestors do not pay: the cold tier has nothing else.
            let moved = ids(&plan).iter().filter(|id| site.local(id).is_some()).count();
            assert!(moved >= 12 && said.contains(&format!(": {moved} fetched")), "{moved} moved: {said}");
        }
    }
}

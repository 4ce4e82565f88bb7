//! The service over real connections, beside redis-server asked for the same ten.

use super::{
    Bench, median,
    report::{Bar, Report, Row},
};
use crate::{
    serving::Serving,
    soak::{BREATH, minutes_of_load},
};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// As redis-benchmark's default, and as the bar has it.
const CONNECTIONS: &str = "50";
const SECONDS: &str = "5";
const BEST_TEN: &str = "/v1/suggest?top_k=10";

/// Events of a body, and different prefixes among them all.
const BATCH: &str = "5000";
const PREFIXES: &str = "1000000";

/// Times that it is killed, and when after the load has begun: at full load the log is flushed about once a second, so some of them find it
/// nearly as long as it gets.
const KILLS: u32 = 7;
const FIRST_KILL: Duration = Duration::from_secs(3);
const BETWEEN: Duration = Duration::from_millis(170);

pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let data = bench.scratch.join("index");
    bench.ours.ingest(&bench.trace("events-4m-1m.jsonl")?, &data)?;
    let serving = Serving::start(bench.ours.program(), &data)?;
    let address = serving.address().to_owned();
    let load = |arguments: &[&str]| -> Result<Value> {
        let arguments = [&["http", address.as_str()], arguments].concat();
        Ok(serde_json::from_str(&bench.ours.benches(&arguments)?)?)
    };
    let number = |answer: &Value, name: &str| answer[name].as_f64().with_context(|| format!("no {name} in {answer}"));
    report.scenario(
        "service",
        "1 M prefixes, GET /v1/suggest?top_k=10 over 50 connections; load and service share the machine's cores",
    );
    let asking = [SECONDS, CONNECTIONS, "suggest", BEST_TEN];
    let (mut alone, mut beside, mut p99, mut redis) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        alone.push(number(&load(&asking)?, "requests_per_second")?);
        let answer = thread::scope(|scope| {
            // A quarter of the rate on each of four connections.
            let ingesting = scope.spawn(|| load(&["7", "4", "ingest", "1000", PREFIXES, "12500"]));
            thread::sleep(Duration::from_secs(1));
            let answer = load(&asking);
            let ingested = ingesting.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
            answer.map(|answer| (answer, ingested))
        })?;
        beside.push(number(&answer.0, "requests_per_second")?);
        p99.push(number(&answer.0, "p99_ms")?);
        report.row(Row::value("ingested meanwhile", number(&answer.1, "events_per_second")?, "events/s"));
        if bench.peers.are_wanted() {
            match redis_best_ten() {
                Ok(rate) => redis.push(rate),
                Err(error) => report.skip(&format!("redis-benchmark: {error:#}")),
            }
        }
    }
    report.row(Row::value("questions a second", median(&alone), ""));
    report.row(
        Row::value("beside 50,000 events a second", median(&beside), "").note(&format!("p99 {:.2} ms", median(&p99))),
    );
    if !redis.is_empty() {
        report.row(Row::value("redis-server, ZREVRANGE 0 9 WITHSCORES", median(&redis), ""));
    }
    let aim = if redis.is_empty() { 40_000.0 } else { median(&redis) };
    report.bar(Bar::at_least("service: questions a second", median(&alone), 40_000.0, aim));
    report.bar(Bar::at_least(
        "service: beside 50,000 events/s, share of that",
        median(&beside) / median(&alone),
        0.67,
        1.0,
    ));
    report.bar(Bar::at_most("service: p99 meanwhile, ms", median(&p99), 5.0));
    let rates = (0..bench.rounds)
        .map(|_| number(&load(&[SECONDS, "4", "ingest", BATCH, PREFIXES])?, "events_per_second"))
        .collect::<Result<Vec<_>>>()?;
    report.row(Row::value("POST /v1/ingest?durable=true, 4 connections", median(&rates), "events/s"));
    report.bar(Bar::at_least("service: durable events a second", median(&rates), 500_000.0, 500_000.0));
    let mut serving = Some(serving);
    let ready: Vec<f64> = (0..KILLS)
        .map(|kill| ready_after_kill(bench, &data, serving.take(), FIRST_KILL + kill * BETWEEN))
        .collect::<Result<_>>()?;
    let worst = ready.iter().copied().fold(0.0, f64::max);
    let note = format!("the worst of {KILLS}, median {:.2} s", median(&ready));
    report.row(Row::value("killed at full load, ready again", worst, "s").note(&note));
    report.bar(Bar::at_most("service: seconds from start to ready after kill -9, 1 M prefixes", worst, 1.0));
    std::fs::remove_dir_all(&data)?;
    soak(bench, report)
}

/// Kills the service (one started for it, if there is none) when it has taken all the events it can for so long, and starts it again:
/// seconds until it is ready.
fn ready_after_kill(bench: &Bench, data: &Path, serving: Option<Serving>, after: Duration) -> Result<f64> {
    let serving = serving.map_or_else(|| Serving::start(bench.ours.program(), data), Ok)?;
    let address = serving.address().to_owned();
    let loading = thread::scope(|scope| {
        let loading = scope.spawn(|| bench.ours.benches(&["http", &address, "30", "4", "ingest", BATCH, PREFIXES]));
        thread::sleep(after);
        drop(serving);
        loading.join().map_err(|_| anyhow::anyhow!("the load panicked"))
    })?;
    if loading.is_ok() {
        bail!("the load did not notice that the service was killed");
    }
    let started = Instant::now();
    let serving = Serving::start(bench.ours.program(), data)?;
    serving.wait_until_ready()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Five minutes of all the questions and events that there can be.
fn soak(bench: &Bench, report: &mut Report) -> Result<()> {
    const MINUTES: u64 = 5;
    report.scenario(
        "soak",
        "five minutes: 50 connections that ask, 4 that ingest durable batches of 1,000, all as fast as they can",
    );
    let release = bench.ours.program().parent().context("a program without a directory")?;
    let mut last = None;
    let growth = minutes_of_load(release, &bench.scratch.join("soak"), MINUTES, |_, minute| {
        last =
            Some((minute.questions_per_second, minute.events_per_second, minute.resident as f64 / f64::from(1 << 20)));
    })?;
    if let Some((questions, events, mebibytes)) = last {
        report.row(Row::value("questions a second in the last minute", questions, ""));
        report.row(Row::value("durable events a second in the last minute", events, "events/s"));
        report.row(Row::value("memory at the end", mebibytes, "MiB"));
    }
    report.bar(Bar::at_most("soak: most memory over that after two minutes", growth, BREATH));
    Ok(())
}

struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Requests a second that redis-benchmark counts for the best ten of a sorted set of a million.
fn redis_best_ten() -> Result<f64> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let server = Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .context("redis-server is not here")?;
    let _server = Redis(server);
    let output = |program: &str, arguments: &[&str]| -> Result<String> {
        let output = Command::new(program).args(["-p", &port]).args(arguments).output()?;
        if !output.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    thread::sleep(Duration::from_millis(500));
    let fill = "for i = 1, 1000000 do redis.call('ZADD', 'best', i * 7 % 1000003, 'prefix-' .. i) end return 1";
    output("redis-cli", &["EVAL", fill, "0"])?;
    let said = output(
        "redis-benchmark",
        &["-c", CONNECTIONS, "-n", "300000", "--csv", "ZREVRANGE", "best", "0", "9", "WITHSCORES"],
    )?;
    let line = said.lines().last().context("redis-benchmark said nothing")?;
    line.split("\",\"").nth(1).and_then(|rate| rate.parse().ok()).with_context(|| format!("no rate in {line}"))
}

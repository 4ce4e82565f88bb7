//! `warm` from a real redis-server that is killed in the middle of it and comes back: it goes on by itself and ends complete. `cargo
//! xtask test` runs this where there is a redis-server.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer::{
    Plan, PlanEntry,
    cache::{CacheBackend, Entry},
    cache_redis::{RedisBackend, RedisConfig},
};
use prefix_indexer_cache_redis::RedisServer;
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const BLOCKS: usize = 1_200;
const BYTES: usize = 16 << 10;
/// So that it takes some seconds.
const A_SECOND: usize = 300;

/// With a directory to keep what it holds in, when it is told to.
fn arguments(dir: &Path) -> [&str; 4] {
    ["--port", "{port}", "--dir", dir.to_str().unwrap()]
}

fn save(redis: &RedisServer) {
    let mut connection = TcpStream::connect(redis.address()).unwrap();
    connection.write_all(b"SAVE\r\n").unwrap();
    let mut answer = [0; 5];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+OK\r\n");
}

fn id(number: usize) -> String {
    format!("p{number:04}")
}

fn value(number: usize) -> Vec<u8> {
    id(number).into_bytes().repeat(BYTES / 5)
}

fn plan() -> Plan {
    let entry = |number: usize| PlanEntry {
        prefix_id: id(number).into(),
        parent_id: None,
        tenant: "acme".into(),
        model_id: "m".into(),
        depth: Some(0),
        bytes: BYTES as u64,
        layer_min: None,
        layer_max: None,
        page_start: None,
        page_end: None,
        probability: 0.5,
        expected_uses: 0.5,
        saves_ms: None,
        hint: "test".into(),
    };
    let plan = Plan {
        plan_id: String::new(),
        now_ms: 1,
        horizon_ms: 1,
        budget_bytes: 1 << 40,
        total_bytes: (BLOCKS * BYTES) as u64,
        policy: "auto".into(),
        chosen_by: "auto".into(),
        why: "test".into(),
        expected_hits: 0.0,
        estimated_hit_improvement: 0.0,
        expected_saved_ms: 0.0,
        entries: (0..BLOCKS).map(entry).collect(),
    };
    plan.sealed()
}

fn fill(address: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = RedisConfig { url: format!("redis://{address}/0"), ..RedisConfig::default() };
        let redis = RedisBackend::open(config).await.unwrap();
        for number in 0..BLOCKS {
            let entry = Entry::new(value(number)).with_ttl(Duration::from_secs(3_600));
            redis.set(&id(number), entry).await.unwrap();
        }
    });
}

fn local(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("local")).into_iter().flatten();
    files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
#[ignore = "needs a redis-server"]
fn a_cold_tier_that_is_killed_in_the_middle_of_a_warm_up_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&arguments(dir.path())).unwrap();
    let address = redis.address();
    fill(address);
    save(&redis);
    let config = format!(
        "[blocks]\nkey = \"{{prefix_id}}\"\n[[cache.tiers]]\nbackend = \"filesystem\"\npath = \"local\"\nlayout = \"plain\"\n\
         [[cache.tiers]]\nbackend = \"redis\"\nurl = \"redis://{address}/0\"\n\
         [prefetch]\nmax_requests_per_second = {A_SECOND}\n"
    );
    fs::write(dir.path().join("config.toml"), config).unwrap();
    fs::write(dir.path().join("plan.json"), serde_json::to_string(&plan()).unwrap()).unwrap();
    let warm = Command::new(env!("CARGO_BIN_EXE_prefix-indexer"))
        .args(["warm", "--plan", "plan.json", "--config", "config.toml", "--deadline", "100s", "--json"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while local(dir.path()).len() < BLOCKS / 4 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing moves");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(redis);
    std::thread::sleep(Duration::from_secs(3));
    let before = local(dir.path()).len();
    assert!(before < BLOCKS * 3 / 4, "{before}: it was over before the server was killed");
    let _redis = RedisServer::start_at(address, &arguments(dir.path())).unwrap();
    let output = warm.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |name: &str| report[name].as_u64().unwrap() as usize;
    assert_eq!([count("planned"), count("missing"), count("failed")], [BLOCKS, 0, 0], "{report} {said}");
    // A block whose answer was lost may have arrived all the same.
    assert_eq!(count("fetched") + count("resident"), BLOCKS, "{report}");
    assert!(report["complete"].as_bool().unwrap() && report["seconds"].as_f64().unwrap() > 3.0, "{report}");
    let there = local(dir.path());
    assert_eq!(there.len(), BLOCKS);
    for number in 0..BLOCKS {
        assert_eq!(fs::read(dir.path().join("local").join(id(number))).unwrap(), value(number), "{number}");
    }
}

//! The Redis tier beside the bare client, in the same run and over the same server.

use crate::{
    cache::{median, value},
    harness::Measurement,
};
use anyhow::{Context, Result, ensure};
use prefix_indexer_cache::{CacheBackend, Entry};
use prefix_indexer_cache_redis::{RedisBackend, RedisConfig, RedisServer};
use std::{
    hint::black_box,
    io,
    path::Path,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;

const ROUNDS: usize = 15;
const SIZE: usize = 64 << 10;

/// One value, and 64 at once, beside GET and MGET. Nothing where there is no redis-server.
pub(crate) fn run(_: &Path) -> Result<Vec<Measurement>> {
    let Some(server) = server()? else { return Ok(Vec::new()) };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(runtime.spawn(async move {
        let url = server.url();
        let tier = RedisBackend::open(RedisConfig { url: url.clone(), ..RedisConfig::default() }).await?;
        let mut bare = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let keys: Vec<String> = (0..64).map(|i| format!("prod/tenant/model/{i}")).collect();
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let entry = Entry::new(value(SIZE)).with_ttl(Duration::from_secs(3600));
        for key in &keys {
            tier.set(key, entry.clone()).await?;
        }
        let (mut ours, mut by_hand, mut ours_many, mut by_hand_many) = (vec![], vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            for key in &keys {
                let found: Vec<u8> = redis::cmd("GET").arg(key).query_async(&mut bare).await?;
                black_box(found);
            }
            by_hand.push(began.elapsed());
            let began = Instant::now();
            for key in &keys {
                black_box(tier.get(key).await?.context("a value is gone")?);
            }
            ours.push(began.elapsed());
            let began = Instant::now();
            for _ in 0..4 {
                let found: Vec<Vec<u8>> = redis::cmd("MGET").arg(&keys).query_async(&mut bare).await?;
                black_box(found);
            }
            by_hand_many.push(began.elapsed());
            let began = Instant::now();
            for _ in 0..4 {
                let found = tier.get_many(&names).await;
                ensure!(found.iter().all(|one| matches!(one, Ok(Some(_)))), "a value is gone");
                black_box(found);
            }
            ours_many.push(began.elapsed());
        }
        let measurement = |name: &str, ours: Vec<Duration>, by_hand: Vec<Duration>, calls: f64, bar| {
            let (ours, by_hand) = (median(ours), median(by_hand));
            let note = format!("{:.0} us; bare client {:.0} us", ours * 1e6 / calls, by_hand * 1e6 / calls);
            Measurement::new(name, ours / by_hand, "x the bare client").note(note).at_most(bar)
        };
        anyhow::Ok(vec![
            measurement("Redis get of 64 KiB", ours, by_hand, 64.0, 1.1),
            measurement("Redis get of 64 x 64 KiB at once", ours_many, by_hand_many, 4.0, 1.2),
        ])
    }))?
}

/// None where there is no redis-server.
pub(crate) fn server() -> Result<Option<RedisServer>> {
    match RedisServer::start(&["--port", "{port}"]) {
        Ok(server) => Ok(Some(server)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("redis-server does not start"),
    }
}

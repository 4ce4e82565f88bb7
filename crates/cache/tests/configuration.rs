//! A cache from configuration, and what is said of configuration that is wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_cache::{
    BackendRegistry, CacheConfig, CacheManager, Codec, Compression, Entry, Result, parse_section,
};
use std::time::Duration;

async fn build(text: &str) -> Result<(CacheConfig, CacheManager)> {
    let config: CacheConfig = parse_section("[cache]", text.parse().unwrap())?;
    let manager = CacheManager::from_config(&config, &BackendRegistry::with_defaults()).await?;
    Ok((config, manager))
}

#[tokio::test]
async fn defaults_and_settings() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("flat");
    let text = format!(
        r#"
        compression = "none"
        [[tiers]]
        backend = "memory"
        max_size = "64MiB"
        [[tiers]]
        backend = "filesystem"
        name = "flat"
        path = "{}"
        max_size = "200GiB"
        eviction = "fifo"
        layout = "plain"
        timeout = "300ms"
        "#,
        path.display()
    );
    let (config, cache) = build(&text).await.unwrap();
    assert_eq!(
        (config.default_ttl.0, config.compression, config.format),
        (Duration::from_secs(3600), Compression::None, Codec::Bincode)
    );
    assert_eq!(config.tiers[1].options().timeout, Duration::from_millis(300));
    assert_eq!(cache.tier_names().collect::<Vec<_>>(), ["memory", "flat"]);
    assert!(cache.set("key", Entry::new("value")).await.is_ok());
    assert_eq!(std::fs::read(path.join("key")).unwrap(), b"value");
    let ttl = cache.get("key").await.unwrap().ttl.unwrap();
    assert!(ttl > Duration::from_secs(3590) && ttl <= Duration::from_secs(3600));
    let stats = cache.tier("flat").unwrap().stats().await.unwrap();
    assert_eq!(stats.max_bytes, Some(200 << 30));
    assert_eq!(CacheConfig::default().compression, Compression::Lz4);
}

#[tokio::test]
async fn errors_say_what_there_is() {
    for (text, expect) in [
        ("", "[[cache.tiers]]: there is no tier"),
        (
            "default_tll = \"1h\"",
            "[cache]: unknown field `default_tll`: expected default_ttl, compression, format, tiers (perhaps `default_ttl` is meant)",
        ),
        ("default_ttl = \"soon\"", "[cache]: `soon` is not a duration"),
        ("compression = \"gzip\"", "[cache]: unknown variant `gzip`, expected one of `none`, `lz4`, `zstd`"),
        (
            "[[tiers]]\nbackend = \"memroy\"",
            "`memroy` is not a known backend: expected filesystem, memory (perhaps `memory` is meant)",
        ),
        ("[[tiers]]\npath = \"x\"", "[cache]: missing field `backend`"),
        (
            "[[tiers]]\nbackend = \"memory\"\nmaxsize = 1",
            "backend `memory`: unknown field `maxsize`: expected backend, name, timeout, clear_timeout, retry_after, \
             max_failures, max_size (perhaps `max_size` is meant)",
        ),
        (
            "[[tiers]]\nbackend = \"memory\"\ntimeuot = \"1s\"",
            "backend `memory`: unknown field `timeuot`: expected backend, name, timeout, clear_timeout, retry_after, \
             max_failures, max_size (perhaps `timeout` is meant)",
        ),
        ("[[tiers]]\nbackend = \"memory\"\nmax_size = \"big\"", "backend `memory`: `big` is not a size"),
        ("[[tiers]]\nbackend = \"memory\"\nmax_size = 0", "memory: max_size is zero"),
        ("[[tiers]]\nbackend = \"filesystem\"", "filesystem: path is missing"),
        (
            "[[tiers]]\nbackend = \"memory\"\nname = \"a\"\n[[tiers]]\nbackend = \"memory\"\nname = \"a\"",
            "[[cache.tiers]]: two tiers are named `a`",
        ),
        ("[[tiers]]\nbackend = \"memory\"\ntimeout = \"0s\"", "[[cache.tiers]]: a time-out is zero"),
    ] {
        let error = build(text).await.unwrap_err().to_string();
        assert!(error.starts_with(expect), "{text}\n  expected {expect}\n  found    {error}");
    }
}

//! What is said of configuration that is wrong, without a server.

use prefix_indexer_cache::BackendRegistry;

#[tokio::test]
async fn errors_say_what_there_is() {
    let mut registry = BackendRegistry::with_defaults();
    prefix_indexer_cache_redis::register(&mut registry);
    for (text, expect) in [
        ("", "redis: url is missing"),
        ("url = \"http://x\"", "redis: Redis URL did not parse"),
        ("url = \"redis://127.0.0.1\"\nresponse_timeout = \"0s\"", "redis: a time-out is zero"),
        ("url = \"rediss://127.0.0.1\"\nca = \"/no/such/file\"", "redis: /no/such/file: "),
        (
            "prefx = \"x\"",
            "backend `redis`: unknown field `prefx`: expected url, prefix, invalidation, ca, connect_timeout, \
             response_timeout (perhaps `prefix` is meant)",
        ),
    ] {
        let error = registry.create("redis", text.parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.starts_with(expect), "{text}\n  expected {expect}\n  found    {error}");
    }
}

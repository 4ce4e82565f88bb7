//! What is said of configuration that is wrong. Nothing here reaches a network.

use prefix_indexer_cache::BackendRegistry;

#[tokio::test]
async fn errors_say_what_there_is() {
    let mut registry = BackendRegistry::with_defaults();
    prefix_indexer_cache_object_store::register(&mut registry);
    for (name, text, expect) in [
        ("s3", "", "s3: bucket is missing"),
        ("gcs", "", "gcs: bucket is missing"),
        ("azure", "", "azure: container is missing"),
        ("s3", "bucket = \"b\"\nmultipart_threshold = \"1MiB\"", "s3: multipart_threshold is less than 5MiB"),
        ("s3", "bucket = \"b\"\nconcurrency = 0", "s3: concurrency is zero"),
        ("s3", "bucket = \"b\"\nprefix = \"a//b\"", "s3: prefix is no name of a directory"),
        ("gcs", "bucket = \"b\"\nrequest_timeout = \"0s\"", "gcs: a time-out is zero"),
        (
            "s3",
            "buket = \"b\"",
            "backend `s3`: unknown field `buket`: expected bucket, region, endpoint, virtual_hosted_style, bulk_delete, \
             prefix, multipart_threshold, concurrency, retries, request_timeout, connect_timeout (perhaps `bucket` is \
             meant)",
        ),
        // Credentials are not for files that people mail around.
        ("s3", "bucket = \"b\"\nsecret_access_key = \"x\"", "backend `s3`: unknown field `secret_access_key`"),
    ] {
        let error = registry.create(name, text.parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.starts_with(expect), "{text}\n  expected {expect}\n  found    {error}");
    }
}

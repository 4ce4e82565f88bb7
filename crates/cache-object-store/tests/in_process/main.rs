//! The S3 tier against s3s in process, signatures checked, its objects as files.
#![expect(clippy::unwrap_used, reason = "tests")]

#[macro_use]
#[path = "../support/checks.rs"]
#[expect(dead_code, reason = "conditional writes are checked where the service has them")]
mod checks;
mod configuration;
mod service;
mod uploads;

use service::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise() {
    let service = Service::start().await;
    // Files cannot be called as directories are: where `a` is, there is no `a/b`. And value and metadata are two files, which two
    // writers at a time mix.
    checks::conformance(&service.stores(), &["odd_keys_stay_apart", "concurrent_sets_never_mix"]).await;
}

checked! { Service::start().await.served();
    every_fault_is_survived
}
// Conditional writes are none there either: it looks, and then writes. moto and Azurite have them.
checked! { Service::start().await.stores();
    raw_values_are_an_engines_own
    large_values_go_in_parts
    what_has_expired_is_deleted_when_met
    what_no_store_holds_is_refused
}

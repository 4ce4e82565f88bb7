//! The environment makes any prefetcher dry. In a process of its own: the environment is one for all threads.

use prefix_indexer_prefetch::{DRY_RUN_VARIABLE, PrefetchSection};
use std::process::Command;

const ASKED: &str = "DRY_RUN_TEST_CHILD";

#[test]
#[ignore = "the program that the other test starts"]
fn child() {
    let config = PrefetchSection::default().resolve().unwrap();
    assert_eq!(config.dry_run, std::env::var(ASKED).unwrap() == "dry");
}

#[test]
fn truthy_values_switch_it_on() {
    for (value, expect) in [("1", "dry"), ("TRUE", "dry"), ("yes", "dry"), ("on", "dry"), ("0", "wet"), ("", "wet")] {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--include-ignored"])
            .env(DRY_RUN_VARIABLE, value)
            .env(ASKED, expect)
            .status()
            .unwrap();
        assert!(status.success(), "{value:?}");
    }
}

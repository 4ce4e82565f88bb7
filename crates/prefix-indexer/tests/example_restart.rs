//! The example does what it says.
#![expect(unreachable_pub, reason = "an example that is a module here")]

#[path = "../examples/restart.rs"]
#[expect(dead_code, reason = "the test calls run, not main")]
mod restart;

#[test]
fn a_warm_up_by_plan_makes_the_requests_that_follow_hit() {
    let found = restart::run().unwrap();
    assert!(found.warmed.complete && found.warmed.failed == 0 && found.warmed.missing == 0, "{found:?}");
    assert_eq!(found.cold.references, found.warm.references);
    // At least a tenth more of the references, and requests that wait less.
    assert!(found.warm.local >= found.cold.local + found.cold.references / 10, "{found:?}");
    assert!(found.warm.mean_ms < found.cold.mean_ms, "{found:?}");
}

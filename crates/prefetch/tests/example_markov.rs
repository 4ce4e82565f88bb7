//! The example does what it says.
#![expect(unreachable_pub, reason = "an example that is a module here")]

#[path = "../examples/markov.rs"]
#[expect(dead_code, reason = "the test calls run, not main")]
mod markov;

#[test]
fn the_next_request_hits() {
    let seen = markov::run().unwrap();
    assert_eq!((seen.hits, seen.pages), (4, 4));
}

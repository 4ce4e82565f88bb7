//! Segments and views against a plain model: whatever is asked, however rows are spread over segments.
#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod corruption;
mod extremes;
mod retention;
mod sizes;
mod support;

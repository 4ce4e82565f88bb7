//! The `[cache]` section and its tiers.

pub(crate) mod fields;
mod units;

pub use fields::parse_section;
pub use units::{ByteSize, Period};

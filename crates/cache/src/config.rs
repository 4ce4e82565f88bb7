//! Configuration: sections, their fields, and how people write sizes and times.

mod cache;
pub(crate) mod fields;
mod units;

pub use cache::{CacheConfig, TierConfig};
pub use fields::parse_section;
pub use units::{ByteSize, Period};

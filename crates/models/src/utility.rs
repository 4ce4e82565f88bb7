//! What a use of a prefix is worth: the weight that is decayed and summed.

use crate::{EventRef, SpecError};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The weight of one event in the decayed sums of an index, fixed when the index is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Utility {
    /// Every use counts 1: the score is the number of uses, decayed.
    #[default]
    Hits,
    /// A use counts the bytes it touched.
    Bytes,
    /// A use counts the milliseconds it took, which is what having the prefix at hand would save.
    Latency,
}

impl Utility {
    /// All of them, in the order help texts list them.
    pub const ALL: [Utility; 3] = [Utility::Hits, Utility::Bytes, Utility::Latency];

    /// The weight of an event: finite and at least 0.
    pub fn weight(self, event: &EventRef<'_>) -> f64 {
        self.weigh(event.bytes, event.latency_ms)
    }

    pub(crate) fn weigh(self, bytes: u64, latency_ms: f64) -> f64 {
        match self {
            Utility::Hits => 1.0,
            Utility::Bytes => bytes as f64,
            Utility::Latency => latency_ms,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Utility::Hits => "hits",
            Utility::Bytes => "bytes",
            Utility::Latency => "latency",
        }
    }
}

impl fmt::Display for Utility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Utility {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Utility::ALL
            .into_iter()
            .find(|utility| utility.name() == text)
            .ok_or_else(|| SpecError::Utility { text: text.to_owned() })
    }
}

//! What is fixed when an index is made.

use crate::{KeyPolicy, Ladder, SpecError, Utility};
use serde::{Deserialize, Serialize};

/// The settings that give an index's numbers their meaning. They cannot change later: sums are kept per half-life,
/// weights are summed, keys are digests of clamped ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IndexSpec {
    /// Half-lives of the decayed sums.
    pub ladder: Ladder,
    /// What one use is worth.
    pub utility: Utility,
    /// How layer and page ranges enter the key.
    pub key_policy: KeyPolicy,
}

impl IndexSpec {
    /// Whether statistics of the two may be merged.
    ///
    /// # Errors
    /// [`SpecError::Mismatch`] names the first setting that differs.
    pub fn check_same(&self, other: &IndexSpec) -> Result<(), SpecError> {
        let mismatch = |what, left, right| Err(SpecError::Mismatch { what, left, right });
        if self.ladder != other.ladder {
            return mismatch("half-lives", self.ladder.to_string(), other.ladder.to_string());
        }
        if self.utility != other.utility {
            return mismatch("utilities", self.utility.to_string(), other.utility.to_string());
        }
        if self.key_policy != other.key_policy {
            return mismatch("key bands", self.key_policy.to_string(), other.key_policy.to_string());
        }
        Ok(())
    }
}

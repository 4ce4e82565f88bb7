//! Reading everything, for `inspect`.

use super::Segment;
use crate::StorageError;

impl Segment {
    /// Reads everything and checks every page and every invariant.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for the first thing that is wrong.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.touch(0, self.layout.end)
    }
}

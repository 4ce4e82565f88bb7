//! The identity of a prefix: a digest that every reader, store and machine computes alike.

use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU32};

/// The first 128 bits of a BLAKE3 digest of tenant, model, prefix id and clamped layer and page.
///
/// Ordered as bytes; ranking breaks ties by it. Distinct prefixes do not collide in practice (birthday bound 2^64), also
/// when somebody picks the ids on purpose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PrefixKey(pub [u8; 16]);

impl PrefixKey {
    /// The key of a prefix. `layer` and `page_start` count only as far as `policy` lets them.
    ///
    /// Digested are, each as little-endian 64-bit length and bytes, tenant, model and prefix id, then layer band and
    /// page band as little-endian 32-bit integers.
    ///
    /// ```
    /// use prefix_indexer_models::{KeyPolicy, PrefixKey};
    /// let whole = KeyPolicy::default();
    /// assert_eq!(PrefixKey::new(whole, "acme", "llama", "p1", 3, 40), PrefixKey::new(whole, "acme", "llama", "p1", 9, 0));
    /// assert_ne!(PrefixKey::new(whole, "acme", "llama", "p1", 0, 0), PrefixKey::new(whole, "a", "cmellama", "p1", 0, 0));
    /// ```
    pub fn new(
        policy: KeyPolicy,
        tenant: &str,
        model_id: &str,
        prefix_id: &str,
        layer: u32,
        page_start: u32,
    ) -> PrefixKey {
        let (layer_band, page_band) = policy.bands(layer, page_start);
        let bands = [layer_band.to_le_bytes(), page_band.to_le_bytes()];
        let mut key = [0; 16];
        let mut short = [0; SHORT];
        match join([tenant, model_id, prefix_id], bands.as_flattened(), &mut short) {
            Some(joined) => key.copy_from_slice(&blake3::hash(joined).as_bytes()[..16]),
            None => {
                let mut hasher = blake3::Hasher::new();
                for part in [tenant, model_id, prefix_id] {
                    hasher.update(&(part.len() as u64).to_le_bytes());
                    hasher.update(part.as_bytes());
                }
                hasher.update(bands.as_flattened());
                hasher.finalize_xof().fill(&mut key);
            }
        }
        PrefixKey(key)
    }

    /// The first eight bytes as an integer: uniformly distributed, which is what a hash table wants.
    pub fn hash64(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Names up to this length together are digested in one go, which takes half the time.
const SHORT: usize = 256;

/// What is digested, in one piece; none if it does not fit.
fn join<'a>(parts: [&str; 3], bands: &[u8], buffer: &'a mut [u8; SHORT]) -> Option<&'a [u8]> {
    let mut end = 0;
    let mut put = |bytes: &[u8]| {
        buffer.get_mut(end..end + bytes.len())?.copy_from_slice(bytes);
        end += bytes.len();
        Some(())
    };
    for part in parts {
        put(&(part.len() as u64).to_le_bytes())?;
        put(part.as_bytes())?;
    }
    put(bands)?;
    buffer.get(..end)
}

impl fmt::Display for PrefixKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PrefixKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrefixKey({self})")
    }
}

/// How layers and pages enter the key. The default is neither: all layers and pages of a prefix are one entry.
///
/// With a band of `n`, ranges that start in the same `n` layers (or pages) share a key, so requests that differ a little in
/// where they begin still meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct KeyPolicy {
    /// Layers a key covers; `None` for all.
    pub layer_band: Option<NonZeroU32>,
    /// Pages a key covers; `None` for all.
    pub page_band: Option<NonZeroU32>,
}

impl KeyPolicy {
    /// First layer and first page of the bands that a range starting at `(layer, page_start)` belongs to.
    #[inline]
    pub fn bands(self, layer: u32, page_start: u32) -> (u32, u32) {
        let clamp = |value: u32, band: Option<NonZeroU32>| band.map_or(0, |band| value / band * band.get());
        (clamp(layer, self.layer_band), clamp(page_start, self.page_band))
    }
}

impl fmt::Display for KeyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let band = |band: Option<NonZeroU32>| band.map_or("all".to_owned(), |band| band.to_string());
        write!(f, "layers {}, pages {}", band(self.layer_band), band(self.page_band))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two ways of digesting agree, below, at and above the length where one takes over.
    #[test]
    fn a_key_is_the_digest_of_the_documented_bytes() {
        for length in (1..40).chain(200..300).chain([70_000]) {
            let prefix_id = "x".repeat(length);
            let mut bytes = Vec::new();
            for part in ["acme", "llama", &prefix_id] {
                bytes.extend((part.len() as u64).to_le_bytes());
                bytes.extend(part.as_bytes());
            }
            bytes.extend([0, 0, 0, 0, 32, 0, 0, 0]);
            let policy = KeyPolicy { layer_band: None, page_band: NonZeroU32::new(16) };
            let key = PrefixKey::new(policy, "acme", "llama", &prefix_id, 7, 40);
            assert_eq!(key.0, blake3::hash(&bytes).as_bytes()[..16], "{length}");
        }
    }
}

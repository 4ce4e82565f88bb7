//! Embeddings of texts.

use super::Typed;
use crate::{
    CacheError, CacheManager, Compression, Pattern, Result, WriteReport,
    codec::frame::{self, Content},
};
use bytes::Bytes;
use std::{borrow::Cow, time::Duration};
use zerocopy::FromBytes;

/// How long an embedding lives unless said otherwise.
pub const EMBEDDING_TTL: Duration = Duration::from_secs(24 * 3600);

/// The most dimensions that a tensor may have.
const MAX_RANK: usize = 8;

/// What the numbers of an embedding are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point (IEEE).
    F16,
    /// 16-bit floating point (brain).
    Bf16,
    /// 8-bit signed integers.
    I8,
    /// 64-bit floating point.
    F64,
}

const DTYPES: [Dtype; 5] = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::F64];

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Dtype::I8 => 1,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }
}

/// Numbers with their type and shape: little-endian, row by row, wherever they were written.
///
/// A clone shares the numbers. As stored: type, rank, two zero bytes, the dimensions as u32, zeros up to a multiple of 8,
/// the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedding {
    dtype: Dtype,
    rank: usize,
    tensor: Bytes,
}

impl Embedding {
    /// A vector.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`] beyond 2^32 numbers.
    pub fn vector(numbers: &[f32]) -> Result<Embedding> {
        let length = u32::try_from(numbers.len()).map_err(|_| too_large(numbers.len() as u64))?;
        Embedding::build(Dtype::F32, &[length], numbers.len() * 4, |into| {
            into.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        })
    }

    /// Numbers of any type and shape, given as little-endian bytes.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] when the bytes are not as many as the shape says, or it has over eight dimensions.
    pub fn new(dtype: Dtype, shape: &[u32], numbers: &[u8]) -> Result<Embedding> {
        let embedding = Embedding::build(dtype, shape, numbers.len(), |into| into.extend_from_slice(numbers))?;
        Embedding::open(embedding.tensor)
    }

    /// What the numbers are.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The length of each dimension.
    pub fn shape(&self) -> impl ExactSizeIterator<Item = u32> {
        self.tensor[4..4 + 4 * self.rank]
            .chunks_exact(4)
            .map(|dim| u32::from_le_bytes([dim[0], dim[1], dim[2], dim[3]]))
    }

    /// The numbers as little-endian bytes, shared.
    pub fn bytes(&self) -> Bytes {
        self.tensor.slice(numbers_at(self.rank)..)
    }

    /// The numbers, without loss. Borrowed wherever the machine can read them in place. `None` when they are not f32.
    pub fn as_f32(&self) -> Option<Cow<'_, [f32]>> {
        if self.dtype != Dtype::F32 {
            return None;
        }
        let bytes = &self.tensor[numbers_at(self.rank)..];
        match <[f32]>::ref_from_bytes(bytes) {
            Ok(numbers) if cfg!(target_endian = "little") => Some(Cow::Borrowed(numbers)),
            _ => {
                let numbers = bytes
                    .chunks_exact(4)
                    .map(|number| f32::from_le_bytes([number[0], number[1], number[2], number[3]]));
                Some(Cow::Owned(numbers.collect()))
            }
        }
    }

    fn build(dtype: Dtype, shape: &[u32], size: usize, numbers: impl FnOnce(&mut Vec<u8>)) -> Result<Embedding> {
        if shape.len() > MAX_RANK {
            return Err(corrupt(1, "more than eight dimensions"));
        }
        let mut tensor = Vec::with_capacity(numbers_at(shape.len()) + size);
        tensor.extend_from_slice(&[dtype as u8, shape.len() as u8, 0, 0]);
        tensor.extend(shape.iter().flat_map(|dim| dim.to_le_bytes()));
        tensor.resize(numbers_at(shape.len()), 0);
        numbers(&mut tensor);
        Ok(Embedding { dtype, rank: shape.len(), tensor: tensor.into() })
    }

    /// Reads what [`build`](Self::build) wrote, sharing it.
    fn open(tensor: Bytes) -> Result<Embedding> {
        let (Some(&dtype), Some(&rank)) = (tensor.first(), tensor.get(1)) else {
            return Err(corrupt(0, "no tensor"));
        };
        let dtype = *DTYPES.get(dtype as usize).ok_or_else(|| corrupt(0, "an unknown type of numbers"))?;
        let rank = rank as usize;
        if rank > MAX_RANK || tensor.len() < numbers_at(rank) {
            return Err(corrupt(1, "an impossible shape"));
        }
        let embedding = Embedding { dtype, rank, tensor };
        let size = embedding.shape().try_fold(dtype.size() as u64, |size, dim| size.checked_mul(u64::from(dim)));
        if size != Some((embedding.tensor.len() - numbers_at(rank)) as u64) {
            return Err(corrupt(numbers_at(rank) as u64, "not as many numbers as the shape says"));
        }
        Ok(embedding)
    }

    fn framed(&self) -> Result<Bytes> {
        // Never compressed: floats hardly shrink, and a hit in memory could not be shared.
        frame::build(Content::Tensor, Compression::None, self.tensor.len(), |into| {
            into.extend_from_slice(&self.tensor);
            Ok(())
        })
    }

    fn unframed(framed: &Bytes) -> Result<Embedding> {
        match frame::open(framed)? {
            (Content::Tensor, tensor) => Embedding::open(tensor),
            _ => Err(corrupt(5, "the payload is not a tensor")),
        }
    }
}

fn numbers_at(rank: usize) -> usize {
    (4 + 4 * rank).next_multiple_of(8)
}

fn corrupt(offset: u64, what: &str) -> CacheError {
    CacheError::Corrupt { offset, what: what.into() }
}

fn too_large(size: u64) -> CacheError {
    CacheError::TooLarge { backend: "embedding".into(), size, max: u64::from(u32::MAX) }
}

/// Embeddings by text and model, in a cache of any tiers.
///
/// ```
/// # use prefix_indexer_cache::*;
/// # use std::sync::Arc;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let cache = CacheManager::builder().tier(Arc::new(MemoryBackend::new(&MemoryConfig::default())?)).build()?;
/// let embeddings = EmbeddingCache::new(cache);
/// let found = embeddings.get_or_embed("a text", "model-1", || async { Embedding::vector(&[0.25, -1.5]) }).await?;
/// assert_eq!(*found.as_f32().unwrap(), [0.25, -1.5]);
/// assert!(embeddings.get("a text", "model-1").await.is_some());
/// assert!(embeddings.get("a text", "model-2").await.is_none());
/// # Ok::<(), CacheError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct EmbeddingCache {
    typed: Typed,
}

impl EmbeddingCache {
    /// Embeddings in `cache`, each for [`EMBEDDING_TTL`].
    pub fn new(cache: CacheManager) -> EmbeddingCache {
        EmbeddingCache { typed: Typed::new(cache, EMBEDDING_TTL) }
    }

    /// The same with another time to live.
    pub fn with_ttl(self, ttl: Duration) -> EmbeddingCache {
        EmbeddingCache { typed: self.typed.with_ttl(ttl) }
    }

    /// The embedding of `text` by `model`. From a memory tier it shares the stored bytes.
    pub async fn get(&self, text: &str, model: &str) -> Option<Embedding> {
        self.typed.get(&key(text, model), Embedding::unframed).await
    }

    /// Keeps the embedding of `text` by `model`.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`] beyond 1 GiB; what tiers failed is in the report.
    pub async fn set(&self, text: &str, model: &str, embedding: &Embedding) -> Result<WriteReport<()>> {
        Ok(self.typed.set(&key(text, model), embedding.framed()?).await)
    }

    /// The embedding, made by `embed` when there is none. As [`CacheManager::get_or_load`].
    ///
    /// # Errors
    /// What `embed` returned, or its panic.
    pub async fn get_or_embed<F>(
        &self,
        text: &str,
        model: &str,
        embed: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Embedding>
    where
        F: Future<Output = Result<Embedding>> + Send + 'static,
    {
        let load = || async { embed().await?.framed() };
        self.typed.get_or_load(&key(text, model), load, Embedding::unframed).await
    }

    /// Forgets all embeddings of `model`: one has been replaced by another of the same name. Says for each tier how many.
    pub async fn forget_model(&self, model: &str) -> WriteReport<u64> {
        self.typed.cache().clear(&Pattern::new(&format!("{}*", model_prefix(model)))).await
    }

    /// Hits and misses since it was made; clones count together.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        self.typed.hits_and_misses()
    }
}

fn model_prefix(model: &str) -> String {
    format!("embedding/{}/", &blake3::hash(model.as_bytes()).to_hex()[..32])
}

fn key(text: &str, model: &str) -> String {
    model_prefix(model) + &blake3::hash(text.as_bytes()).to_hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_dtype_and_every_bit_are_kept() {
        let odd = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 2.0, 1.0 + f32::EPSILON];
        let embedding = Embedding::unframed(&Embedding::vector(&odd).unwrap().framed().unwrap()).unwrap();
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&embedding.as_f32().unwrap()), bits(&odd));

        let half = Embedding::new(Dtype::F16, &[2, 3], &[1; 12]).unwrap();
        let half = Embedding::unframed(&half.framed().unwrap()).unwrap();
        assert_eq!((half.dtype(), half.shape().collect::<Vec<_>>(), half.bytes().len()), (Dtype::F16, vec![2, 3], 12));
        assert!(half.as_f32().is_none());
        assert!(Embedding::new(Dtype::F32, &[2], &[0; 7]).is_err());
        assert!(Embedding::new(Dtype::I8, &[1; 9], &[0]).is_err());
        assert!(Embedding::new(Dtype::F64, &[u32::MAX, u32::MAX, u32::MAX], &[]).is_err());
        assert_eq!(Embedding::new(Dtype::I8, &[], &[5]).unwrap().shape().len(), 0);
    }

    #[test]
    fn bytes_are_the_same_on_every_machine() {
        let tensor = Embedding::vector(&[1.0]).unwrap().tensor;
        assert_eq!(tensor[..], [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0x80, 0x3f]);
    }
}

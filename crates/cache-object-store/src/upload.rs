//! How values are sent: in one request, or in parts when they are large.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{
    Attributes, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    Result, path::Path,
};

/// Bytes a part, unless the value would have more than [`MAX_PARTS`].
const PART: usize = 8 << 20;

/// The most parts that every store takes.
const MAX_PARTS: usize = 10_000;

/// How many parts are under way at once.
const AT_ONCE: usize = 4;

/// The largest value that every store takes: 4 TiB.
pub(crate) const MAX_VALUE: u64 = 4 << 40;

/// Sends a value in one request.
pub(crate) async fn whole(
    store: &dyn ObjectStore,
    object: &Path,
    value: Bytes,
    attributes: Attributes,
    mode: PutMode,
) -> Result<()> {
    let options = PutOptions { mode, attributes, ..PutOptions::default() };
    store.put_opts(object, PutPayload::from(value), options).await.map(drop)
}

/// Sends a value in parts. Nobody sees it before all are there; should one fail, or the caller go away, the parts are removed.
pub(crate) async fn in_parts(
    store: &dyn ObjectStore,
    object: &Path,
    value: Bytes,
    attributes: Attributes,
) -> Result<()> {
    let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
    let mut upload = Upload(Some(store.put_multipart_opts(object, options).await?));
    let size = PART.max(value.len().div_ceil(MAX_PARTS));
    let parts = (0..value.len()).step_by(size).map(|at| value.slice(at..(at + size).min(value.len())));
    let Some(open) = &mut upload.0 else { return Ok(()) };
    let sent = stream::iter(parts).map(|part| open.put_part(part.into())).buffer_unordered(AT_ONCE);
    sent.try_collect::<()>().await?;
    open.complete().await?;
    upload.0 = None;
    Ok(())
}

/// An upload that is removed unless it came to its end.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "parts of an upload that was given up may be left in the store");
                }
            });
        }
    }
}

/// Deletes an object, which may be gone already. Says whether it was there, as far as the store tells.
pub(crate) async fn delete(store: &dyn ObjectStore, object: &Path) -> Result<bool> {
    match store.delete(object).await {
        Ok(()) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

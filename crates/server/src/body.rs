//! Bodies, read under limits: of size as sent, of size after decompression, and of the memory that all bodies together take.
//!
//! A body is counted while it comes, not believed to be as long as it says, and a compressed one is decompressed while it comes, so
//! that a bomb is refused when it has gone off by a slice. Memory is a [`Lease`] from one account; it goes with the batch that the body
//! becomes, until the batch is on disk.

use crate::answer::Problem;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;
use std::{
    io::{self, Write},
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one permit.
const PERMIT: u64 = 4096;

/// Compressed bytes that are decompressed between two chances for others.
const SLICE: usize = 16 << 10;

/// Largest window of zstd that is granted, as a power of two, and set aside for each body that uses it. `zstd -19` needs no more.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What gzip keeps while it decompresses.
const GZIP_STATE: u64 = 64 << 10;

/// The account of memory for bodies.
pub(crate) struct Memory {
    free: Arc<Semaphore>,
}

/// Memory that is taken; given back when dropped.
pub(crate) struct Lease {
    free: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    bytes: u64,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Memory {
        let permits = usize::try_from(bytes / PERMIT).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Memory { free: Arc::new(Semaphore::new(permits)) }
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease { free: Arc::clone(&self.free), taken: None, bytes: 0 }
    }
}

impl Lease {
    /// Takes as much as makes up `bytes` altogether.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> Result<(), Problem> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let permits = (bytes - self.bytes).div_ceil(PERMIT);
        let more = u32::try_from(permits).ok().and_then(|n| Arc::clone(&self.free).try_acquire_many_owned(n).ok());
        let more = more.ok_or(Problem::Busy("too much is being ingested; try again"))?;
        self.bytes += permits * PERMIT;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

/// A whole body.
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lease: Lease,
}

/// How large a body may be.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) sent: u64,
    pub(crate) decompressed: u64,
}

/// Reads a body to its end.
pub(crate) async fn read(memory: &Memory, limits: Limits, headers: &HeaderMap, body: Body) -> Result<Payload, Problem> {
    let mut decoder = Decoder::of(
        headers,
        Room { bytes: Vec::new(), lease: memory.lease(), limit: limits.decompressed, full: None },
    )?;
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > limits.sent) {
        return Err(too_large(limits.sent));
    }
    let (mut body, mut sent) = (body, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::status(StatusCode::BAD_REQUEST, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        sent += data.len() as u64;
        if sent > limits.sent {
            return Err(too_large(limits.sent));
        }
        for slice in data.chunks(if decoder.is_plain() { data.len().max(1) } else { SLICE }) {
            decoder.write(slice)?;
            if !decoder.is_plain() {
                tokio::task::yield_now().await;
            }
        }
    }
    let room = decoder.finish()?;
    Ok(Payload { bytes: room.bytes, lease: room.lease })
}

fn too_large(limit: u64) -> Problem {
    Problem::status(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
}

/// Where decompressed bytes go.
struct Room {
    bytes: Vec<u8>,
    lease: Lease,
    limit: u64,
    /// Why nothing more is taken.
    full: Option<Problem>,
}

impl Write for Room {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let length = (self.bytes.len() + data.len()) as u64;
        let outcome = if length > self.limit {
            Err(too_large(self.limit))
        } else if length > self.bytes.capacity() as u64 {
            // Grows by doubling, as the vector does.
            let capacity = length.max(2 * self.bytes.capacity() as u64).max(PERMIT).min(self.limit);
            self.lease.grow_to(self.lease_base() + capacity).map(|()| {
                self.bytes.reserve_exact(capacity as usize - self.bytes.len());
            })
        } else {
            Ok(())
        };
        match outcome {
            Ok(()) => {
                self.bytes.extend_from_slice(data);
                Ok(data.len())
            }
            Err(problem) => {
                self.full = Some(problem);
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Room {
    /// What was leased before the first byte: the decoder's own memory.
    fn lease_base(&self) -> u64 {
        self.lease.bytes.saturating_sub(self.bytes.capacity() as u64)
    }
}

enum Decoder {
    Plain(Room),
    Gzip(Box<MultiGzDecoder<Room>>),
    Zstd(zstd::stream::write::Decoder<'static, Room>),
}

impl Decoder {
    fn of(headers: &HeaderMap, mut room: Room) -> Result<Decoder, Problem> {
        let encodings = || headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = encodings().next().map_or(&b"identity"[..], |encoding| encoding.as_bytes());
        if encodings().count() <= 1 {
            if encoding.eq_ignore_ascii_case(b"identity") {
                return Ok(Decoder::Plain(room));
            }
            if encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip") {
                room.lease.grow_to(GZIP_STATE)?;
                return Ok(Decoder::Gzip(Box::new(MultiGzDecoder::new(room))));
            }
            if encoding.eq_ignore_ascii_case(b"zstd") {
                room.lease.grow_to(1 << ZSTD_WINDOW_LOG)?;
                let failed = |error: io::Error| Problem::internal(&error);
                let mut decoder = zstd::stream::write::Decoder::new(room).map_err(failed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
                return Ok(Decoder::Zstd(decoder));
            }
        }
        let what = "the body's encoding is not one of gzip, zstd and identity";
        Err(Problem::status(StatusCode::UNSUPPORTED_MEDIA_TYPE, what))
    }

    fn is_plain(&self) -> bool {
        matches!(self, Decoder::Plain(_))
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Problem> {
        let written = match self {
            Decoder::Plain(room) => room.write_all(data),
            Decoder::Gzip(decoder) => decoder.write_all(data),
            Decoder::Zstd(decoder) => decoder.write_all(data),
        };
        written.map_err(|error| self.problem(&error))
    }

    fn finish(mut self) -> Result<Room, Problem> {
        let flushed = match &mut self {
            Decoder::Plain(_) => Ok(()),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Zstd(decoder) => decoder.do_finish(),
        };
        flushed.map_err(|error| self.problem(&error))?;
        match self {
            Decoder::Plain(room) => Ok(room),
            Decoder::Gzip(decoder) => decoder.finish().map_err(|error| broken(&error)),
            Decoder::Zstd(decoder) => Ok(decoder.into_inner()),
        }
    }

    /// Why a write failed: for want of room, or because the data is broken.
    fn problem(&mut self, error: &io::Error) -> Problem {
        let room = match self {
            Decoder::Plain(room) => room,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.get_mut(),
        };
        room.full.take().unwrap_or_else(|| broken(error))
    }
}

fn broken(error: &io::Error) -> Problem {
    Problem::status(StatusCode::BAD_REQUEST, format!("the body cannot be decompressed: {error}"))
}

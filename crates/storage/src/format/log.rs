//! The write-ahead log, byte by byte.
//!
//! A file is a header of 64 bytes and then records, each at a multiple of 64: header (64 bytes), body, one end byte, zeros to
//! the next multiple. The rest of the file is zeros, reserved so that appending changes no metadata.
//!
//! What a crash can leave must be told from what must never happen. A write that did not reach the disk leaves zeros
//! (or the end of the file) where it should be, in whole sectors or from some byte on. A record is therefore *torn*,
//! and was never acknowledged, when it runs past the file, lacks its end byte, or has a sector of zeros; bodies are
//! whitened with a key stream, so none has one by nature. Anything else that does not match its checksum is *damaged*.

use crate::codec::{self, Decode, Encode};

/// Records begin at multiples of this, so that a header lies within one sector.
pub(crate) const ALIGNMENT: usize = 64;
/// Bytes of the header of a file, and of a record.
pub(crate) const HEADER_BYTES: usize = 64;
/// What storage writes completely or not at all.
const SECTOR: usize = 512;
const END: u8 = 0xed;
const FILE_MAGIC: [u8; 8] = *b"PXI-LOG\n";
const RECORD_MAGIC: [u8; 8] = *b"pxi-rec\n";
pub(crate) const VERSION: u32 = 1;
/// Bytes of a header that its checksum covers; the checksum follows.
const CHECKED: usize = HEADER_BYTES - 16;

/// Offset 0 of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct FileHeader {
    magic: [u8; 8],
    version: u32,
    unused: u32,
    first_record: u64,
    reserved: [u64; 3],
    checksum: [u8; 16],
}

/// Before each body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct RecordHeader {
    magic: [u8; 8],
    /// Counts up by one through all files of an index.
    number: u64,
    /// Number of the first record written by the same append: acknowledged together.
    group: u64,
    body_bytes: u64,
    /// Of the body as written, that is, whitened.
    body_checksum: [u8; 16],
    checksum: [u8; 16],
}

/// The beginning of a file whose first record is `first_record`.
pub(crate) fn file_header(first_record: u64) -> Vec<u8> {
    let mut header = FileHeader {
        magic: FILE_MAGIC,
        version: VERSION,
        unused: 0,
        first_record,
        reserved: [0; 3],
        checksum: [0; 16],
    };
    header.checksum = checksum(&encoded(&header)[..CHECKED]);
    encoded(&header)
}

/// What the beginning of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FileStart {
    /// A log; the number of its first record.
    Log(u64),
    /// The file was never completed: it holds zeros, or ends within the header.
    Torn,
    /// A version that this program does not know.
    Version(u32),
    /// Not a log, or a damaged one.
    Damaged,
}

/// What a file that should begin with record `first` begins with.
pub(crate) fn file_start(bytes: &[u8], first: u64) -> FileStart {
    let written = bytes.iter().take(HEADER_BYTES).rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let head = match bytes.get(..HEADER_BYTES) {
        Some(head) if written > 0 => head,
        _ if file_header(first).starts_with(&bytes[..written]) => return FileStart::Torn,
        _ => return FileStart::Damaged,
    };
    let torn = written < HEADER_BYTES && file_header(first).starts_with(&head[..written]);
    match codec::decode::<FileHeader>(head) {
        Ok(header) if header.checksum == checksum(&head[..CHECKED]) && header.magic == FILE_MAGIC => {
            if header.version == VERSION {
                FileStart::Log(header.first_record)
            } else {
                FileStart::Version(header.version)
            }
        }
        _ if torn => FileStart::Torn,
        _ => FileStart::Damaged,
    }
}

/// Appends a record to `out`, which holds whole records; `body` appends the body.
pub(crate) fn push_record<E>(
    out: &mut Vec<u8>,
    number: u64,
    group: u64,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    if let Err(error) = body(out) {
        out.truncate(start);
        return Err(error);
    }
    let body = &mut out[start + HEADER_BYTES..];
    whiten(body, number);
    let mut header = RecordHeader {
        magic: RECORD_MAGIC,
        number,
        group,
        body_bytes: body.len() as u64,
        body_checksum: checksum(body),
        checksum: [0; 16],
    };
    header.checksum = checksum(&encoded(&header)[..CHECKED]);
    out[start..start + HEADER_BYTES].copy_from_slice(&encoded(&header));
    out.push(END);
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    Ok(())
}

/// What there is at a place of a file where a record may begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The record that was expected.
    Record {
        /// What [`push_record`] was given.
        body: Vec<u8>,
        /// Where the next record may begin.
        end: usize,
    },
    /// Nothing but zeros in the place of a header: no record, or one that was torn there.
    End,
    /// A record that did not reach the disk completely.
    Torn,
    /// Bytes that a torn write cannot explain.
    Damaged(String),
}

/// Reads the record with this number at `at`, a multiple of [`ALIGNMENT`].
pub(crate) fn read_record(bytes: &[u8], at: usize, number: u64) -> Step {
    let rest = bytes.get(at..).unwrap_or(&[]);
    if rest.iter().take(HEADER_BYTES).all(|&byte| byte == 0) {
        return Step::End;
    }
    let Some(header) = record_header(rest) else {
        // Of a write that stopped within the header, nothing follows.
        let nothing_follows = rest.iter().skip(HEADER_BYTES).all(|&byte| byte == 0);
        return if nothing_follows { Step::Torn } else { Step::Damaged("the header of a record".to_owned()) };
    };
    if header.number != number {
        return Step::Damaged(format!("record {} where {number} should be", header.number));
    }
    let end = usize::try_from(header.body_bytes).ok().and_then(|body| body.checked_add(HEADER_BYTES));
    let Some((end, body)) = end.and_then(|end| Some((end, rest.get(HEADER_BYTES..end)?))) else {
        return Step::Torn;
    };
    if checksum(body) == header.body_checksum {
        let mut body = body.to_vec();
        whiten(&mut body, number);
        return Step::Record { body, end: at + (end + 1).next_multiple_of(ALIGNMENT) };
    }
    let complete = rest.get(end).is_some_and(|&byte| byte != 0);
    if complete && !has_zero_sector(bytes, at + HEADER_BYTES, at + end) {
        Step::Damaged(format!("record {number} does not match its checksum"))
    } else {
        Step::Torn
    }
}

/// Where, after `at`, a record begins that was written by a later append than record `number`: proof that what is at `at`
/// had been acknowledged.
pub(crate) fn later_record(bytes: &[u8], at: usize, number: u64) -> Option<usize> {
    (at.next_multiple_of(ALIGNMENT)..bytes.len())
        .step_by(ALIGNMENT)
        .find(|&place| record_header(&bytes[place..]).is_some_and(|header| header.group > number))
}

fn record_header(bytes: &[u8]) -> Option<RecordHeader> {
    let head = bytes.get(..HEADER_BYTES).filter(|head| head.starts_with(&RECORD_MAGIC))?;
    let header = codec::decode::<RecordHeader>(head).ok()?;
    (header.checksum == checksum(&head[..CHECKED])).then_some(header)
}

/// Whether a sector, or the part of one that lies in the range, is all zeros. Parts of under 16 bytes do not count: a
/// single damaged byte could make one.
fn has_zero_sector(bytes: &[u8], start: usize, end: usize) -> bool {
    let mut from = start;
    while from < end {
        let to = ((from / SECTOR + 1) * SECTOR).min(end);
        if to - from >= 16 && bytes[from..to].iter().all(|&byte| byte == 0) {
            return true;
        }
        from = to;
    }
    false
}

/// Combines a body with a key stream that depends on its record's number; doing it twice restores it.
///
/// The stream is splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014), eight
/// little-endian bytes a step. No secret: it only makes runs of zeros improbable (2^-128 for the shortest that counts).
fn whiten(body: &mut [u8], number: u64) {
    let mut state = number.wrapping_mul(0xd134_2543_de82_ef95);
    for chunk in body.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        for (byte, key) in chunk.iter_mut().zip(word.to_le_bytes()) {
            *byte ^= key;
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    let mut checksum = [0; 16];
    checksum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    checksum
}

fn encoded(header: &impl Encode) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    // Integers and arrays into memory: nothing there that can fail.
    let written = codec::encode(header, &mut out);
    debug_assert!(written.is_ok_and(|bytes| bytes == HEADER_BYTES));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = file_header(7);
        for (number, body) in (7..).zip(bodies) {
            push_record(&mut out, number, number, |out| {
                out.extend_from_slice(body);
                Ok::<_, ()>(())
            })
            .unwrap();
        }
        out
    }

    fn bodies(bytes: &[u8]) -> (Vec<Vec<u8>>, Step) {
        let (mut at, mut found) = (HEADER_BYTES, Vec::new());
        loop {
            match read_record(bytes, at, 7 + found.len() as u64) {
                Step::Record { body, end } => {
                    found.push(body);
                    at = end;
                }
                step => return (found, step),
            }
        }
    }

    #[test]
    fn records_come_back() {
        let long = vec![0; 3000];
        let mut bytes = log(&[b"one", b"", &long]);
        assert_eq!(file_start(&bytes, 7), FileStart::Log(7));
        assert_eq!(bodies(&bytes), (vec![b"one".to_vec(), vec![], long.clone()], Step::End));
        bytes.resize(bytes.len() + 5000, 0);
        assert_eq!(bodies(&bytes), (vec![b"one".to_vec(), vec![], long], Step::End));
    }

    #[test]
    fn every_cut_is_torn_and_every_missing_sector_too() {
        let body = vec![0; 2000];
        let whole = log(&[b"one", &body]);
        let second = 128 + 64;
        for cut in second..whole.len() {
            let zeroed: Vec<u8> = whole[..cut].iter().copied().chain(vec![0; whole.len() - cut + 100]).collect();
            for bytes in [&whole[..cut], &zeroed] {
                let (found, step) = bodies(bytes);
                let complete = found.len() == 2;
                assert!(complete || matches!(step, Step::End | Step::Torn), "cut {cut}: {step:?}");
                assert!(!complete || cut > second + 2000, "cut {cut}");
            }
        }
        for sector in (SECTOR..whole.len()).step_by(SECTOR) {
            let mut bytes = whole.clone();
            let end = (sector + SECTOR).min(bytes.len());
            bytes[sector..end].fill(0);
            assert_eq!(bodies(&bytes).1, Step::Torn, "sector at {sector}");
        }
    }

    #[test]
    fn every_flip_is_damage_or_harmless() {
        let whole = log(&[b"one", &[0; 1500]]);
        for at in HEADER_BYTES..whole.len() {
            for flip in [whole[at], 0x01, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let (found, step) = bodies(&bytes);
                let damaged = matches!(step, Step::Damaged(_));
                assert!(damaged || (found.len() == 2 && step == Step::End) || bytes == whole, "{at} {flip}: {step:?}");
            }
        }
    }

    #[test]
    fn a_later_record_proves_that_an_earlier_one_was_acknowledged() {
        let mut bytes = log(&[b"one", b"two", b"three"]);
        bytes[HEADER_BYTES..HEADER_BYTES + 128].fill(0);
        assert_eq!(read_record(&bytes, HEADER_BYTES, 7), Step::End);
        assert_eq!(later_record(&bytes, HEADER_BYTES, 7), Some(192));
        // Records 8 and 9 of one append say nothing about each other.
        assert_eq!(later_record(&bytes, 192, 9), None);
    }

    #[test]
    fn headers_of_files() {
        let mut header = file_header(3);
        assert_eq!(header.len(), HEADER_BYTES);
        for cut in 0..HEADER_BYTES {
            assert_eq!(file_start(&header[..cut], 3), FileStart::Torn);
            let zeroed: Vec<u8> = header[..cut].iter().copied().chain([0; 100]).collect();
            assert_eq!(file_start(&zeroed, 3), FileStart::Torn);
        }
        assert_eq!(file_start(b"something else", 3), FileStart::Damaged);
        header[8] ^= 2;
        assert_eq!(file_start(&header, 3), FileStart::Damaged);
        let sum = checksum(&header[..CHECKED]);
        header[CHECKED..].copy_from_slice(&sum);
        assert_eq!(file_start(&header, 3), FileStart::Version(3));
    }
}

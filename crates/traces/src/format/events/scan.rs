//! Values of known shape, many bytes at a time: plain strings, short integers, short decimals.
//!
//! Everything here either understands a value completely or gives up on it, so that a slower path can have its say. It
//! never accepts what that path would refuse.

use super::{Fields, MAX_DEPTH, MAX_LAYER, NAMES};
use crate::{
    json,
    words::{load, load_two},
};
use prefix_indexer_models::Span;
use wide::u8x16;

/// Numbers that stand for a value of an unknown field, beside the places in [`NAMES`].
pub(super) const OTHER_STRING: u8 = 13;
pub(super) const OTHER_NUMBER: u8 = 14;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Where the string that begins behind a quote at `at` ends, unless it has an escape or a control character.
#[inline]
pub(super) fn string(bytes: &[u8], at: usize) -> Option<Span> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let start = at + 1;
    let mut end = start;
    loop {
        let found = special(load_two(bytes, end));
        if found != 0 {
            end += found.trailing_zeros() as usize;
            break;
        }
        end += 16;
    }
    let span = if start == end { Span::NONE } else { Span { start: start as u32, end: end as u32 } };
    (*bytes.get(end)? == b'"').then_some(span)
}

/// A bit for each byte that is a quote, a backslash or a control character.
#[inline]
pub(super) fn special(bytes: u128) -> u32 {
    let bytes = u8x16::new(bytes.to_le_bytes());
    let control = bytes.simd_eq(bytes.min(u8x16::splat(b' ' - 1)));
    (bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\')) | control).to_bitmask()
}

/// The value and length of up to 18 digits without a superfluous zero in front.
#[inline(always)] // what it returns stays in registers
fn digits(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let (word, count) = leading_digits(bytes, at);
    if count == 8 {
        return more_digits(bytes, at, word);
    }
    let superfluous = count > 1 && word & 0xff == 0;
    (count > 0 && !superfluous).then(|| (short(word, count), count))
}

/// As [`digits`], behind the first eight.
#[inline]
fn more_digits(bytes: &[u8], at: usize, first: u64) -> Option<(u64, usize)> {
    let (mut value, mut length) = (eight(first), 8);
    loop {
        let (word, count) = leading_digits(bytes, at + length);
        if count > 0 {
            value = value.wrapping_mul(POWERS[count & 15]).wrapping_add(short(word, count));
            length += count;
        }
        if count < 8 {
            break;
        }
        if length > 16 {
            return None;
        }
    }
    (length <= 18 && first & 0xff != 0).then_some((value, length))
}

/// The value and length of 8 to 15 digits without a zero in front.
#[inline(always)] // as `digits`
pub(super) fn long_integer(text: [u8; 16]) -> Option<(u64, usize)> {
    let zeros = u128::from_le_bytes(text) ^ u128::from_le_bytes([b'0'; 16]);
    let (first, rest) = (zeros as u64, (zeros >> 64) as u64);
    let count = digits_before(rest);
    if digits_before(first) < 8 || count == 8 || first & 0xff == 0 {
        return None;
    }
    // As `short`, and 0 for no digit.
    let low = eight((rest << (56 - 8 * count)) << 8);
    Some((eight(first) * POWERS[count] + low, 8 + count))
}

/// Powers of ten.
const POWERS: [u64; 16] = {
    let mut powers = [1; 16];
    let mut place = 1;
    while place < 16 {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

/// Eight bytes less the digit zero, and how many of them come before the first that is no digit.
#[inline(always)] // as `digits`
fn leading_digits(bytes: &[u8], at: usize) -> (u64, usize) {
    let word = load(bytes, at) ^ (ONES * b'0' as u64);
    (word, digits_before(word))
}

/// How many bytes of a word less the digit zero come before the first that is no digit.
#[inline(always)] // as `digits`
fn digits_before(word: u64) -> usize {
    let others = (word.wrapping_add(ONES * 0x76) | word) & HIGHS;
    (others.trailing_zeros() / 8) as usize
}

/// The value of the first digits of a word, 1 to 8 of them: as if zeros were in front.
#[inline(always)] // as `digits`
fn short(word: u64, count: usize) -> u64 {
    eight(word << (64 - 8 * count))
}

/// The value of eight digits, one a byte, the first one lowest: neighbours are joined to pairs, fours, eight.
#[inline]
fn eight(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff
}

#[inline(always)] // as `digits`
pub(super) fn integer(bytes: &[u8], at: usize, max: u64) -> Option<(u64, usize)> {
    let (value, length) = digits(bytes, at)?;
    (value <= max).then_some((value, at + length))
}

/// A decimal. Up to 15 digits are an exact integer divided by an exact power of ten, which rounds as the standard library
/// does; it reads the longer ones.
#[inline(always)] // as `digits`
pub(super) fn decimal(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    short_decimal(bytes, at).or_else(|| any_decimal(bytes, at))
}

/// A decimal that ends within eight bytes: `12.345,`.
#[inline(always)] // as `digits`
fn short_decimal(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    const POINT: u64 = (b'.' ^ b'0') as u64;
    let (word, whole) = leading_digits(bytes, at);
    if !(1..=5).contains(&whole) || word >> (8 * whole) & 0xff != POINT || whole > 1 && word & 0xff == 0 {
        return None;
    }
    let fraction = word >> (8 * whole + 8);
    let places = digits_before(fraction | (0xff << (56 - 8 * whole)));
    let (length, end) = (whole + places, whole + 1 + places);
    if places == 0 || end > 7 || exponent(bytes, at + end) {
        return None;
    }
    // Without the point, the digits lie side by side.
    let joined = word & ((1 << (8 * whole)) - 1) | fraction << (8 * whole);
    Some((short(joined, length) as f64 / TENS[places & 15], at + end))
}

/// Powers of ten, all of them exact.
const TENS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

#[inline(never)]
fn any_decimal(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let (whole, length) = digits(bytes, at)?;
    let point = at + length;
    if bytes.get(point) != Some(&b'.') {
        return if length <= 15 && !exponent(bytes, point) { Some((whole as f64, point)) } else { long(bytes, at) };
    }
    let places = fraction_digits(bytes, point + 1);
    let end = point + 1 + places;
    if places == 0 || length + places > 15 || exponent(bytes, end) {
        return long(bytes, at);
    }
    let mantissa = (0..places).step_by(8).fold(whole, |mantissa, from| {
        let count = (places - from).min(8);
        let (word, _) = leading_digits(bytes, point + 1 + from);
        mantissa * POWERS[count & 15] + short(word, count)
    });
    Some((mantissa as f64 / TENS[places & 15], end))
}

#[inline]
fn exponent(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at), Some(b'e' | b'E' | b'.'))
}

#[inline]
fn fraction_digits(bytes: &[u8], at: usize) -> usize {
    let mut length = 0;
    loop {
        let (_, count) = leading_digits(bytes, at + length);
        length += count;
        if count < 8 {
            return length;
        }
    }
}

/// Any number that JSON allows.
#[inline(never)]
fn long(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let rest = bytes.get(at..)?;
    let number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let length = rest.iter().take_while(number).count();
    let value = json::float(std::str::from_utf8(&rest[..length]).ok()?).ok()?;
    Some((value, at + length))
}

/// Reads the value of a field at `at` into `fields`. Returns where it ends; the caller checks what follows.
#[inline(always)] // into the loop over a layout: a call a field costs a tenth
pub(super) fn value(bytes: &[u8], at: usize, field: u8, fields: &mut Fields) -> Option<usize> {
    let behind = |span: Span, at: usize| if span.is_none() { at + 2 } else { span.end as usize + 1 };
    macro_rules! text {
        ($name:ident) => {{
            fields.$name = string(bytes, at)?;
            behind(fields.$name, at)
        }};
    }
    macro_rules! whole {
        ($name:ident, $max:expr) => {{
            let (value, end) = integer(bytes, at, $max)?;
            fields.$name = value as _;
            end
        }};
    }
    Some(match field {
        0 => text!(prefix_id),
        1 => text!(tenant),
        2 => text!(model_id),
        3 => whole!(layer, MAX_LAYER),
        4 => whole!(page_start, MAX_LAYER),
        5 => whole!(page_end, MAX_LAYER),
        6 => whole!(bytes, u64::MAX),
        7 => {
            let (value, end) = decimal(bytes, at)?;
            fields.latency_ms = value;
            end
        }
        8 => whole!(timestamp_ms, u64::MAX),
        9 => text!(parent_id),
        10 => {
            let (value, end) = integer(bytes, at, MAX_DEPTH)?;
            fields.depth = Some(value as u32);
            end
        }
        11 => text!(session_id),
        12 => text!(event_id),
        OTHER_STRING => behind(string(bytes, at)?, at),
        _ => {
            let negative = usize::from(bytes.get(at) == Some(&b'-'));
            long(bytes, at + negative).filter(|_| bytes.get(at + negative) != Some(&b'-'))?.1
        }
    })
}

/// The values of a line whose fields come in any order.
///
/// As [`value`] into [`Fields`], but the fields of a kind lie side by side: where each next field is a surprise, every branch
/// on which one it is would be a wrong guess.
#[derive(Default)]
pub(super) struct Values {
    /// As in [`Fields`].
    pub(super) seen: u16,
    texts: [Span; NAMES.len()],
    wholes: [u64; NAMES.len()],
    latency_ms: f64,
}

/// Bits of the fields that are texts, by place.
const TEXTS: u16 = 0b1_1010_0000_0111;
const LATENCY: u8 = 7;
const DEPTH: usize = 10;

/// The largest values of the fields that are whole numbers, by place.
const MAXIMA: [u64; NAMES.len()] = {
    let mut maxima = [MAX_LAYER; NAMES.len()];
    (maxima[6], maxima[8], maxima[DEPTH]) = (u64::MAX, u64::MAX, MAX_DEPTH);
    maxima
};

impl Values {
    /// Reads the value of a field at `at`. Returns where it ends; the caller checks what follows.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], at: usize, field: u8) -> Option<usize> {
        let place = usize::from(field);
        if TEXTS >> field & 1 != 0 {
            let text = string(bytes, at)?;
            *self.texts.get_mut(place)? = text;
            return Some(if text.is_none() { at + 2 } else { text.end as usize + 1 });
        }
        if field == LATENCY {
            let (value, end) = decimal(bytes, at)?;
            self.latency_ms = value;
            return Some(end);
        }
        let (value, end) = integer(bytes, at, *MAXIMA.get(place)?)?;
        *self.wholes.get_mut(place)? = value;
        Some(end)
    }

    /// An optional field that is `null` after all, though an earlier value of the same key was not.
    pub(super) fn forget(&mut self, field: u8) {
        self.seen &= !(1 << field);
        if let Some(text) = self.texts.get_mut(usize::from(field)) {
            *text = Span::NONE;
        }
    }

    pub(super) fn fields(&self) -> Fields {
        let Values { seen, texts, wholes, latency_ms } = *self;
        Fields {
            seen,
            prefix_id: texts[0],
            tenant: texts[1],
            model_id: texts[2],
            layer: wholes[3] as u32,
            page_start: wholes[4] as u32,
            page_end: wholes[5] as u32,
            bytes: wholes[6],
            latency_ms,
            timestamp_ms: wholes[8],
            parent_id: texts[9],
            depth: (seen >> DEPTH & 1 != 0).then_some(wholes[DEPTH] as u32),
            session_id: texts[11],
            event_id: texts[12],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(text: &str) {
        let found = decimal(text.as_bytes(), 0).filter(|(_, end)| *end == text.len()).map(|(value, _)| value.to_bits());
        let expected = json::float(text).ok().map(f64::to_bits);
        match found {
            Some(found) => assert_eq!(Some(found), expected, "{text}"),
            // What it may leave to others: long integers, signs, and no number at all.
            None => assert!(expected.is_none() || text.len() > 15 || text.starts_with(['-', '"']), "{text}"),
        }
    }

    #[test]
    fn decimals_are_read_as_by_the_standard_library() {
        for text in ["0", "0.0", "0.1", "12.5", "999999999999999", "0.3", "123456.789012345", "1e3", "1.5E-3", "00.1"] {
            agrees(text);
        }
        for text in [
            "1.",
            ".5",
            "1e",
            "1.2.3",
            "12345678901234567890",
            "0.1234567890123456789",
            "1e999",
            "-1",
            "9007199254740993",
        ] {
            agrees(text);
        }
    }

    #[test]
    fn integers_stop_where_the_digits_do() {
        for (text, expected) in [
            ("7,", Some((7, 1))),
            ("0}", Some((0, 1))),
            ("12345678,", Some((12_345_678, 8))),
            ("1700000000000 ", Some((1_700_000_000_000, 13))),
            ("123456789012345678", Some((123_456_789_012_345_678, 18))),
            ("1234567890123456789", None),
            ("99999999999999999999999999", None),
            ("01", None),
            ("-1", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(digits(text.as_bytes(), 0), expected, "{text}");
        }
    }

    #[test]
    fn strings_stop_at_the_quote_and_give_up_on_escapes() {
        for (text, expected) in [
            ("\"abc\",", Some((1, 4))),
            ("\"\"", Some((0, 0))),
            ("\"abcdefgh\"", Some((1, 9))),
            ("\"gr\u{fc}n \u{1f600} lang genug\"", Some((1, 22))),
            ("\"a\\\"b\"", None),
            ("\"a\nb\"", None),
            ("\"a\u{1f}b\"", None),
            ("\"abc", None),
            ("abc", None),
        ] {
            assert_eq!(string(text.as_bytes(), 0), expected.map(|(start, end)| Span { start, end }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_decimal_is_read_as_by_the_standard_library(text in "[0-9]{1,12}(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?") {
            agrees(&text);
        }

        #[test]
        fn any_float_is_read_as_it_was_written(value in 0.0f64..1e12) {
            agrees(&value.to_string());
            agrees(&format!("{value:.3}"));
        }
    }
}

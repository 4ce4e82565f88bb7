//! The grammar of JSON values as traces use them, shared by all line formats.
//!
//! `serde_json` walks the objects; the tokens it finds are interpreted here, so that every path gives a number the same
//! meaning, to the bit.

use crate::error::Fault;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, cell::Cell, fmt};

/// The values of the fields `names` of a JSON object, as they are written. Of a repeated key the last value counts; other
/// keys are ignored. Nothing recurses, so depth is not limited.
pub(crate) fn object<'a, const N: usize>(
    text: &'a str,
    names: &'static [&'static str; N],
) -> Result<[Option<&'a str>; N], Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let current = Cell::new(None);
    let mut parser = serde_json::Deserializer::from_str(text);
    let found = parser.deserialize_map(Object { names, current: &current });
    found.and_then(|found| parser.end().map(|()| found)).map_err(|error| {
        let field = current.get().and_then(|index: usize| names.get(index)).copied();
        Fault { field, reason: syntax(text, &error).into() }
    })
}

fn syntax(text: &str, error: &serde_json::Error) -> String {
    let at = error.column().saturating_sub(1);
    let rest = text.get(at..).unwrap_or("");
    let word = rest.strip_prefix('-').unwrap_or(rest);
    if let Some(word) = ["NaN", "Infinity", "inf", "nan"].into_iter().find(|literal| word.starts_with(literal)) {
        return format!("{word} is not a number of JSON");
    }
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or("");
    format!("not valid JSON: {what} at byte {}", at + 1)
}

struct Object<'c, const N: usize> {
    names: &'static [&'static str; N],
    current: &'c Cell<Option<usize>>,
}

impl<'de, const N: usize> Visitor<'de> for Object<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(index) = map.next_key_seed(Key(self.names))? {
            self.current.set(index);
            match index.and_then(|index| found.get_mut(index)) {
                Some(value) => *value = Some(map.next_value::<&'de RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            self.current.set(None);
        }
        Ok(found)
    }
}

struct Key(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

/// The text of a string token; borrowed unless it has escapes.
pub(crate) fn string(token: &str) -> Result<Cow<'_, str>, Cow<'static, str>> {
    let Some(inner) = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(format!("{} where a string belongs", kind(token)).into());
    };
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(token).map(Cow::Owned).map_err(|_| Cow::Borrowed("not a valid string"))
}

fn kind(token: &str) -> &'static str {
    match token.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A number token, or a string that holds one: some producers write `"77"`.
fn number<'a>(token: &'a str, what: &str) -> Result<Number<'a>, Cow<'static, str>> {
    let inner = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match Number::parse(inner.unwrap_or(token)) {
        Some(number) => Ok(number),
        None if inner.is_some() => Err(format!("a string that is not {what}").into()),
        None => Err(format!("{} where {what} belongs", kind(token)).into()),
    }
}

/// An integer from 0 to `max`, also written as a string, as `3.0` or as `3e2`.
pub(crate) fn integer(token: &str, max: u64) -> Result<u64, Cow<'static, str>> {
    let number = number(token, "an integer")?;
    let digits = || number.whole.bytes().chain(number.fraction.bytes());
    let count = number.whole.len() + number.fraction.len();
    let leading = digits().take_while(|digit| *digit == b'0').count();
    if leading == count {
        return Ok(0);
    }
    let trailing = digits().rev().take_while(|digit| *digit == b'0').count();
    // The value is its significant digits times this power of ten.
    let significant = count - leading - trailing;
    let power = number.exponent.saturating_sub(number.fraction.len() as i64).saturating_add(trailing as i64);
    if power < 0 {
        return Err(format!("{} is not an integer", short(token)).into());
    }
    if number.negative {
        return Err(format!("{} is negative", short(token)).into());
    }
    if power.saturating_add(significant as i64) <= 20 {
        let digits = digits().skip(leading).take(significant);
        let value = digits.fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0')) * 10u128.pow(power as u32);
        if value <= u128::from(max) {
            return Ok(value as u64);
        }
    }
    Err(format!("{} is larger than {max}", short(token)).into())
}

/// A number, also written as a string; the nearest `f64`, which is infinite for `1e999`.
pub(crate) fn float(token: &str) -> Result<f64, Cow<'static, str>> {
    number(token, "a number")?;
    token.trim_matches('"').parse().map_err(|_| Cow::Borrowed("not a number"))
}

/// Enough of a token for a message.
pub(crate) fn short(token: &str) -> String {
    const SHOWN: usize = 40;
    match token.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &token[..end]),
        None => token.to_owned(),
    }
}

/// The parts of a number as JSON writes it.
struct Number<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Number<'a> {
    fn parse(text: &'a str) -> Option<Number<'a>> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, rest) = digits(rest)?;
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        let (fraction, rest) = rest.strip_prefix('.').map_or(Some(("", rest)), digits)?;
        let mut exponent = 0;
        if let Some(rest) = rest.strip_prefix(['e', 'E']) {
            let (sign, rest) = match rest.strip_prefix('-') {
                Some(rest) => (-1, rest),
                None => (1, rest.strip_prefix('+').unwrap_or(rest)),
            };
            let (digits, rest) = digits(rest)?;
            // An exponent with more digits than an i64 is as good as an endless one.
            exponent = sign * digits.parse().unwrap_or(i64::MAX / 2);
            return rest.is_empty().then_some(Number { negative, whole, fraction, exponent });
        }
        rest.is_empty().then_some(Number { negative, whole, fraction, exponent })
    }
}

/// One or more digits, and what follows.
fn digits(text: &str) -> Option<(&str, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    (length > 0).then(|| text.split_at(length))
}

//! Arrow's columns as the fields of events.

use crate::{
    error::Fault,
    format::events::{Fields, MAX_DEPTH, MAX_LAYER, MAX_LONG, NAMES, REQUIRED},
    rows::Rows,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, RecordBatch,
    cast::AsArray,
    types::{
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type,
    },
};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_data::ArrayData;
use arrow_schema::{DataType, TimeUnit};
use prefix_indexer_models::{EventSlices, NO_DEPTH, Span};
use std::{borrow::Cow, collections::BTreeMap, fmt::Display};

/// The values of a batch of rows, by field. Absent columns are empty.
pub(super) struct Columns {
    texts: [Vec<Span>; NAMES.len()],
    wholes: [Vec<u64>; NAMES.len()],
    latency_ms: Vec<f64>,
    nulls: [Option<NullBuffer>; NAMES.len()],
    seen: u16,
    /// Rows with a value that no event can have, with the first such field.
    pub(super) faults: BTreeMap<usize, Fault>,
}

const LATENCY: usize = 7;
const DEPTH: usize = 10;

/// Pairs of tenant and model that are remembered.
const RECENT: usize = 1 << 10;

/// Tenants and models with their numbers.
type Recent = [(Span, Span, u32); RECENT];

/// The strings of a column's codes that are in the text already. They are the same for many batches of a row group.
pub(super) struct Dictionaries {
    /// Rows that may use them.
    rows: usize,
    known: [Option<(ArrayData, Vec<Span>)>; NAMES.len()],
    recent: Box<Recent>,
}

impl Dictionaries {
    /// For a piece of this many rows.
    pub(super) fn new(rows: usize) -> Dictionaries {
        Dictionaries { rows, known: Default::default(), recent: Box::new([(Span::NONE, Span::NONE, 0); RECENT]) }
    }

    /// Where the strings of a dictionary are in the text of `rows`.
    fn spans(&mut self, field: usize, values: &ArrayRef, rows: &mut Rows<'_>) -> Result<&[Span], String> {
        let data = values.to_data();
        let known = self.known[field].take().filter(|(known, _)| known.ptr_eq(&data));
        let known = match known {
            Some(known) => known,
            None => (data, texts(values, field, rows, self)?),
        };
        Ok(&self.known[field].insert(known).1)
    }
}

impl Columns {
    /// Takes the columns apart; strings go to the text of `rows`.
    pub(super) fn new(
        records: &RecordBatch,
        rows: &mut Rows<'_>,
        dictionaries: &mut Dictionaries,
    ) -> Result<Columns, (&'static str, String)> {
        let mut columns = Columns {
            texts: Default::default(),
            wholes: Default::default(),
            latency_ms: Vec::new(),
            nulls: Default::default(),
            seen: 0,
            faults: BTreeMap::new(),
        };
        for (field, name) in NAMES.into_iter().enumerate() {
            let Some(array) = records.column_by_name(name) else { continue };
            columns.seen |= 1 << field;
            let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
            if let Some(nulls) = nulls.as_ref().filter(|_| field < REQUIRED) {
                for row in (0..nulls.len()).filter(|row| nulls.is_null(*row)) {
                    columns.faults.entry(row).or_insert_with(|| Fault::new(name, "null"));
                }
            }
            columns.nulls[field] = nulls;
            let taken = match field {
                0..=2 | 9 | 11 | 12 => {
                    texts(array, field, rows, dictionaries).map(|spans| columns.texts[field] = spans)
                }
                LATENCY => floats(array).map(|values| columns.latency_ms = values),
                6 | 8 => columns.whole(array, field, MAX_LONG),
                DEPTH => columns.whole(array, field, MAX_DEPTH),
                _ => columns.whole(array, field, MAX_LAYER),
            };
            taken.map_err(|reason| (name, reason))?;
        }
        Ok(columns)
    }

    /// Appends all rows at once if every one of them is surely a valid event. Says whether it did.
    pub(super) fn append(&self, rows: &mut Rows<'_>, dictionaries: &mut Dictionaries) -> bool {
        const ALL: u16 = (1 << REQUIRED) - 1;
        const SHORT: u32 = 1 << 16;
        let [prefix_id, tenant, model_id, .., parent_id, _, session_id, event_id] = &self.texts;
        let [_, _, _, layer, page_start, page_end, bytes, _, timestamp_ms, ..] = &self.wholes;
        let named = |spans: &[Span]| spans.iter().all(|span| (1..SHORT).contains(&span.end.wrapping_sub(span.start)));
        let short = |spans: &[Span]| spans.iter().all(|span| span.end.wrapping_sub(span.start) < SHORT);
        let text = |span: &Span| rows.owned().get(span.start as usize..span.end as usize);
        let own_parent =
            |(parent, own): (&Span, &Span)| !parent.is_none() && (parent == own || text(parent) == text(own));
        let valid = self.seen & ALL == ALL
            && self.faults.is_empty()
            && [prefix_id, tenant, model_id].into_iter().all(|spans| named(spans))
            && [parent_id, session_id, event_id].into_iter().all(|spans| short(spans))
            && !parent_id.iter().zip(prefix_id).any(own_parent)
            && page_start.iter().zip(page_end).all(|(start, end)| start <= end)
            && self.latency_ms.iter().all(|value| (0.0..f64::MAX).contains(value));
        if valid {
            let scope = scopes(tenant, model_id, rows, &mut dictionaries.recent);
            let depth = &self.wholes[DEPTH];
            let known_depth = |(row, depth): (usize, &u64)| if self.has_no_depth(row) { NO_DEPTH } else { *depth };
            let depth = match self.nulls[DEPTH] {
                None => Cow::Borrowed(depth),
                Some(_) => Cow::Owned(depth.iter().enumerate().map(known_depth).collect()),
            };
            rows.push_rows(&EventSlices {
                prefix_id,
                parent_id,
                session_id,
                event_id,
                scope: &scope,
                layer,
                page_start,
                page_end,
                depth: &depth,
                bytes,
                timestamp_ms,
                latency_ms: &self.latency_ms,
            });
        }
        valid
    }

    /// The values of a row that has no fault.
    pub(super) fn fields(&self, row: usize) -> Fields {
        let text = |field: usize| self.texts[field].get(row).copied().unwrap_or(Span::NONE);
        let whole = |field: usize| self.wholes[field].get(row).copied().unwrap_or(0);
        Fields {
            seen: self.seen,
            prefix_id: text(0),
            tenant: text(1),
            model_id: text(2),
            layer: whole(3) as u32,
            page_start: whole(4) as u32,
            page_end: whole(5) as u32,
            bytes: whole(6),
            latency_ms: self.latency_ms.get(row).copied().unwrap_or(0.0),
            timestamp_ms: whole(8),
            parent_id: text(9),
            depth: (self.seen & 1 << DEPTH != 0 && !self.has_no_depth(row)).then(|| whole(DEPTH) as u32),
            session_id: text(11),
            event_id: text(12),
        }
    }

    fn has_no_depth(&self, row: usize) -> bool {
        self.nulls[DEPTH].as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn whole(&mut self, array: &ArrayRef, field: usize, max: u64) -> Result<(), String> {
        macro_rules! take {
            ($type:ty) => {
                self.values::<$type, _>(array, field, max, |value| {
                    u64::try_from(value).map_err(|_| format!("{value} is negative"))
                })
            };
            ($type:ty, $to_ms:expr) => {
                self.values::<$type, _>(array, field, max, |value: i64| {
                    let ms: Option<i64> = $to_ms(value);
                    ms.and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| format!("{value} is out of range"))
                })
            };
        }
        let time = NAMES[field] == "timestamp_ms";
        match array.data_type() {
            DataType::Int8 => take!(Int8Type),
            DataType::Int16 => take!(Int16Type),
            DataType::Int32 => take!(Int32Type),
            DataType::Int64 => take!(Int64Type),
            DataType::UInt8 => take!(UInt8Type),
            DataType::UInt16 => take!(UInt16Type),
            DataType::UInt32 => take!(UInt32Type),
            DataType::UInt64 => take!(UInt64Type),
            DataType::Float32 => self.values::<Float32Type, _>(array, field, max, |value| integral(f64::from(value))),
            DataType::Float64 => self.values::<Float64Type, _>(array, field, max, integral),
            DataType::Timestamp(unit, _) if time => match unit {
                TimeUnit::Second => take!(TimestampSecondType, |value: i64| value.checked_mul(1000)),
                TimeUnit::Millisecond => take!(TimestampMillisecondType, Some),
                TimeUnit::Microsecond => take!(TimestampMicrosecondType, |value: i64| Some(value.div_euclid(1000))),
                TimeUnit::Nanosecond => take!(TimestampNanosecondType, |value: i64| Some(value.div_euclid(1_000_000))),
            },
            DataType::Dictionary(_, inner) if inner.is_numeric() => {
                let plain = cast(array, inner).map_err(|error| error.to_string())?;
                return self.whole(&plain, field, max);
            }
            other => return Err(format!("has type {other}, where integers belong")),
        }
        Ok(())
    }

    fn values<T: ArrowPrimitiveType, F>(&mut self, array: &ArrayRef, field: usize, max: u64, convert: F)
    where
        F: Fn(T::Native) -> Result<u64, String>,
        T::Native: Display,
    {
        let (nulls, faults) = (&self.nulls[field], &mut self.faults);
        let values = array.as_primitive::<T>().values().iter().enumerate().map(|(row, value)| {
            let reason = match convert(*value) {
                Ok(value) if value <= max => return value,
                _ if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) => return 0,
                Ok(value) => format!("{value} is larger than {max}"),
                Err(reason) => reason,
            };
            faults.entry(row).or_insert_with(|| Fault::new(NAMES[field], reason));
            0
        });
        self.wholes[field] = values.collect();
    }
}

/// The numbers of tenants and models. Strings of a dictionary are in one place, so where they are tells them apart.
fn scopes(tenants: &[Span], models: &[Span], rows: &mut Rows<'_>, recent: &mut Recent) -> Vec<u32> {
    let number = |(&tenant, &model_id): (&Span, &Span)| {
        let mixed = tenant.start.wrapping_mul(0x9e37_79b9) ^ model_id.start.wrapping_mul(0x85eb_ca6b);
        let place = &mut recent[(mixed >> 22) as usize % RECENT];
        if (place.0, place.1) != (tenant, model_id) {
            *place = (tenant, model_id, rows.scope(tenant, model_id));
        }
        place.2
    };
    tenants.iter().zip(models).map(number).collect()
}

/// Frames of data turn whole numbers into floats when one of them is missing.
fn integral(value: f64) -> Result<u64, String> {
    if value.fract() != 0.0 || !value.is_finite() {
        return Err(format!("{value} is not an integer"));
    }
    if value < 0.0 {
        return Err(format!("{value} is negative"));
    }
    Ok(value as u64)
}

fn floats(array: &ArrayRef) -> Result<Vec<f64>, String> {
    let numeric = match array.data_type() {
        DataType::Dictionary(_, inner) => inner.is_numeric(),
        other => other.is_numeric(),
    };
    if !numeric {
        return Err(format!("has type {}, where numbers belong", array.data_type()));
    }
    let array = cast(array, &DataType::Float64).map_err(|error| error.to_string())?;
    Ok(array.as_primitive::<Float64Type>().values().to_vec())
}

/// Where the strings of a column are in the text of `rows`; nulls and empty strings are nowhere.
fn texts(
    array: &ArrayRef,
    field: usize,
    rows: &mut Rows<'_>,
    dictionaries: &mut Dictionaries,
) -> Result<Vec<Span>, String> {
    match array.data_type() {
        DataType::Utf8 if array.null_count() == array.len() => Ok(vec![Span::NONE; array.len()]),
        DataType::Utf8 => {
            let strings = array.as_string::<i32>();
            let (offsets, bytes) = (strings.value_offsets(), strings.value_data());
            let first = offsets.first().copied().unwrap_or(0);
            let end = offsets.last().copied().unwrap_or(0);
            let all = bytes.get(first as usize..end as usize).and_then(|all| std::str::from_utf8(all).ok());
            let base = rows.own(all.ok_or_else(|| "is not valid UTF-8".to_owned())?).start;
            let span = |pair: &[i32]| match pair {
                [start, end] if start < end => {
                    Span { start: base + (start - first) as u32, end: base + (end - first) as u32 }
                }
                _ => Span::NONE,
            };
            // What is under a null does not count.
            let spans = offsets.windows(2).map(span);
            Ok(match strings.nulls() {
                None => spans.collect(),
                Some(nulls) => {
                    spans.zip(nulls.iter()).map(|(span, valid)| if valid { span } else { Span::NONE }).collect()
                }
            })
        }
        DataType::LargeUtf8 => Ok(one_by_one(array.as_string::<i64>().iter(), rows)),
        DataType::Utf8View => Ok(one_by_one(array.as_string_view().iter(), rows)),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let strings =
                matches!(dictionary.values().data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            if strings && dictionary.values().len() > array.len().max(dictionaries.rows) {
                // Most of it is of other rows.
                let plain = cast(array, &DataType::Utf8).map_err(|error| error.to_string())?;
                return texts(&plain, field, rows, dictionaries);
            }
            if dictionary.values().is_empty() {
                // There are only nulls, and the codes mean nothing.
                return Ok(vec![Span::NONE; array.len()]);
            }
            let values = dictionaries.spans(field, dictionary.values(), rows)?;
            Ok(match array.as_dictionary_opt::<Int32Type>() {
                // What files are read as; a negative code is under a null.
                Some(codes) => coded(codes.keys().values().iter().map(|code| *code as usize), array.nulls(), values),
                None => coded(dictionary.normalized_keys().into_iter(), array.nulls(), values),
            })
        }
        other => Err(format!("has type {other}, where strings belong")),
    }
}

/// The strings of codes; what is under a null does not count.
fn coded(codes: impl Iterator<Item = usize>, nulls: Option<&NullBuffer>, values: &[Span]) -> Vec<Span> {
    let string = |code: usize| values.get(code).copied().unwrap_or(Span::NONE);
    match nulls {
        None => codes.map(string).collect(),
        Some(nulls) => {
            codes.zip(nulls.iter()).map(|(code, valid)| if valid { string(code) } else { Span::NONE }).collect()
        }
    }
}

fn one_by_one<'a>(strings: impl Iterator<Item = Option<&'a str>>, rows: &mut Rows<'_>) -> Vec<Span> {
    strings.map(|text| rows.own(text.unwrap_or(""))).collect()
}

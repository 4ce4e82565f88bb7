//! The native format: one event a line, an object with the fields of [`PrefixEvent`](prefix_indexer_models::PrefixEvent).

mod any_order;
mod layout;
mod located;
mod patience;
mod scan;
mod strict;
#[cfg(test)]
mod tests;
mod usual;

use crate::{
    TraceError,
    error::Fault,
    format::{Format, LineDecoder, LineFormat, Reader},
    json,
    rows::Rows,
};
use layout::Layouts;
use patience::Patience;
use prefix_indexer_models::{EventColumns, EventRef, MAX_INTEGER, Span};
use usual::Names;

pub(super) const FORMAT: Format = Format {
    name: "events",
    help: "native JSON Lines: one event a line, with prefix_id, tenant, model_id, layer, page_start, ...",
    sniff,
    reader: Reader::Lines(|| Box::new(Events)),
};

/// Names of the fields. A [`Fields`] counts them by their place here.
pub(crate) const NAMES: [&str; 13] = [
    "prefix_id",
    "tenant",
    "model_id",
    "layer",
    "page_start",
    "page_end",
    "bytes",
    "latency_ms",
    "timestamp_ms",
    "parent_id",
    "depth",
    "session_id",
    "event_id",
];

/// Fields that every event has; the others are optional.
pub(crate) const REQUIRED: usize = 9;

/// The largest value of an integer field. A depth of `u32::MAX` stands for none in a batch.
pub(crate) const MAX_LAYER: u64 = u32::MAX as u64;
pub(crate) const MAX_DEPTH: u64 = u32::MAX as u64 - 1;

fn sniff(head: &[u8]) -> bool {
    let Some([prefix, tenant, page, time]) = std::str::from_utf8(head)
        .ok()
        .and_then(|line| json::object(line, &["prefix_id", "tenant", "page_start", "timestamp_ms"]).ok())
    else {
        return false;
    };
    prefix.is_some() || [tenant, page, time].iter().flatten().count() >= 2
}

/// Bytes that are few enough for a string of any field.
const SHORT: usize = 1 << 16;

/// Whether two strings are the same. Those outside the text are.
#[inline]
fn same(bytes: &[u8], one: Span, other: Span) -> bool {
    let text = |span: Span| bytes.get(span.start as usize..span.end as usize);
    text(one) == text(other)
}

/// What decodes lines that are in memory already.
pub(crate) fn decoder() -> Box<dyn LineDecoder> {
    Box::new(Decoder)
}

/// Lines of this format stand alone, so there is nothing to remember.
struct Events;

impl LineFormat for Events {
    fn next(&mut self, _: &[u8]) -> Box<dyn LineDecoder> {
        decoder()
    }

    fn needs_history(&self) -> bool {
        false
    }
}

struct Decoder;

impl LineDecoder for Decoder {
    fn decode(self: Box<Self>, rows: &mut Rows<'_>) -> Result<(), TraceError> {
        let bytes = rows.text().as_bytes();
        let (mut names, mut layouts) = (Names::default(), Layouts::default());
        let (mut usual, mut located) = (Patience::default(), Patience::default());
        loop {
            if usual.attempt(|| usual::push_line(bytes, rows, &mut names))
                || located.attempt(|| located::push_line(bytes, rows))
            {
                continue;
            }
            if let Some((fields, end)) = layouts.read(bytes, rows.next_start())
                && fields.surely_valid(bytes)
            {
                rows.skip_line(end);
                fields.append(rows);
                continue;
            }
            let Some(line) = rows.next_line()? else { return Ok(()) };
            match any_order::fields(bytes, line, layouts.draft(line.start as usize)) {
                Some(fields) if fields.surely_valid(bytes) => {
                    fields.append(rows);
                    layouts.learn();
                }
                Some(fields) if fields.push(rows).is_ok() => layouts.learn(),
                _ => {
                    if let Err(fault) = strict::fields(rows, line).and_then(|fields| fields.push(rows)) {
                        rows.bad(fault)?;
                    }
                }
            }
        }
    }
}

/// The values of one line, before they are judged together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Fields {
    /// A bit a field, by its place in [`NAMES`]: whether it is there.
    pub(crate) seen: u16,
    pub(crate) prefix_id: Span,
    pub(crate) tenant: Span,
    pub(crate) model_id: Span,
    pub(crate) layer: u32,
    pub(crate) page_start: u32,
    pub(crate) page_end: u32,
    pub(crate) bytes: u64,
    pub(crate) latency_ms: f64,
    pub(crate) timestamp_ms: u64,
    pub(crate) parent_id: Span,
    pub(crate) depth: Option<u32>,
    pub(crate) session_id: Span,
    pub(crate) event_id: Span,
}

impl Fields {
    /// Appends the event, if it is one.
    pub(crate) fn push(mut self, rows: &mut Rows<'_>) -> Result<(), Fault> {
        const ALL: u16 = (1 << REQUIRED) - 1;
        if self.seen & ALL != ALL {
            self.fill(rows)?;
        }
        let optional = |span: Span| (!span.is_none()).then(|| rows.str(span));
        EventRef {
            prefix_id: rows.str(self.prefix_id),
            tenant: rows.str(self.tenant),
            model_id: rows.str(self.model_id),
            layer: self.layer,
            page_start: self.page_start,
            page_end: self.page_end,
            bytes: self.bytes,
            latency_ms: self.latency_ms,
            timestamp_ms: self.timestamp_ms,
            parent_id: optional(self.parent_id),
            depth: self.depth,
            session_id: optional(self.session_id),
            event_id: optional(self.event_id),
        }
        .validate()?;
        self.append(rows);
        Ok(())
    }

    /// As [`push`](Self::push), for strings that are all behind the text.
    #[inline]
    pub(crate) fn accept(self, rows: &mut Rows<'_>) -> Result<(), Fault> {
        if self.surely_valid(rows.owned()) {
            self.append(rows);
            return Ok(());
        }
        self.push(rows)
    }

    /// Whether [`push`](Self::push) would accept this, for the common case, without asking.
    #[inline]
    fn surely_valid(&self, bytes: &[u8]) -> bool {
        const ALL: u16 = (1 << REQUIRED) - 1;
        let length = |span: Span| span.end.wrapping_sub(span.start) as usize;
        let required = [self.prefix_id, self.tenant, self.model_id];
        let optional = [self.parent_id, self.session_id, self.event_id];
        self.seen & ALL == ALL
            && required.into_iter().all(|span| (1..SHORT).contains(&length(span)))
            && optional.into_iter().all(|span| length(span) < SHORT)
            && self.page_start <= self.page_end
            && (0.0..f64::MAX).contains(&self.latency_ms)
            && (self.parent_id.is_none() || !same(bytes, self.parent_id, self.prefix_id))
    }

    /// Appends the event, which is valid.
    #[inline]
    fn append(&self, rows: &mut Rows<'_>) {
        let scope = rows.scope(self.tenant, self.model_id);
        rows.push(EventColumns {
            prefix_id: self.prefix_id,
            parent_id: self.parent_id,
            session_id: self.session_id,
            event_id: self.event_id,
            scope,
            layer: self.layer,
            page_start: self.page_start,
            page_end: self.page_end,
            depth: self.depth,
            bytes: self.bytes,
            timestamp_ms: self.timestamp_ms,
            latency_ms: self.latency_ms,
        });
    }

    /// Names what is missing from the options, where they have it.
    #[cold]
    fn fill(&mut self, rows: &mut Rows<'_>) -> Result<(), Fault> {
        const TENANT: usize = 1;
        const MODEL: usize = 2;
        for (index, name) in NAMES.into_iter().enumerate().take(REQUIRED) {
            match index {
                _ if self.seen & 1 << index != 0 => {}
                TENANT if rows.options.tenant.is_some() => self.tenant = rows.default_tenant(),
                MODEL if rows.options.model_id.is_some() => self.model_id = rows.default_model(),
                _ => return Err(Fault::missing(name)),
            }
        }
        Ok(())
    }
}

/// The largest value of [`bytes`](Fields::bytes) and [`timestamp_ms`](Fields::timestamp_ms).
pub(crate) const MAX_LONG: u64 = MAX_INTEGER;

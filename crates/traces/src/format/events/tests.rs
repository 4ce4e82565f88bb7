//! All paths agree, to the bit.

use super::*;
use crate::{BadLines, TraceOptions};
use prefix_indexer_models::{EventBatch, PrefixEvent};
use proptest::prelude::*;
use std::sync::Arc;

/// What a path makes of a text: events (latency as bits, so that -0 and 0 differ) and the lines that it cannot take.
type Outcome = (Vec<(PrefixEvent, u64)>, Vec<u64>);

fn outcome(text: &str, decode: impl FnOnce(&mut Rows<'_>)) -> Outcome {
    let options = TraceOptions { bad_lines: BadLines::Skip, ..TraceOptions::default() };
    let (file, mut batch) = (Arc::from("test"), EventBatch::new());
    let mut rows = Rows::new(text, Vec::new(), &file, &options, &mut batch, 1, false);
    decode(&mut rows);
    let (extra, bad) = rows.finish();
    batch.replace_text(format!("{text}{extra}"));
    let events = batch.iter().map(|event| (event.to_event(), event.latency_ms.to_bits())).collect();
    (events, bad.described.iter().map(|line| line.line).collect())
}

fn by_strict(text: &str) -> Outcome {
    outcome(text, |rows| {
        while let Some(line) = rows.next_line().unwrap() {
            if let Err(fault) = strict::fields(rows, line).and_then(|fields| fields.push(rows)) {
                rows.bad(fault).unwrap();
            }
        }
    })
}

fn by_all(text: &str) -> Outcome {
    outcome(text, |rows| Box::new(Decoder).decode(rows).unwrap())
}

/// Checks that the lines mean the same on all paths, and returns how many of them the any-order path took.
fn agree(text: &str) -> usize {
    let expected = by_strict(text);
    assert_eq!(by_all(text), expected, "{text}");
    // Twice, so that every line meets the layout that it left behind.
    let twice: String = text.lines().flat_map(|line| [line, "\n", line, "\n"]).collect();
    assert_eq!(by_all(&twice), by_strict(&twice), "{twice}");
    let mut taken = 0;
    for line in text.lines() {
        let span = Span { start: 0, end: line.len() as u32 };
        let Some(fields) = any_order::fields(line.as_bytes(), span, None) else { continue };
        let (events, _) = outcome(line, |rows| drop(fields.push(rows)));
        assert_eq!(events, by_strict(line).0, "{line}");
        taken += 1;
    }
    taken
}

const LINE: &str = r#"{"prefix_id": "p-17", "tenant": "acme", "model_id": "llama", "layer": 3, "page_start": 10, "page_end": 20, "bytes": 65536, "latency_ms": 12.75, "timestamp_ms": 1700000000000, "parent_id": "p-16", "depth": 4, "session_id": "s1", "event_id": "e1"}"#;

#[test]
fn a_plain_line_takes_every_path() {
    assert_eq!(agree(LINE), 1);
    let (events, bad) = by_all(LINE);
    assert!(bad.is_empty());
    let (event, _) = &events[0];
    assert_eq!((event.prefix_id.as_str(), event.depth, event.latency_ms), ("p-17", Some(4), 12.75));
    let mut layouts = Layouts::default();
    let span = Span { start: 0, end: LINE.len() as u32 };
    assert!(layouts.read(LINE.as_bytes(), 0).is_none());
    any_order::fields(LINE.as_bytes(), span, layouts.draft(0)).unwrap();
    layouts.learn();
    assert_eq!(layouts.read(LINE.as_bytes(), 0).unwrap().1, LINE.len());
}

/// Whether a path takes a line that others follow.
fn takes(line: &str, mut path: impl FnMut(&[u8], &mut Rows<'_>) -> bool) -> bool {
    let (mut taken, more) = (0, " ".repeat(64));
    outcome(&format!("{more}\n{line}\n{line}\n{more}"), |rows| {
        let bytes = rows.text().as_bytes();
        rows.skip_line(more.len());
        while path(bytes, rows) {
            taken += 1;
        }
    });
    assert!(taken == 0 || taken == 2, "{line}: {taken}");
    taken > 0
}

fn is_usual(line: &str) -> bool {
    let mut names = Names::default();
    takes(line, |bytes, rows| usual::push_line(bytes, rows, &mut names))
}

/// Whether a line is read wherever its fields are: every rotation of them is, or none.
fn is_located(line: &str) -> bool {
    let blank = if line.contains(", \"") { ", " } else { "," };
    let fields: Vec<&str> = line[1..line.len() - 1].split(blank).collect();
    let mut rotations = (0..fields.len()).map(|by| {
        let mut fields = fields.clone();
        fields.rotate_left(by);
        let line = format!("{{{}}}", fields.join(blank));
        agree(&format!("{line}\n{line}\n{line}\n"));
        takes(&line, located::push_line)
    });
    let first = rotations.next().unwrap();
    assert!(rotations.all(|taken| taken == first), "{line}");
    first
}

#[test]
fn usual_lines_take_the_fastest_path() {
    let dense = LINE.replace(", ", ",").replace(": ", ":");
    for line in [LINE, &dense] {
        let with = |from: &str, to: &str| line.replace(from, to);
        let tail = line.find("17000000").unwrap() + 13;
        let (tail, required) = (&line[tail..], format!("{}}}", &line[..tail]));
        let null = ["\"p-16\"", "4", "\"s1\"", "\"e1\""].iter().fold(tail.to_owned(), |tail, value| {
            let (before, after) = tail.split_once(value).unwrap();
            format!("{before}null{after}")
        });
        for usual in [
            line.to_owned(),
            required.clone(),
            line.replace(tail, &null),
            with("acme", &"t".repeat(100)),
            with("p-17", &"p".repeat(100)),
            with("1700000000000", "5"),
            with("65536", "922337203685477580"),
        ] {
            assert!(is_usual(&usual), "{usual}");
            assert_eq!(is_located(&usual), !usual.contains("null"), "{usual}");
            agree(&usual);
            agree(&format!("{usual}\n{line}\n{usual}\n{}\n", with("llama", "mistral")));
        }
        for unusual in [
            with("\"p-16\"", "\"p-17\""),
            with("20", "9"),
            with("acme", ""),
            with("acme", "a\\u0062"),
            with("12.75", "1e999"),
            with("\"s1\"", "7"),
            with("tenant", "tenans"),
            required.replace('}', " }"),
            required.replace('}', ",}"),
            with("\"layer\"", "x\"layer\""),
            with("\"layer\"", ",\"layer\""),
            with("\"layer\"", "\"layer\":1,\"layer\""),
            with("llama", &"x".repeat(SHORT)),
        ] {
            assert!(!is_usual(&unusual), "{unusual}");
            assert!(!is_located(&unusual), "{unusual}");
            agree(&format!("{unusual}\n{line}\n{unusual}\n{line}\n"));
        }
    }
}

#[test]
fn unusual_lines_mean_the_same_on_every_path() {
    let with = |from: &str, to: &str| LINE.replace(from, to);
    let lines = [
        with("12.75", "1e1"),
        with("12.75", "0.1000000000000000055511151231257827021181583404541015625"),
        with("12.75", "-0.0"),
        with("12.75", "1e999"),
        with("12.75", "NaN"),
        with("12.75", "\"3.5\""),
        with("65536", "\"65536\""),
        with("65536", "65536.0"),
        with("65536", "6.5536e4"),
        with("65536", "065536"),
        with("65536", "9223372036854775807"),
        with("65536", "9223372036854775808"),
        with("65536", "-1"),
        with("65536", "-0"),
        with("\"layer\": 3", "\"layer\": 4294967295"),
        with("\"layer\": 3", "\"layer\": 4294967296"),
        with("\"layer\": 3", "\"layer\": 3.5"),
        with("\"layer\": 3", "\"layer\": null"),
        with("\"layer\": 3", "\"layer\": 3, \"layer\": 5"),
        with("\"depth\": 4", "\"depth\": 4, \"depth\": null"),
        with("\"depth\": 4", "\"depth\": null, \"depth\": 4"),
        with("\"depth\": 4", "\"depth\": null"),
        with("\"depth\": 4", "\"depth\": 4294967295"),
        with("\"layer\": 3", "\"layer\": true, \"layer\": 3"),
        with("\"s1\"", "null"),
        with("\"s1\"", "7"),
        with("\"s1\"", "\"\""),
        with("\"acme\"", "\"\""),
        with("\"acme\"", "7"),
        with("acme", "gr\u{fc}n"),
        with("acme", "gr\\u00fcn"),
        with("acme", "a\\ud800"),
        with("acme", "a\tb"),
        with("tenant", "ten\\u0061nt"),
        with("\"p-16\"", "\"p-17\""),
        with("p-17", &"x".repeat(1 << 20)),
        with("p-17", &"x".repeat(1 << 24)),
        with("\"page_end\": 20", "\"page_end\": 9"),
        with("}", ", \"more\": {\"a\": [1, {}]}, \"x\": -1.5e3, \"y\": \"z\", \"t\": true, \"n\": null}"),
        with("}", ", \"x\": 01}"),
        with("}", ", \"x\": --1}"),
        with("}", ", \"x\": tru}"),
        with("}", ","),
        with("}", "} "),
        with("}", "} x"),
        with(": ", " :\t"),
        with(", ", ","),
        format!("\u{feff}{LINE}"),
        format!("  {LINE}\r"),
        "{}".into(),
        "[]".into(),
        "null".into(),
        format!("{{\"a\": {}", "[".repeat(100_000)),
        with("}", &format!(", \"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000))),
    ];
    for line in &lines {
        agree(line);
    }
    let every = lines.join("\n");
    assert_eq!(by_all(&every), by_strict(&every));
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[0-9]{1,5}",
        4 => "\"[a-z0-9/ :,{}\\[\\]-]{0,20}\"",
        2 => "[0-9]{1,20}\\.[0-9]{1,20}",
        1 => "-?[0-9]{0,3}\\.?[0-9]{0,3}([eE][+-]?[0-9]{0,4})?",
        1 => "\"\\PC{0,12}\"",
        1 => "\"(\\\\[nu\"\\\\/x]|[0-9a-f]){0,8}\"",
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("{\"a\": [1, 2]}".to_owned()),
        1 => Just("1700000000000".to_owned()),
    ]
}

/// An event in the usual order, whose values are mostly of the right kind.
fn event() -> impl Strategy<Value = Vec<(String, String)>> {
    let text = || prop_oneof![9 => "\"[a-z0-9-]{1,20}\"", 1 => value()];
    let whole = || prop_oneof![9 => "[0-9]{1,6}", 1 => value()];
    let decimal = || prop_oneof![9 => "[0-9]{1,4}(\\.[0-9]{1,17})?", 1 => value()];
    let required = (text(), text(), text(), whole(), whole(), whole(), whole(), decimal(), whole());
    let optional = (text(), whole(), text(), text(), any::<u8>());
    (required, optional).prop_map(|((a, b, c, d, e, f, g, h, i), (j, k, l, m, kept))| {
        let values = [a, b, c, d, e, f, g, h, i, j, k, l, m];
        let fields = NAMES.into_iter().zip(values).enumerate();
        let kept = |index: &usize| *index < REQUIRED || kept >> (index - REQUIRED) & 1 == 1;
        fields.filter(|(index, _)| kept(index)).map(|(_, (name, value))| (name.to_owned(), value)).collect()
    })
}

fn line(fields: &[(String, String)], comma: &str, colon: &str) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\"{colon}{value}")).collect();
    format!("{{{}}}", fields.join(comma))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn lines_mean_the_same_on_every_path(
        events in prop::collection::vec(event(), 1..6),
        extra in prop::collection::vec(("[a-z_]{1,8}", value()), 0..3),
        comma in "( ?, ?|,)",
        colon in "(: ?)",
        turn in any::<prop::sample::Index>(),
    ) {
        let text: Vec<String> = events.into_iter().map(|mut fields| {
            fields.extend(extra.iter().cloned());
            let by = turn.index(2 * fields.len()).saturating_sub(fields.len());
            fields.rotate_left(by);
            line(&fields, &comma, &colon)
        }).collect();
        agree(&text.join("\n"));
    }

    #[test]
    fn damaged_lines_mean_the_same_on_every_path(
        at in any::<prop::sample::Index>(), with in "[\\x00-\\x7f]{0,3}", cut in 0usize..4, turn in 0usize..13, dense in any::<bool>(),
    ) {
        let blank = if dense { "," } else { ", " };
        let line = if dense { LINE.replace(", ", ",").replace(": ", ":") } else { LINE.to_owned() };
        let mut fields: Vec<&str> = line[1..line.len() - 1].split(blank).collect();
        fields.rotate_left(turn);
        let line = format!("{{{}}}", fields.join(blank));
        let start = at.index(line.len());
        let mut damaged = line.clone();
        damaged.replace_range(start..(start + cut).min(line.len()), &with.replace('\n', " "));
        agree(&damaged);
        agree(&format!("{line}\n{damaged}\n{line}\n{damaged}\n{line}"));
    }
}

//! Synthetic traces, the same bytes on every machine: small ones that are committed, large ones for the benches.
//!
//! A [`world`] tells the story (tenants, shared system prompts, conversations, periodic jobs), each format renders it.

mod bad_lines;
mod bailian;
mod mooncake;
mod native;
mod rng;
mod world;

use crate::root;
use anyhow::{Context, Result, bail};
use native::Style;
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};
use world::Shape;

/// Events of the trace that the ingest bars are measured on.
const LARGE: Shape = Shape { seed: 2, events: 2_000_000, prefixes: 107_000, tenants: 40, ids: false };

const SMALL: Shape = Shape { seed: 1, events: 1_200, prefixes: 220, tenants: 5, ids: true };

type Render = fn(&mut dyn Write) -> std::io::Result<()>;

/// Every committed fixture: its name under `fixtures/` and what writes it.
const COMMITTED: &[(&str, Render)] = &[
    ("events.jsonl", |out| native::write(SMALL, Style::Canonical, out)),
    ("events-lax.jsonl", |out| native::write(SMALL, Style::Lax, out)),
    ("events-retried.jsonl", |out| native::write(Shape { events: 400, ..SMALL }, Style::Retried, out)),
    ("mooncake.jsonl", |out| mooncake::write(Shape { seed: 11, events: 12_000, prefixes: 4_000, ..SMALL }, out)),
    ("bailian.jsonl", |out| bailian::write(Shape { seed: 12, events: 8_000, prefixes: 3_000, ..SMALL }, out)),
    ("bad-lines.jsonl", bad_lines::write_lines),
    ("bad-lines.expected.tsv", bad_lines::write_expected),
];

/// The traces of the benches, under `fixtures/large`.
const GENERATED: &[(&str, Render)] = &[
    ("events-2m.jsonl", |out| native::write(LARGE, Style::Canonical, out)),
    ("events-2m-any-order.jsonl", |out| native::write(LARGE, Style::AnyOrder, out)),
    ("events-2m-100k.jsonl", |out| native::write(sized(2_000_000, 100_000), Style::Canonical, out)),
    ("events-6m-100k.jsonl", |out| native::write(sized(6_000_000, 100_000), Style::Canonical, out)),
    ("events-4m-1m.jsonl", |out| native::write(sized(4_000_000, 1_000_000), Style::Canonical, out)),
];

/// Those that `--large` makes; the bench makes the others when it comes to them.
const LARGE_TRACES: [&str; 2] = ["events-2m.jsonl", "events-2m-any-order.jsonl"];

fn sized(events: u64, prefixes: u64) -> Shape {
    Shape { events, prefixes, ..LARGE }
}

/// Makes one of the traces of the benches.
pub(crate) fn generate(dir: &Path, name: &str) -> Result<()> {
    let known = GENERATED.iter().find(|(known, _)| *known == name);
    let (_, render) = known.with_context(|| format!("there is no generated trace {name:?}"))?;
    make(dir, name, render)
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut check, mut large, mut out, mut events, mut prefixes) = (false, false, None, None, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--check" => check = true,
            "--large" => large = true,
            "--out" => out = Some(value()?.into()),
            "--events" => events = Some(value()?.parse()?),
            "--prefixes" => prefixes = Some(value()?.parse()?),
            other => bail!("fixtures has no option {other:?}"),
        }
    }
    let committed = root()?.join("fixtures");
    match (events, prefixes) {
        (Some(events), Some(prefixes)) => {
            if check || large || events > 1_000_000_000 || !(100..=events / 3).contains(&prefixes) {
                bail!("a trace has at most 10^9 events, and at least 100 prefixes, at most a third of the events");
            }
            let name = format!("events-{events}-{prefixes}.jsonl");
            return make(&out.unwrap_or_else(|| committed.join("large")), &name, &|out| {
                native::write(sized(events, prefixes), Style::Canonical, out)
            });
        }
        (None, None) => {}
        _ => bail!("--events and --prefixes go together"),
    }
    if check {
        if large || out.is_some() {
            bail!("--check compares the committed fixtures, and nothing else");
        }
        return COMMITTED.iter().try_for_each(|(name, render)| compare(&committed.join(name), *render));
    }
    if large {
        let dir = out.unwrap_or_else(|| committed.join("large"));
        return LARGE_TRACES.iter().try_for_each(|name| generate(&dir, name));
    }
    let dir = out.unwrap_or(committed);
    COMMITTED.iter().try_for_each(|(name, render)| make(&dir, name, render))
}

/// Writes a fixture beside its place and renames it there, so that a broken run leaves nothing that looks whole.
fn make(dir: &Path, name: &str, render: &dyn Fn(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    fs::create_dir_all(dir)?;
    let (path, partial) = (dir.join(name), dir.join(format!("{name}.partial")));
    let file = File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    render(&mut out)?;
    out.flush()?;
    fs::rename(&partial, &path)?;
    println!("{} ({} bytes)", path.display(), fs::metadata(&path)?.len());
    Ok(())
}

fn compare(path: &Path, render: Render) -> Result<()> {
    let found = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut wanted = Vec::new();
    render(&mut wanted)?;
    if found != wanted {
        bail!("{} is not what `cargo xtask fixtures` writes", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a of what a writer writes.
    fn digest(render: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> u64 {
        let mut bytes = Vec::new();
        render(&mut bytes).unwrap();
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn committed_fixtures_stay_small() {
        for (name, _) in COMMITTED {
            let bytes = fs::metadata(root().unwrap().join("fixtures").join(name)).unwrap().len();
            assert!(bytes < 320 << 10, "{name}: {bytes} bytes");
        }
    }

    #[test]
    fn a_large_trace_begins_the_same_everywhere() {
        let shape = Shape { events: 20_000, prefixes: 1_070, ..LARGE };
        assert_eq!(format!("{:016x}", digest(|out| native::write(shape, Style::Canonical, out))), "a28f5a939bf4484f");
        assert_eq!(format!("{:016x}", digest(|out| native::write(shape, Style::AnyOrder, out))), "3bad7ddbd97b9bfd");
    }
}

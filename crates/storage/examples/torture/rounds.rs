//! A child process appends numbered batches and says which were acknowledged; the parent kills it, opens the index and counts.

#[path = "journal.rs"]
pub(crate) mod journal;

use prefix_indexer_models::{
    EventBatch, IndexSpec, KeyPolicy, PrefixEvent, PrefixKey, PrefixTable, Shard, SourceId, SourcePosition,
};
use prefix_indexer_storage::{
    Batch, BatchId, Commit, Counters, IndexReader, IndexStore, OpenOptions, StorageError, StoreKind, StoreStatus, View,
    inspect, open,
};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Kills after which the index is begun anew.
const ROUNDS_A_DIRECTORY: u64 = 25;

/// What all rounds came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) acknowledged: u64,
    /// Acknowledged or not.
    pub(crate) found: u64,
}

/// Kills children that `spawn` describes, given a directory and a seed, so many times.
pub(crate) fn run(spawn: &dyn Fn(&Path, u64) -> Command, rounds: u64, seed: u64) -> Result<Report, String> {
    let mut report = Report::default();
    let mut left = rounds;
    while left > 0 {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let index = dir.path().join("index");
        let mut acknowledged = 0;
        let mut found = 0;
        for _ in 0..left.min(ROUNDS_A_DIRECTORY) {
            let round = noise(seed ^ left.wrapping_mul(0x5851_f42d));
            let said = kill_one(spawn(&index, round), round)?;
            acknowledged = said.unwrap_or(acknowledged);
            if acknowledged == 0 && !index.join("MANIFEST").exists() {
                left -= 1;
                continue;
            }
            found = verify(&index).map_err(|error| format!("round seed {round}: {error}"))?;
            if found < acknowledged {
                return Err(format!("round seed {round}: batch {acknowledged} was acknowledged, {found} were found"));
            }
            left -= 1;
        }
        report.acknowledged += acknowledged;
        report.found += found;
    }
    Ok(report)
}

/// Runs a child for a while; the last number that it said was acknowledged.
fn kill_one(mut command: Command, seed: u64) -> Result<Option<u64>, String> {
    let mut child: Child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok()).last()
    });
    // Opening, appending, flushing and compacting all fall into this span.
    std::thread::sleep(Duration::from_micros(noise(seed) % 120_000));
    let ended = child.try_wait().map_err(|error| error.to_string())?;
    child.kill().map_err(|error| error.to_string())?;
    let mut errors = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = std::io::Read::read_to_string(&mut stderr, &mut errors);
    }
    child.wait().map_err(|error| error.to_string())?;
    let last = reader.join().map_err(|_| "the reader panicked".to_owned())?;
    match ended {
        Some(status) => Err(format!("round seed {seed}: the child ended by itself, {status}: {errors}")),
        None => Ok(last),
    }
}

/// Checks that the index holds batches 1 to n, each once, and returns n.
fn verify(dir: &Path) -> Result<u64, String> {
    let problems = inspect(dir).map_err(|error| error.to_string())?.problems;
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let reader = IndexReader::open(dir, true).map_err(|error| error.to_string())?;
    let read = position(reader.sources());
    expect_all(&reader.view(), read, reader.status()).map_err(|error| format!("a reader: {error}"))?;
    let mut store = open_store(dir).map_err(|error| error.to_string())?;
    let last = last_batch(store.as_ref());
    expect_all(&store.reader().view(), last, store.status())?;
    if read != last {
        return Err(format!("a reader found {read} batches, the next writer {last}"));
    }
    if let Some((_, bytes)) = store.side("last").map_err(|error| error.to_string())? {
        let at = bytes.try_into().map(u64::from_le_bytes).map_err(|_| "a side file of another length")?;
        if at > last {
            return Err(format!("the side file is of batch {at}, after {last}"));
        }
    }
    store.flush().map_err(|error| error.to_string())?;
    let learned = store.side(journal::NAME).map_err(|error| error.to_string())?;
    let learned = learned.map_or(Ok(Vec::new()), |(_, bytes)| journal::times(&bytes))?;
    let all: Vec<u64> = (1..=last).flat_map(|number| events(number).timestamps_ms().to_vec()).collect();
    if learned != all {
        return Err(format!("a follower saw {} events, in another order or not the {}", learned.len(), all.len()));
    }
    Ok(last)
}

fn expect_all(view: &View, last: u64, status: StoreStatus) -> Result<(), String> {
    for number in 1..=last {
        expect(view, &format!("batch-{number}"), 1)?;
    }
    expect(view, "every", last)?;
    let (prefixes, events) = (last + u64::from(last > 0), 2 * last);
    if view.len() != prefixes || status.counters.events != events {
        return Err(format!(
            "{} prefixes and {} events where {prefixes} and {events} should be",
            view.len(),
            status.counters.events
        ));
    }
    let rows = view.rows().count() as u64;
    if rows != prefixes {
        return Err(format!("{rows} rows where {prefixes} should be"));
    }
    Ok(())
}

fn expect(view: &View, prefix_id: &str, hits: u64) -> Result<(), String> {
    let key = PrefixKey::new(KeyPolicy::default(), "t", "m", prefix_id, 0, 0);
    let row = view.get(&key).map_err(|error| error.to_string())?;
    let found = row.map_or(0, |row| row.tally().hit_count);
    if found == hits { Ok(()) } else { Err(format!("{prefix_id}: counted {found} times, not {hits}")) }
}

/// Appends batches until it is killed.
pub(crate) fn child(dir: &Path, seed: u64) -> Result<(), String> {
    work(dir, seed).map_err(|error| error.to_string())
}

fn work(dir: &Path, seed: u64) -> Result<(), StorageError> {
    let mut store = open_store(dir)?;
    let mut next = last_batch(store.as_ref()) + 1;
    let mut out = std::io::stdout();
    let mut random = seed;
    loop {
        random = noise(random);
        match random % 16 {
            0 | 1 => {
                let mut events = events(next);
                store.admit(&mut events);
                let table = fold(store.spec(), &events);
                let counters = Counters { events: 2, bytes: 2, ..Counters::default() };
                store.load(vec![table], &commit(next), counters)?;
                next += 1;
            }
            2 | 3 => {
                store.put_side("last", 1, &(next - 1).to_le_bytes())?;
                store.flush()?;
            }
            4 if random >> 8 & 3 == 0 => store.compact()?,
            _ => {
                let group = 1 + (random >> 16) % 4;
                let batches: Vec<Batch> = (next..next + group).map(batch).collect();
                store.append(&batches)?;
                if random >> 24 & 1 == 0 {
                    // A second delivery, as after a lost answer.
                    store.append(&batches)?;
                }
                store.publish()?;
                next += group;
            }
        }
        // The parent may be gone, then so is the need to say anything.
        let _ = writeln!(out, "acknowledged {}", next - 1).and_then(|()| out.flush());
    }
}

fn open_store(dir: &Path) -> Result<Box<dyn IndexStore>, StorageError> {
    let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
    open(StoreKind::Segments, dir, OpenOptions { follower: Some(journal::JOURNAL), ..options })
}

fn source() -> SourceId {
    SourceId { path: "/numbered".to_owned(), head: [1; 32] }
}

fn last_batch(store: &dyn IndexStore) -> u64 {
    position(store.source(&source()))
}

fn position<'a>(sources: impl IntoIterator<Item = &'a SourcePosition>) -> u64 {
    sources.into_iter().find(|position| position.source == source()).map_or(0, |position| position.offset)
}

fn commit(number: u64) -> Commit {
    let position = SourcePosition { source: source(), offset: number, lines: number, tail: [0; 32] };
    Commit { batch_id: Some(BatchId(u128::from(number).to_le_bytes())), sources: vec![position] }
}

fn events(number: u64) -> EventBatch {
    let event = |prefix_id: String| PrefixEvent {
        prefix_id,
        tenant: "t".to_owned(),
        model_id: "m".to_owned(),
        bytes: 1,
        timestamp_ms: 1_000 * number,
        event_id: Some(number.to_string()),
        ..PrefixEvent::default()
    };
    [event(format!("batch-{number}")), event("every".to_owned())].into_iter().collect()
}

fn batch(number: u64) -> Batch {
    Batch { events: events(number), commit: commit(number) }
}

fn fold(spec: &IndexSpec, events: &EventBatch) -> PrefixTable {
    let mut hashes = Vec::new();
    PrefixTable::hashes(spec, events, &mut hashes);
    let mut table = PrefixTable::new(spec.clone());
    table.fold(events, &hashes, Shard::WHOLE, |_| ());
    table
}

fn noise(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

//! Load on a running service, over connections that are kept: `http ADDRESS suggest|ingest SECONDS ...`.
//!
//! Each thread owns some connections and goes round them: a request to each, then the answer of each. A time is from the request to
//! the moment its answer has been read, waiting behind the thread's other connections included, so it is never flattered.

use crate::harness::Times;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What is asked for.
#[derive(Clone)]
enum Load {
    /// The same question again and again.
    Suggest { target: String },
    /// Durable batches of so many events, of so many different prefixes, at most so many events a second and connection.
    Ingest { events: usize, prefixes: u64, rate: Option<f64> },
}

/// `SECONDS CONNECTIONS suggest TARGET` or `SECONDS CONNECTIONS ingest EVENTS PREFIXES [RATE]`.
pub(crate) fn run(address: &str, seconds: &str, connections: &str, load: &[&str]) -> Result<Value> {
    let load = match load {
        ["suggest", target] => Load::Suggest { target: (*target).to_owned() },
        ["ingest", events, prefixes] => {
            Load::Ingest { events: events.parse()?, prefixes: prefixes.parse()?, rate: None }
        }
        ["ingest", events, prefixes, rate] => {
            Load::Ingest { events: events.parse()?, prefixes: prefixes.parse()?, rate: Some(rate.parse()?) }
        }
        _ => bail!("http ADDRESS SECONDS CONNECTIONS suggest TARGET | ingest EVENTS PREFIXES [RATE]"),
    };
    let connections: usize = connections.parse()?;
    let duration = Duration::from_secs_f64(seconds.parse()?);
    // Durable answers take a sync each: a thread a connection. Questions take microseconds: few threads.
    let threads = if matches!(load, Load::Suggest { .. }) { connections.min(2) } else { connections };
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let own = connections / threads + usize::from(number < connections % threads);
            let (address, load) = (address.to_owned(), load.clone());
            thread::spawn(move || worker(&address, own, number as u64, duration, &load))
        })
        .collect();
    let started = Instant::now();
    let (mut times, mut events, mut busy) = (Vec::new(), 0, 0);
    for worker in workers {
        let done = worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        times.extend(done.times);
        events += done.events;
        busy += done.busy;
    }
    let (count, took) = (times.len(), started.elapsed().as_secs_f64());
    let times = Times::sorted(times);
    Ok(json!({
        "requests": count, "requests_per_second": count as f64 / took, "events_per_second": events as f64 / took,
        "busy": busy, "p50_ms": times.at(0.5) / 1e6, "p99_ms": times.at(0.99) / 1e6, "most_ms": times.at(1.0) / 1e6,
    }))
}

#[derive(Default)]
struct Done {
    /// Nanoseconds of every answer.
    times: Vec<f64>,
    /// Events taken.
    events: u64,
    /// Answers that said to try again.
    busy: u64,
}

fn worker(address: &str, connections: usize, number: u64, duration: Duration, load: &Load) -> Result<Done> {
    let mut streams = (0..connections)
        .map(|_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            Ok(stream)
        })
        .collect::<Result<Vec<_>>>()?;
    let (mut done, mut buffer, mut round) = (Done::default(), vec![0; 64 << 10], 0u64);
    let started = Instant::now();
    let (mut request, mut body) = (Vec::new(), Vec::new());
    if let Load::Suggest { target } = load {
        request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes();
    }
    while started.elapsed() < duration {
        let mut sent = Vec::with_capacity(connections);
        for stream in &mut streams {
            if let Load::Ingest { events, prefixes, .. } = load {
                batch(&mut request, &mut body, *events, *prefixes, number.wrapping_mul(1 << 40) + round);
            }
            sent.push(Instant::now());
            stream.write_all(&request)?;
        }
        for (stream, sent) in streams.iter_mut().zip(sent) {
            let status = answer(stream, &mut buffer)?;
            done.times.push(sent.elapsed().as_nanos() as f64);
            match (status, load) {
                (200, _) => {}
                (202, Load::Ingest { events, .. }) => done.events += *events as u64,
                (429, _) => done.busy += 1,
                (other, _) => bail!("status {other}"),
            }
        }
        round += 1;
        if let Load::Ingest { events, rate: Some(rate), .. } = load {
            let due =
                Duration::from_secs_f64((round * (events * connections) as u64) as f64 / (rate * connections as f64));
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    Ok(done)
}

/// Writes a durable batch as a request. Prefixes are used as a power law has it: few of them often.
///
/// The load shares the machine with the service, so it has to be cheap: what lines have in common is copied, not formatted.
fn batch(request: &mut Vec<u8>, body: &mut Vec<u8>, events: usize, prefixes: u64, seed: u64) {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let rest = format!(
        "\",\"model_id\":\"llama-3-70b\",\"layer\":0,\"page_start\":0,\"page_end\":15,\"bytes\":1048576,\"latency_ms\":12.5,\
         \"timestamp_ms\":{now_ms}}}\n"
    );
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    body.clear();
    for _ in 0..events {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
        let prefix = (prefixes as f64 * uniform * uniform * uniform) as u64;
        body.extend_from_slice(b"{\"prefix_id\":\"prefix-");
        push_decimal(body, prefix);
        body.extend_from_slice(b"\",\"tenant\":\"tenant-");
        push_decimal(body, prefix % 16);
        body.extend_from_slice(rest.as_bytes());
    }
    let head = format!(
        "POST /v1/ingest?durable=true HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    request.clear();
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(body);
}

fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Reads an answer to its end and returns its status.
fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16> {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            bail!("the service closed the connection");
        }
        filled += read;
        let Some(end) = find(&buffer[..filled], b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok())
            .context("no length")?;
        if filled >= end + 4 + length {
            return Ok(status);
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

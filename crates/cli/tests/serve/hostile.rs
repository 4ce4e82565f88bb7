//! Clients that mean harm, or do not know better: each gets its 4xx or nothing, and others notice nothing.

use crate::{
    older_contract::{event, now_ms},
    server::Server,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bodies_that_are_too_much_or_make_no_sense() {
    let server = Server::with("max_body = \"1MiB\"\nmax_decompressed = \"4MiB\"\nmax_in_flight = \"64MiB\"", &[]);
    let check = |what: &str, headers: &[(&str, &str)], body: &[u8], status: u16| {
        let started = Instant::now();
        let answer = server.client().call("POST", "/v1/ingest", headers, body);
        assert_eq!(answer.status, status, "{what}: {}", String::from_utf8_lossy(&answer.body));
        assert!(answer.json().get("detail").is_some() || status == 202, "{what}");
        assert!(answer.body.len() < 20_000, "{what}: {} bytes of answer", answer.body.len());
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
    };
    let bomb = gzip(&vec![b'0'; 64 << 20]);
    check("a gzip bomb", &[("content-encoding", "gzip")], &bomb, 413);
    check("a gzip bomb in a gzip bomb", &[("content-encoding", "gzip")], &gzip(&bomb), 422);
    check("a zstd bomb", &[("content-encoding", "zstd")], &zstd(), 413);
    check("no gzip", &[("content-encoding", "gzip")], b"{}", 400);
    check("half a zstd", &[("content-encoding", "zstd")], &zstd()[..20], 400);
    check("half a gzip", &[("content-encoding", "gzip")], &gzip(b"{\"events\": []}")[..15], 400);
    check("another encoding", &[("content-encoding", "br")], b"{}", 415);
    check("two encodings", &[("content-encoding", "gzip"), ("content-encoding", "gzip")], b"{}", 415);
    check("a large body", &[], &vec![b' '; 2 << 20], 413);
    let deep = |open: &str| open.repeat(100_000);
    check("deep lists", &[], deep("[").as_bytes(), 422);
    check("deep lists in a document", &[], format!("{{\"events\": {}", deep("[")).as_bytes(), 422);
    let balanced = format!("{{\"events\": [{}{}]}}", deep("["), deep("]"));
    check("deep lists that end", &[], balanced.as_bytes(), 422);
    let field = event("t", "p", 1, 1).to_string().replacen('{', &format!("{{\"x\":{}{},", deep("["), deep("]")), 1);
    let answer = server.client().call("POST", "/v1/ingest", &[NDJSON], field.as_bytes());
    assert!([202, 422].contains(&answer.status), "deep lists in a field that does not matter: {}", answer.status);
    check("bad UTF-8", &[], b"{\"events\": [\"\xff\"]}", 422);
    check("bad UTF-8 in a line", &[NDJSON], b"{\"prefix_id\": \"\xff\"}\n", 422);
    check("nothing", &[NDJSON], b"", 422);
    check("a null", &[], b"null", 422);
    check("zeros", &[], &[0; 1000], 422);
    let huge = event("t", &"x".repeat(900_000), 1, now_ms()).to_string();
    check("a huge id, which is one", &[NDJSON], huge.as_bytes(), 202);
    let huge = huge.replacen("\"layer\":1", "\"layer\":-1", 1);
    check("a huge id in a bad event", &[NDJSON], huge.as_bytes(), 422);
    check("many bad lines", &[NDJSON], "{}\n".repeat(300_000).as_bytes(), 422);
    let long = "k".repeat(300);
    check("a long key", &[("idempotency-key", &long)], b"{}", 422);
    let good = json!({ "events": [event("t", "after", 1, now_ms())] });
    assert_eq!(server.client().post("/ingest", &good).status, 202, "and the service goes on");
}

fn zstd() -> Vec<u8> {
    // A frame that says what it holds as one byte, 64 MiB of times: blocks of run-length, 128 KiB each.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for block in 0..512u32 {
        let header = (u32::from(block == 511)) | 1 << 1 | (128 << 10) << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b'0');
    }
    frame
}

#[test]
fn heads_that_are_too_much_or_make_no_sense() {
    let server = Server::new();
    let check = |what: &str, head: &[u8], statuses: &[u16]| {
        let mut client = server.client();
        client.send(head);
        match client.try_answer() {
            Some(answer) => assert!(statuses.contains(&answer.status), "{what}: {}", answer.status),
            None => assert!(statuses.is_empty(), "{what}: no answer"),
        }
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    check("garbage", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", &[400]);
    check("another protocol", b"SSH-2.0-x\r\n\r\n", &[400]);
    check("a long path", get(&format!("/{}", "x".repeat(100_000))).as_bytes(), &[414, 431]);
    check("a long header", format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000)).as_bytes(), &[431]);
    let many: String = (0..200).map(|n| format!("x{n}: 1\r\n")).collect();
    check("many headers", format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes(), &[431]);
    check("a header with a null", b"GET / HTTP/1.1\r\nx: a\0b\r\n\r\n", &[400]);
    check("a folded header", b"GET / HTTP/1.1\r\nx: a\r\n b\r\n\r\n", &[400]);
    check("two lengths", b"POST /ingest HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", &[400]);
    check("a length that is none", b"POST /ingest HTTP/1.1\r\ncontent-length: -1\r\n\r\n", &[400]);
    check("a chunk that is none", b"POST /ingest HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", &[400]);
    for target in
        ["/v1/../metrics", "/../../etc/passwd", "/%2e%2e/healthz", "//healthz", "/healthz/", "/healthz%00", "/HEALTHZ"]
    {
        check(target, get(target).as_bytes(), &[404]);
    }
    check("a query that is none", get("/v1/suggest?%ff=%&&&=").as_bytes(), &[422]);
    check("a tenant that is none", get("/v1/suggest?tenant=%ff%00").as_bytes(), &[200]);
    check("another method", b"TRACE /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", &[405]);
    check("a request id to break a log with", b"GET /healthz HTTP/1.1\r\nx-request-id: a b\"c\r\n\r\n", &[200]);
    assert_eq!(server.client().get("/healthz").status, 200, "and the service goes on");
}

#[test]
fn slow_clients_go_and_others_notice_nothing() {
    let server = Server::with("header_timeout = \"1s\"\nrequest_timeout = \"2s\"", &[]);
    let open = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let mut slow: Vec<TcpStream> = (0..200).map(|_| open(b"GET /healthz HTTP/1.1\r\nhost: loc")).collect();
    slow.extend((0..200).map(|_| open(b"POST /ingest HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{")));
    slow.extend((0..100).map(|_| open(b"")));
    let mut client = server.client();
    for _ in 0..50 {
        let started = Instant::now();
        assert_eq!(client.get("/v1/suggest").status, 200);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    let (mut timed_out, mut closed) = (0, 0);
    for mut stream in slow {
        let mut said = String::new();
        // A connection that is reset has ended, too.
        drop(stream.read_to_string(&mut said));
        if said.starts_with("HTTP/1.1 408") {
            timed_out += 1;
        } else {
            closed += 1;
        }
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    assert!(timed_out >= 200 && timed_out + closed == 500, "{timed_out} {closed}");
}

#[test]
fn a_full_queue_is_said_at_once() {
    // Nothing fits: every body is one too many.
    let server = Server::with("max_in_flight = \"64KiB\"", &[]);
    let line = event("t", "p", 1, now_ms()).to_string() + "\n";
    let answer = server.client().call("POST", "/v1/ingest?durable=true", &[NDJSON], line.repeat(2_000).as_bytes());
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    let answer = server.client().call("POST", "/v1/ingest?durable=true", &[NDJSON], line.as_bytes());
    assert_eq!(answer.status, 202, "what was refused holds no memory");
}

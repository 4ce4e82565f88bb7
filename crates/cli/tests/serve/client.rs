//! A client of raw bytes: what goes over the wire is what a test says.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A connection that is kept.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    pub(crate) token: Option<String>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream: BufReader::new(stream), token: None }
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.call("GET", target, &[], b"")
    }

    pub(crate) fn post(&mut self, target: &str, document: &Value) -> Answer {
        self.call("POST", target, &[("content-type", "application/json")], document.to_string().as_bytes())
    }

    pub(crate) fn call(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
        if let Some(token) = &self.token {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.send(&[(head + "\r\n").as_bytes(), body].concat());
        self.answer()
    }

    /// Sends bytes; a server that has answered already may have stopped reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.get_mut().write_all(bytes));
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// None when the server has closed the connection.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        match answer.header("content-length") {
            Some(length) => {
                answer.body = vec![0; length.parse().unwrap()];
                self.stream.read_exact(&mut answer.body).ok()?;
            }
            None if answer.header("transfer-encoding") == Some("chunked") => loop {
                let mut line = String::new();
                self.stream.read_line(&mut line).ok()?;
                let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
                let mut chunk = vec![0; length + 2];
                self.stream.read_exact(&mut chunk).ok()?;
                if length == 0 {
                    break;
                }
                answer.body.extend(&chunk[..length]);
            },
            None => {}
        }
        Some(answer)
    }
}

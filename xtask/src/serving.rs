//! `prefix-indexer serve`, started for a task on a free port and stopped with it.

use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

pub(crate) struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    pub(crate) fn start(program: &Path, data: &Path) -> Result<Serving> {
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        for line in lines.by_ref() {
            if let Some(address) = line?.strip_prefix("listening on http://") {
                let address = address.to_owned();
                // Read on, so that a full pipe never stops it.
                thread::spawn(move || lines.for_each(drop));
                return Ok(Serving { child, address });
            }
        }
        drop(child.wait());
        bail!("the service did not start")
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks whether it takes events until it does.
    pub(crate) fn wait_until_ready(&self) -> Result<()> {
        for _ in 0..10_000 {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            if answer.starts_with("HTTP/1.1 200 ") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        bail!("the service does not become ready")
    }

    /// Anonymous resident bytes now, on Linux: mapped pages of segments are the system's to drop.
    pub(crate) fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

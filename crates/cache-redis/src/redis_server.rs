//! A redis-server for tests and benches: on a free port of the loopback interface, for as long as it is held.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long the server may take until it listens: a busy machine.
const START: Duration = Duration::from_secs(30);

/// How often a port is tried that somebody else may take meanwhile.
const TRIES: usize = 5;

/// A process that is killed, as by `kill -9`, when this is dropped. It keeps nothing on disk unless it is told to.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    address: SocketAddr,
}

impl RedisServer {
    /// With further `arguments`, in which `{port}` is the port: `["--port", "{port}"]` at least, or its `--tls-port`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is no redis-server; when it ends or does not listen in time.
    pub fn start(arguments: &[&str]) -> io::Result<RedisServer> {
        let mut tries = 0;
        loop {
            tries += 1;
            let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            match RedisServer::start_at(free, arguments) {
                Err(error) if error.kind() != io::ErrorKind::NotFound && tries < TRIES => {}
                started => return started,
            }
        }
    }

    /// Where another one was.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at(address: SocketAddr, arguments: &[&str]) -> io::Result<RedisServer> {
        let port = address.port().to_string();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(arguments.iter().map(|argument| argument.replace("{port}", &port)))
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = RedisServer { process, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.process.try_wait()? {
                return Err(io::Error::other(format!("redis-server ended ({status})")));
            }
            if began.elapsed() > START {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "redis-server does not listen"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without TLS.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

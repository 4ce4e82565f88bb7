//! A TCP proxy that fails on command: for tests of backends that reach over a network, in this project and outside.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use prefix_indexer_cache::fault_proxy::{Fault, FaultProxy};
//! use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
//!
//! let server = TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = FaultProxy::start(server.local_addr()?).await?;
//! let mut client = TcpStream::connect(proxy.address()).await?;
//! client.write_all(b"hello").await?;
//! let (mut accepted, _) = server.accept().await?;
//! let mut heard = [0; 5];
//! accepted.read_exact(&mut heard).await?;
//! assert_eq!(&heard, b"hello");
//!
//! proxy.set(Fault::Reset);
//! assert!(client.read(&mut heard).await.is_err());
//! # Ok(()) }
//! ```

use bytes::Bytes;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Mutex, watch},
    task::AbortHandle,
    time::sleep,
};

/// What goes wrong, for connections that are open and those to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections are reset, new ones as soon as they are accepted.
    Reset,
    /// Connections stay open and nothing passes, in either direction; it goes on where it stopped when the fault is over.
    Stall,
    /// Requests pass and answers are thrown away: what was asked for is done, and nobody hears.
    Mute,
    /// Each connection is reset after so many bytes of answers, counted from when the fault began.
    HalfAnswers(u64),
    /// Answers pass in pieces of so many bytes, with a pause after each.
    Slow {
        /// Bytes a piece.
        bytes: usize,
        /// The pause.
        pause: Duration,
    },
    /// Whatever is asked is answered with this, and the connection closed; the server hears nothing. For a server that speaks HTTP, as in
    /// [`Fault::http`].
    Answer(Bytes),
}

impl Fault {
    /// An HTTP answer of this status, as in `503 Service Unavailable`, without a body.
    pub fn http(status: &str) -> Fault {
        Fault::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into())
    }
}

/// Stands between a client and a server. Ends, with all connections, when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    accepted: Arc<AtomicU64>,
    task: AbortHandle,
}

impl FaultProxy {
    /// Listens on a free port of the loopback interface and passes all on to `server`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(server: SocketAddr) -> io::Result<FaultProxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (fault, accepted) = (watch::Sender::new(Fault::None), Arc::new(AtomicU64::new(0)));
        let (faults, count) = (fault.subscribe(), Arc::clone(&accepted));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                connections.spawn(connection(client, server, faults.clone()));
            }
        })
        .abort_handle();
        Ok(FaultProxy { address, fault, accepted, task })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes wrong from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(mut client: TcpStream, server: SocketAddr, fault: watch::Receiver<Fault>) {
    let mut resets = fault.clone();
    let is_reset = tokio::select! {
        // An order to reset counts before what there is to pass on.
        biased;
        _ = resets.wait_for(|fault| *fault == Fault::Reset) => true,
        passed = pass_on(&mut client, server, fault) => passed.is_err(),
    };
    if is_reset {
        // Without this the system would end the connection politely.
        drop(client.set_zero_linger());
    }
}

/// An error means that the client's connection is to be reset.
async fn pass_on(client: &mut TcpStream, server: SocketAddr, fault: watch::Receiver<Fault>) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let to_client = Mutex::new(to_client);
    let requests = async {
        let mut fault = fault.clone();
        let mut piece = vec![0; 64 << 10];
        loop {
            let length = from_client.read(&mut piece).await?;
            if length == 0 {
                to_server.shutdown().await?;
                // The answers may still come.
                std::future::pending::<()>().await;
            }
            match passing(&mut fault).await? {
                Fault::Answer(answer) => {
                    let mut to_client = to_client.lock().await;
                    to_client.write_all(&answer).await?;
                    to_client.shutdown().await?;
                    while from_client.read(&mut piece).await? > 0 {}
                    return Ok(());
                }
                _ => to_server.write_all(&piece[..length]).await?,
            }
        }
    };
    let answers = async {
        let mut fault = fault.clone();
        let mut piece = vec![0; 64 << 10];
        let mut of_half = 0;
        loop {
            let length = from_server.read(&mut piece).await?;
            let piece = &piece[..length];
            if piece.is_empty() {
                return to_client.lock().await.shutdown().await;
            }
            let now = passing(&mut fault).await?;
            if !matches!(now, Fault::HalfAnswers(_)) {
                of_half = 0;
            }
            match now {
                Fault::Mute | Fault::Answer(_) => {}
                Fault::HalfAnswers(limit) => {
                    let left = (limit - of_half).min(length as u64);
                    to_client.lock().await.write_all(&piece[..left as usize]).await?;
                    of_half += left;
                    if of_half == limit {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                }
                Fault::Slow { bytes, pause } => {
                    for part in piece.chunks(bytes.max(1)) {
                        to_client.lock().await.write_all(part).await?;
                        sleep(pause).await;
                    }
                }
                Fault::None | Fault::Reset | Fault::Stall => to_client.lock().await.write_all(piece).await?,
            }
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = answers => ended,
    }
}

/// The fault now, once it lets anything pass.
async fn passing(fault: &mut watch::Receiver<Fault>) -> io::Result<Fault> {
    let now = fault.wait_for(|fault| *fault != Fault::Stall).await;
    now.map(|fault| fault.clone()).map_err(|_| io::ErrorKind::ConnectionReset.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer that says what was asked, twice, through a proxy with this fault.
    async fn ask(fault: Fault) -> io::Result<Vec<u8>> {
        let server = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = FaultProxy::start(server.local_addr()?).await?;
        proxy.set(fault);
        let echo = tokio::spawn(async move {
            let (mut accepted, _) = server.accept().await?;
            let mut asked = [0; 4];
            accepted.read_exact(&mut asked).await?;
            accepted.write_all(&asked).await?;
            accepted.write_all(&asked).await
        });
        let mut client = TcpStream::connect(proxy.address()).await?;
        client.write_all(b"word").await?;
        let mut answer = vec![0; 8];
        let mut length = 0;
        while length < answer.len() {
            match client.read(&mut answer[length..]).await? {
                0 => break,
                more => length += more,
            }
        }
        echo.abort();
        answer.truncate(length);
        Ok(answer)
    }

    #[tokio::test]
    async fn faults() {
        let slow = Fault::Slow { bytes: 1, pause: Duration::from_millis(2) };
        assert_eq!(ask(Fault::None).await.unwrap(), b"wordword");
        assert_eq!(ask(slow).await.unwrap(), b"wordword");
        assert_eq!(ask(Fault::HalfAnswers(5)).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(ask(Fault::Reset).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(ask(Fault::Answer("no".into())).await.unwrap(), b"no");
        for silent in [Fault::Stall, Fault::Mute] {
            let answer = tokio::time::timeout(Duration::from_millis(50), ask(silent)).await;
            // That the server is done may be heard, what it said not.
            assert!(!matches!(answer, Ok(Ok(bytes)) if !bytes.is_empty()), "no answer at all");
        }
    }
}

//! A redis-server on a free port, for as long as a test lasts.

use prefix_indexer_cache_redis::RedisConfig;
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_with(&["--port", "{port}"])
    }

    /// With arguments, in which `{port}` is the port.
    pub(crate) fn start_with(arguments: &[&str]) -> Server {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // Somebody else may take the port meanwhile.
        (0..5).find_map(|_| Server::start_at(free(), arguments)).unwrap()
    }

    /// On the port that another one had.
    pub(crate) fn start_again(address: SocketAddr) -> Server {
        Server::start_at(address, &["--port", "{port}"]).unwrap()
    }

    fn start_at(address: SocketAddr, arguments: &[&str]) -> Option<Server> {
        let port = address.port().to_string();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(arguments.iter().map(|argument| argument.replace("{port}", &port)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server { process, address };
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) && server.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(address).is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub(crate) fn url(&self) -> String {
        url(self.address)
    }

    /// A connection of the bare client.
    pub(crate) async fn bare(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("redis://{address}/0")
}

pub(crate) fn config(url: String) -> RedisConfig {
    RedisConfig { url, prefix: "test/".into(), ..RedisConfig::default() }
}

//! Listening, until told to stop.

use crate::{
    ServerConfig, ServerError,
    app::{App, router},
    book,
    connection::Connections,
    tls,
    tokens::Tokens,
};
use prefix_indexer::PrefixIndexer;
use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;

/// How long to wait after the system has refused a connection, for want of file descriptors perhaps.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// Buffers of hyper are not smaller.
const MIN_HEADER: usize = 8192;

/// Bodies are not larger, whatever the configuration says: a batch's text has 32-bit offsets.
const MAX_BODY: u64 = 1 << 30;

/// A service that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: ServerConfig,
    tokens: Option<Tokens>,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Reads tokens and certificate, and takes the address: clients may connect, and are answered once it [runs](Self::run).
    ///
    /// # Errors
    /// An address that cannot be had, or that others can reach without tokens; files that are not what they should be.
    pub fn bind(config: ServerConfig) -> Result<Server, ServerError> {
        check(&config)?;
        let tokens = config.tokens.as_deref().map(Tokens::load).transpose()?;
        let tls = tls::acceptor(&config)?;
        let failed = |source| ServerError::Listen { address: config.listen.clone(), source };
        let addresses: Vec<SocketAddr> = config.listen.to_socket_addrs().map_err(failed)?.collect();
        if tokens.is_none() && addresses.iter().any(|address| !address.ip().is_loopback()) {
            return Err(ServerError::NeedsTokens { address: config.listen });
        }
        let listener = TcpListener::bind(&*addresses).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Server { listener, address, config, tokens, tls })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Whether there are no tokens: then every program on this machine may do everything, and nobody else can connect.
    pub fn is_open(&self) -> bool {
        self.tokens.is_none()
    }

    /// Answers until SIGTERM or SIGINT comes; then lets requests end, and writes out what the index has taken.
    ///
    /// # Errors
    /// When the system gives no threads, or the last flush fails.
    pub fn run(self, indexer: PrefixIndexer) -> Result<(), ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServerError::Runtime)?;
        let told = {
            let _inside = runtime.enter();
            stop_signal().map_err(ServerError::Runtime)?
        };
        self.run_until(&runtime, indexer, told)
    }

    fn run_until(
        self,
        runtime: &Runtime,
        indexer: PrefixIndexer,
        told: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let Server { listener, config, tokens, tls, .. } = self;
        let patience = config.shutdown_timeout.0;
        let app = Arc::new(App::new(indexer, config, tokens)?);
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(ServerError::Runtime)?;
            tokio::spawn(book::keep(Arc::downgrade(&app)));
            let (end, ending) = watch::channel(false);
            let connections = Connections {
                tls,
                router: router(Arc::clone(&app)),
                patience: app.config.header_timeout.0,
                max_header: usize::try_from(app.config.max_header.0).unwrap_or(usize::MAX).max(MIN_HEADER),
                ending,
            };
            let room = Arc::new(Semaphore::new(app.config.max_connections));
            tokio::select! {
                () = told => {}
                () = accept(&listener, &connections, &room) => {}
            }
            tracing::info!("ending: waiting for requests");
            app.ready.store(false, Ordering::Relaxed);
            drop((listener, connections));
            end.send_replace(true);
            if tokio::time::timeout(patience, end.closed()).await.is_err() {
                tracing::warn!("some requests did not end in time");
            }
            Ok::<(), ServerError>(())
        })?;
        // Runs behind everything that was handed in. The writer itself ends with the last request that holds it.
        app.book.save(&app.indexer)?;
        Ok(app.indexer.flush()?)
    }
}

/// Takes connections as long as there is room. Does not return.
pub(crate) async fn accept(listener: &tokio::net::TcpListener, connections: &Connections, room: &Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connections.clone();
                tokio::spawn(async move {
                    connection.serve(stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
    }
}

/// Comes with the first SIGTERM or SIGINT.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn check(config: &ServerConfig) -> Result<(), ServerError> {
    let setting = |key, reason: &str| Err(ServerError::Setting { key, reason: reason.to_owned() });
    for (key, size) in [("max_body", config.max_body), ("max_decompressed", config.max_decompressed)] {
        if !(1..=MAX_BODY).contains(&size.0) {
            return setting(key, "must be at least 1 byte and at most 1GiB");
        }
    }
    if config.max_connections == 0 || config.max_connections > Semaphore::MAX_PERMITS {
        return setting("max_connections", "must be at least 1");
    }
    Ok(())
}

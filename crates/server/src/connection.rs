//! One connection: perhaps TLS, then requests one after the other until either side has had enough.

use crate::stall::Stalling;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{pin::pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// Most headers of a request; more are 431.
const MAX_HEADERS: usize = 100;

/// What connections have in common.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    pub(crate) patience: Duration,
    pub(crate) max_header: usize,
    /// Turns true when the service is to end.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Connections {
    /// Serves a connection to its end.
    pub(crate) async fn serve(self, stream: TcpStream) {
        // Answers are written whole: waiting for more of them would only delay.
        drop(stream.set_nodelay(true));
        match &self.tls {
            None => self.speak(stream).await,
            Some(tls) => match tokio::time::timeout(self.patience, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .max_headers(MAX_HEADERS)
            .max_buf_size(self.max_header);
        let io = TokioIo::new(Stalling::new(stream, self.patience));
        let mut connection = pin!(http.serve_connection(io, TowerToHyperService::new(self.router.clone())));
        let mut ending = self.ending.clone();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = async { drop(ending.wait_for(|ending| *ending).await) } => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

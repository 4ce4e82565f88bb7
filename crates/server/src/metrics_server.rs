//! `/metrics` alone, for a process that answers nothing else.

use crate::{ServerError, app::text_of_metrics, connection::Connections};
use axum::{Router, routing::get};
use std::{net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};
use tokio::sync::{Semaphore, watch};

/// Time for the headers of a request, and for a client that takes none of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Request line and headers together.
const MAX_HEADER: usize = 8192;
/// Connections; more wait to be accepted.
const MAX_CONNECTIONS: usize = 16;

/// Answers `GET /metrics` on a thread of its own until it is dropped. It asks for no token: numbers without names of tenants are all
/// there is to see, so the address may be one that other machines reach.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens, and answers with what `exposition` says then.
    ///
    /// # Errors
    /// [`ServerError::Listen`], and [`ServerError::Runtime`] when the system gives no thread.
    pub fn start(
        listen: &str,
        exposition: impl Fn() -> String + Send + Sync + 'static,
    ) -> Result<MetricsServer, ServerError> {
        let failed = |source| ServerError::Listen { address: listen.to_owned(), source };
        let listener = std::net::TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServerError::Runtime)?;
        let (end, ending) = watch::channel(false);
        let exposition = Arc::new(exposition);
        let answer = move || {
            let text = exposition();
            async { text_of_metrics(text) }
        };
        let router = Router::new().route("/metrics", get(answer));
        let connections =
            Connections { tls: None, router, patience: PATIENCE, max_header: MAX_HEADER, ending: ending.clone() };
        let work = move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
                let mut ending = ending;
                tokio::select! {
                    () = crate::server::accept(&listener, &connections, &room) => {}
                    _ = ending.wait_for(|ending| *ending) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(work).map_err(ServerError::Runtime)?;
        Ok(MetricsServer { address, end, thread: Some(thread) })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

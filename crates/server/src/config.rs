//! The `[server]` section of the configuration.

use prefix_indexer::cache::{ByteSize, Period};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

/// How the service listens and what it lets through. The defaults suit one machine: without a token file only loopback
/// addresses are listened on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// TOML file of bearer tokens.
    pub tokens: Option<PathBuf>,
    /// PEM file of the certificate chain, for TLS; needs `tls_key`.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// Whether `/metrics` needs no token.
    pub open_metrics: bool,
    /// The largest body, as sent. At most 1 GiB.
    pub max_body: ByteSize,
    /// The largest body after decompression. At most 1 GiB.
    pub max_decompressed: ByteSize,
    /// Memory for all bodies and batches that are being read or wait for the writer; who finds it full gets 429.
    pub max_in_flight: ByteSize,
    /// Request line and headers together. At least 8 KiB.
    pub max_header: ByteSize,
    /// Connections; more wait to be accepted.
    pub max_connections: usize,
    /// Time for a TLS handshake, for the headers of a request, for a silent connection, and for a client that takes
    /// none of its answer.
    pub header_timeout: Period,
    /// Time for a whole request: its body, its work and waiting for the disk.
    pub request_timeout: Period,
    /// Time that requests have to end when the service is asked to.
    pub shutdown_timeout: Period,
    /// Events further than this in the future of the wall clock are bad.
    pub max_future: Period,
    /// Least level that is logged: error, warn, info, debug or trace.
    pub log_level: String,
    /// How log lines look: text or json.
    pub log_format: String,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            listen: "127.0.0.1:8080".to_owned(),
            tokens: None,
            tls_certificate: None,
            tls_key: None,
            open_metrics: false,
            max_body: ByteSize(64 << 20),
            max_decompressed: ByteSize(256 << 20),
            max_in_flight: ByteSize(512 << 20),
            max_header: ByteSize(16 << 10),
            max_connections: 4096,
            header_timeout: Period(Duration::from_secs(10)),
            request_timeout: Period(Duration::from_secs(30)),
            shutdown_timeout: Period(Duration::from_secs(10)),
            max_future: Period(Duration::from_secs(300)),
            log_level: "info".to_owned(),
            log_format: "text".to_owned(),
        }
    }
}

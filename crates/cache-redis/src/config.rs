//! What can be set, and how a server is reached.

use crate::NAME;
use prefix_indexer_cache::{CacheError, Period, Result};
use redis::{Client, IntoConnectionInfo, TlsCertificates, io::tcp::TcpSettings};
use serde::Deserialize;
use std::{env, fmt, fs, path::PathBuf, time::Duration};

/// Configuration of the Redis tier.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// Where: `redis://HOST:PORT/DATABASE`, `rediss://` for TLS, `redis+unix:///PATH`. Required. User and password are better
    /// given by the environment: `REDIS_USERNAME` and `REDIS_PASSWORD` count where the URL has none.
    pub url: String,
    /// What every key in Redis begins with. Default: nothing. Tiers that share a server keep apart by it.
    pub prefix: String,
    /// Whether nodes tell each other of their changes, so that the others drop their copies in the tiers above. Default yes.
    /// Where values never change under their key it is not needed.
    pub invalidation: bool,
    /// The certificate authority to trust, as PEM, in place of the system's.
    pub ca: Option<PathBuf>,
    /// How long connecting may take. Default 2 s.
    pub connect_timeout: Period,
    /// How long an answer may take before the connection is given up for a new one. Default 5 s.
    pub response_timeout: Period,
}

impl Default for RedisConfig {
    fn default() -> RedisConfig {
        RedisConfig {
            url: String::new(),
            prefix: String::new(),
            invalidation: true,
            ca: None,
            connect_timeout: Period(Duration::from_secs(2)),
            response_timeout: Period(Duration::from_secs(5)),
        }
    }
}

impl RedisConfig {
    /// What opens connections.
    pub(crate) fn client(&self) -> Result<Client> {
        let wrong = |error: &dyn fmt::Display| CacheError::config(NAME, error);
        if self.url.is_empty() {
            return Err(wrong(&"url is missing"));
        }
        if self.connect_timeout.0.is_zero() || self.response_timeout.0.is_zero() {
            return Err(wrong(&"a time-out is zero"));
        }
        let mut info = self.url.as_str().into_connection_info().map_err(|error| wrong(&error))?;
        let mut settings = info.redis_settings().clone();
        if let (None, Ok(username)) = (settings.username(), env::var("REDIS_USERNAME")) {
            settings = settings.set_username(username);
        }
        if let (None, Ok(password)) = (settings.password(), env::var("REDIS_PASSWORD")) {
            settings = settings.set_password(password);
        }
        info = info.set_redis_settings(settings);
        // A peer that is gone without a word is noticed after this, not after the system's quarter of an hour.
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(self.response_timeout.0);
        info = info.set_tcp_settings(tcp);
        // Should another crate of the program bring a second provider, the choice is still made.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = match &self.ca {
            None => Client::open(info),
            Some(path) => {
                let pem = fs::read(path).map_err(|error| wrong(&format_args!("{}: {error}", path.display())))?;
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem) })
            }
        };
        client.map_err(|error| wrong(&error))
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

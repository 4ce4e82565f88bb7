//! TLS, when the configuration names a certificate.

use crate::{ServerConfig, ServerError};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};
use tokio_rustls::TlsAcceptor;

/// What accepts TLS connections; none without a certificate.
pub(crate) fn acceptor(config: &ServerConfig) -> Result<Option<TlsAcceptor>, ServerError> {
    let (certificate, key) = match (&config.tls_certificate, &config.tls_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => return Err(setting("tls_key", "is missing beside tls_certificate")),
        (None, Some(_)) => return Err(setting("tls_certificate", "is missing beside tls_key")),
    };
    let failed = |path: &Path, reason: String| ServerError::Tls { path: path.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|chain| chain.collect::<Result<Vec<_>, _>>())
        .map_err(|error| failed(certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error.to_string()))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, private))
        .map_err(|error| failed(certificate, error.to_string()))?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

fn setting(key: &'static str, reason: &str) -> ServerError {
    ServerError::Setting { key, reason: reason.to_owned() }
}

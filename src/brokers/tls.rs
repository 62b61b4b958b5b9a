//! Whom an encrypted connection to a broker trusts.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::hold::Failure;

/// The certificates in a file, or those of the system where none is named. Read at each connection, so that they may be
/// renewed.
pub(super) async fn client(ca: Option<&Path>) -> Result<ClientConfig, Failure> {
    let ca = ca.map(Path::to_owned);
    let roots = tokio::task::spawn_blocking(move || roots(ca.as_deref()));
    let roots = roots.await.map_err(|error| Failure::of(&error))??;
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::of(&error))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let wrong = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", ca.display()));
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() { Err(wrong(&"no certificates in it")) } else { Ok(roots) }
}

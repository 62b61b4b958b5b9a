//! TLS, with a certificate that may be renewed while the server runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto::ring};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{file} cannot be read")]
    Unreadable { file: PathBuf, source: pem::Error },
    #[error("{file} has no certificate in PEM form")]
    Empty { file: PathBuf },
    #[error("the certificate in {file} cannot be used with this key")]
    Unusable { file: PathBuf, source: rustls::Error },
}

/// A certificate with its key, as they are in two files.
#[derive(Clone)]
pub struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    current: Arc<RwLock<TlsAcceptor>>,
}

impl Certificates {
    pub fn open(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let acceptor = load(chain, key)?;
        Ok(Self { chain: chain.to_owned(), key: key.to_owned(), current: Arc::new(RwLock::new(acceptor)) })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().expect("never poisoned").clone()
    }

    /// Takes up what is renewed. What cannot be used is logged, and the old certificate stays: the two files
    /// may just be half renewed.
    pub(super) async fn keep_current(&self) {
        let mut seen = self.stamps().await;
        let mut pending = false;
        loop {
            tokio::time::sleep(LOOK).await;
            let found = self.stamps().await;
            if found == seen && !pending {
                continue;
            }
            let changed = found != seen;
            seen = found;
            match load(&self.chain, &self.key) {
                Ok(acceptor) => {
                    *self.current.write().expect("never poisoned") = acceptor;
                    pending = false;
                    tracing::info!(certificate = %self.chain.display(), "the renewed certificate is in use");
                }
                Err(error) => {
                    pending = true;
                    if changed {
                        let error: &(dyn std::error::Error + 'static) = &error;
                        tracing::error!(error, "the renewed certificate cannot be used; the old one stays");
                    }
                }
            }
        }
    }

    async fn stamps(&self) -> [Option<SystemTime>; 2] {
        let stamp = async |path: &Path| tokio::fs::metadata(path).await.ok()?.modified().ok();
        [stamp(&self.chain).await, stamp(&self.key).await]
    }
}

fn load(chain: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |source| TlsError::Unreadable { file, source }
    };
    let certificates: Vec<CertificateDer> =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).map_err(unreadable(chain))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { file: chain.to_owned() });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    let unusable = |source| TlsError::Unusable { file: chain.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

//! TLS: the certificate in use is the one in the files, as long as it can be used.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use stockhold::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::harness::{Server, eventually};

/// Puts a new certificate into the files.
fn renew(dir: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["stock.test".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

/// The answer to a request over TLS, trusting this certificate alone.
async fn ask(server: &Server, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await?;
    let name = "stock.test".try_into().unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: stock.test\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = renew(dir.path());
    let file = |name: &str| Some(dir.path().join(name));
    let server =
        Server::with(Config { tls_cert: file("cert.pem"), tls_key: file("key.pem"), ..Config::default() }).await;
    let answer = ask(&server, &first).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security: "), "{answer}");

    // The file has another time, and nothing that could be used.
    std::fs::write(dir.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nbroken").unwrap();
    let ahead = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    std::fs::File::open(dir.path().join("cert.pem")).unwrap().set_modified(ahead).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(ask(&server, &first).await.is_ok(), "the old one stays");

    let second = renew(dir.path());
    eventually("the renewed one is in use", || async { ask(&server, &second).await.is_ok() }).await;
    assert!(ask(&server, &first).await.is_err());
    // Who speaks no TLS gets nothing.
    let mut plain = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}

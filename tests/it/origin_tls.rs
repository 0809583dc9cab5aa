//! Custom origins over TLS: which name is asked for, and whose certificate is believed (behaviour §3.6).

use std::sync::{Arc, Mutex};

use http::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::process::Process;
use crate::support::viewer::{HOST, ask};

/// Who is asked, and as whom: the names in handshakes, and the request heads.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// An HTTPS server with one certificate; the port, and what it sees.
async fn server(config: ServerConfig) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            told.lock().unwrap().push((name, String::from_utf8(head).unwrap()));
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, seen)
}

#[tokio::test]
async fn the_certificate_may_be_for_the_forwarded_host_or_for_the_origin() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.pem()).unwrap();

    // the certificate's name, the origin request policy, status, the name in the handshake
    let table = [
        (HOST, "AllViewer", 200, HOST),
        ("localhost", "AllViewer", 200, HOST),
        ("localhost", "AllViewerExceptHostHeader", 200, "localhost"),
        (HOST, "AllViewerExceptHostHeader", 502, ""),
        ("other.example", "AllViewer", 502, ""),
    ];
    for (of, policy, status, name) in table {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![of.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let (port, seen) = server(config).await;
        let toml = format!(
            "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"localhost\"\nconnection_attempts = 1\n\
             [distribution.origin.custom_origin]\nhttps_port = {port}\norigin_protocol_policy = \"https-only\"\n\
             [distribution.default_cache_behavior]\norigin_request_policy = \"{policy}\"\n"
        );
        let edge = Process::start(&toml, &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
        let answer = ask(edge.https, Method::GET, "/a", &[]).await;
        assert_eq!(answer.status, status, "{of} {policy}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.first().map_or("", |(name, _)| name), name, "{of} {policy}");
    }
}

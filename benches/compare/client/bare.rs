//! The least that a server on this stack can do: rustls, tokio, and the same bytes for every request. What edgeseal costs
//! beyond it is its own logic (and hyper's, where that serves).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use crate::http::{Failure, find};

/// Serves until it is ended from outside.
pub(crate) async fn serve(
    listen: SocketAddr,
    cert: &Path,
    key: &Path,
    head: Vec<u8>,
    length: usize,
) -> Result<(), Failure> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from_pem_file(cert)?], PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 1;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut answer = head;
    answer.resize(answer.len() + length, b'x');
    let answer: Arc<[u8]> = answer.into();
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
        spawn_local(async move {
            // A client that leaves is not this program's concern.
            let _ = converse(&acceptor, stream, &answer).await;
        });
    }
}

async fn converse(acceptor: &TlsAcceptor, stream: TcpStream, answer: &[u8]) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = [0; 8 << 10];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            read => filled += read,
        }
        if find(&buffer[..filled], b"\r\n\r\n").is_some() {
            filled = 0;
            stream.write_all(answer).await?;
            stream.flush().await?;
        }
    }
}

//! As much of a client as the measuring needs: HTTP/1.1 over TLS 1.3 with one suite and one group, for the same work for
//! every server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

const HOST: &str = "localhost";

/// What is asked for, and how.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    path: String,
    expected: Expected,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// The answer that is to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    /// Bytes of the body that follows, or that a GET would have brought.
    pub(crate) length: usize,
    pub(crate) body: bool,
}

/// Tickets that a lane keeps: each connection takes one and brings one or two.
const TICKETS: usize = 8;

impl Target {
    pub(crate) fn new(
        address: SocketAddr,
        path: &str,
        expected: Expected,
        ca: &Path,
        suite: &str,
    ) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let suites = aws_lc_rs::ALL_CIPHER_SUITES.iter().copied();
        // rustls says TLS13_AES_…, everybody else TLS_AES_….
        let chosen = suites.filter(|known| {
            known.suite().as_str().is_some_and(|name| name.replacen("TLS13_", "TLS_", 1) == suite)
        });
        let provider = CryptoProvider {
            cipher_suites: chosen.collect(),
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            address,
            path: path.to_owned(),
            expected,
            config: Arc::new(config),
            name: ServerName::try_from(HOST)?,
        })
    }

    /// A length may be announced, but nothing of it comes.
    pub(crate) fn expect_no_body(&mut self) {
        self.expected.body = false;
    }

    /// The same for someone who resumes sessions of their own. (Shared, rustls would keep too few tickets for all.)
    pub(crate) fn resuming(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The bytes of a request; `{n}` in the path is `number`.
    pub(crate) fn request(&self, method: &str, number: usize, fields: &str) -> Vec<u8> {
        let path = self.path.replace("{n}", &format!("{number:06}"));
        // With the port, as wrk and h2load say it: some caches have it in their key.
        let host = format_args!("{HOST}:{}", self.address.port());
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").into_bytes()
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::clone(&self.config));
        let stream = tls.connect(self.name.clone(), stream).await?;
        Ok(Connection { stream, expected: self.expected })
    }
}

/// One connection, one request at a time.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    expected: Expected,
}

impl Connection {
    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Asks, and reads the answer to its end.
    ///
    /// # Errors
    /// The connection, or an answer that is not the expected one.
    pub(crate) async fn exchange(&mut self, request: &[u8], buffer: &mut [u8]) -> Result<(), Failure> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut filled = 0;
        let head = loop {
            let read = self.stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Err("the connection ended within a head".into());
            }
            filled += read;
            if let Some(end) = find(&buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&buffer[..head])?;
        let Expected { status, length, body } = self.expected;
        let said = announced(text);
        let length_agrees = said == Some(length) || (!body && said.is_none());
        if text.get(9..12) != Some(status.to_string().as_str()) || !length_agrees {
            return Err(format!("not a {status} of {length} bytes: {text}").into());
        }
        let body = if body { length } else { 0 };
        let mut left = (head + body).checked_sub(filled).ok_or("more bytes than announced")?;
        while left > 0 {
            let room = left.min(buffer.len());
            match self.stream.read(&mut buffer[..room]).await? {
                0 => return Err("the connection ended within a body".into()),
                read => left -= read,
            }
        }
        Ok(())
    }

    /// Waits for the server's end, whatever it looks like.
    pub(crate) async fn end(mut self) {
        let mut rest = [0; 64];
        while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
    }
}

/// The value of `Content-Length`.
fn announced(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

pub(crate) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

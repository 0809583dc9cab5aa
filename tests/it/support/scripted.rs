//! An origin that does what it is told, byte by byte: short bodies, resets, silence, lies.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Send these bytes, keep the connection.
    Send(Vec<u8>),
    /// Send these bytes, then close.
    SendAndClose(Vec<u8>),
    /// Send these bytes, then reset the connection.
    SendAndReset(Vec<u8>),
    /// Send these bytes, then say nothing more, and keep the connection open.
    SendAndStall(Vec<u8>),
    /// Say nothing, and keep the connection open.
    Silence,
    /// Wait for the signal, then send these bytes and keep the connection.
    SendAfter(Arc<Notify>, Vec<u8>),
}

impl Act {
    pub fn send(text: &str) -> Self {
        Self::Send(text.as_bytes().to_vec())
    }

    pub fn send_and_close(text: &str) -> Self {
        Self::SendAndClose(text.as_bytes().to_vec())
    }

    /// A whole 200.
    pub fn ok(body: &str) -> Self {
        Self::send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\netag: \"1\"\r\n\r\n{body}", body.len()))
    }

    /// An S3 error with this body.
    pub fn error(status: u16, body: &str) -> Self {
        Self::send(&format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

/// Answers request after request by its script, whatever connection they come on; then with 500.
pub struct Scripted {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Scripted {
    pub async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let seen = (Arc::clone(&heads), Arc::clone(&bodies));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(converse(stream, Arc::clone(&script), seen.clone()));
            }
        });
        Self { address, heads, bodies, connections, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The request heads so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The request bodies so far, of those that had one; chunked ones as they came over the wire.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().unwrap().clone()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Seen = (Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<Vec<u8>>>>);

async fn converse(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Act>>>, (heads, bodies): Seen) {
    while let Some(head) = read_head(&mut stream).await {
        let body = read_body(&mut stream, &head).await;
        heads.lock().unwrap().push(head);
        bodies.lock().unwrap().extend(body);
        let act = script.lock().unwrap().pop_front().unwrap_or_else(|| Act::error(500, ""));
        match act {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::SendAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Act::SendAndReset(bytes) => {
                let _ = stream.write_all(&bytes).await;
                stream.set_zero_linger().unwrap();
                return;
            }
            Act::SendAndStall(bytes) => {
                let _ = stream.write_all(&bytes).await;
                std::future::pending().await
            }
            Act::Silence => std::future::pending().await,
            Act::SendAfter(signal, bytes) => {
                signal.notified().await;
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// What follows a head; `None`: nothing does. A body that breaks off is as long as it is.
async fn read_body(stream: &mut TcpStream, head: &str) -> Option<Vec<u8>> {
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            body.push(byte);
        }
    } else {
        let length = length.filter(|&length| length > 0)?;
        // What broke off is there, too.
        let _ = stream.take(length as u64).read_to_end(&mut body).await;
    }
    Some(body)
}

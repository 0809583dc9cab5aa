//! One request to a running edge's admin listener, which is plain HTTP on a loopback address.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Where it listens unless told otherwise.
pub(super) const DEFAULT: &str = "127.0.0.1:9090";
/// Everything that is asked takes effect at once, so this is for an edge that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Status and body; `body` is JSON.
///
/// # Errors
/// No edge answers there: for a person.
pub(super) fn request(
    address: &str,
    method: &str,
    target: &str,
    body: &str,
) -> Result<(u16, String), String> {
    send(address, method, target, body).map_err(|error| {
        format!("no edge answers at {address}: {error}; name its admin listener with --admin")
    })
}

/// What the edge says when it refuses.
pub(super) fn reason((status, body): &(u16, String)) -> String {
    let said = serde_json::from_str::<serde_json::Value>(body).ok();
    let said = said.and_then(|said| Some(said.get("error")?.as_str()?.to_owned()));
    said.unwrap_or_else(|| format!("the edge answered {status}"))
}

fn send(address: &str, method: &str, target: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

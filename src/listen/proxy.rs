//! Who the viewer is, where a load balancer stands before the edge: the PROXY protocol, versions 1 and 2
//! (haproxy.org, doc/proxy-protocol.txt). Only addresses that the configuration names are asked, and those must say it:
//! a header that is optional could be left out by whoever wants to look like the balancer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::clock;

/// For the whole header: a balancer sends it with its first packet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds until it is said again that somebody was refused.
const AGAIN: u64 = 60;
/// Of version 2; what version 1 begins with is as long as this at most.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const LINE: usize = 107;
/// Bytes of addresses and additions (certificates, identifiers) of version 2. Those in use stay below 600.
const ADDITIONS: usize = 4096;

/// Why a connection is closed before its first byte.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("it does not begin with a PROXY header")]
    Missing,
    #[error("its PROXY header is malformed")]
    Malformed,
    #[error("its PROXY header did not come in time")]
    Late,
    #[error("it broke off in its PROXY header: {0}")]
    Io(#[from] io::Error),
}

/// Who is at the other end of a connection that comes from `peer`, of whom all must say it that are in `balancers`.
///
/// # Errors
/// [`Refused`]: the connection is not to be served.
pub(super) async fn viewer(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
    balancers: &[IpNet],
) -> Result<SocketAddr, Refused> {
    // Of a listener for IPv6 that takes IPv4 as well.
    let address = peer.ip().to_canonical();
    if !balancers.iter().any(|balancer| balancer.contains(&address)) {
        return Ok(peer);
    }
    let told = timeout(PATIENCE, read(stream)).await.map_err(|_| Refused::Late)??;
    Ok(told.unwrap_or(peer))
}

/// Says in the log why nobody gets through: at most once a minute, for a balancer that is set up wrong fails always.
pub(super) fn tell(peer: SocketAddr, refused: &Refused) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let now = clock::now().as_secs();
    if TOLD.fetch_max(now, Ordering::Relaxed) + AGAIN <= now {
        tracing::warn!(%peer, "a connection of listen.proxy_protocol was refused: {refused}");
    } else {
        tracing::debug!(%peer, "a connection was refused: {refused}");
    }
}

/// Reads a header, and nothing that comes behind it. `None`: the balancer speaks for itself.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Refused> {
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    if first == SIGNATURE {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [command, family, high, low] = head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > ADDITIONS {
            return Err(Refused::Malformed);
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        return version_2(command, family, &rest).ok_or(Refused::Malformed);
    }
    if !first.starts_with(b"PROXY ") {
        return Err(Refused::Missing);
    }
    let mut line = first.to_vec();
    while line.last() != Some(&b'\n') {
        if line.len() == LINE {
            return Err(Refused::Malformed);
        }
        // What comes behind the line is not ours. It is short, and comes once a connection.
        line.push(stream.read_u8().await?);
    }
    version_1(&line).ok_or(Refused::Malformed)
}

/// A line with its end. `None`: it is malformed.
fn version_1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let protocol = words.next()?;
    if protocol == "UNKNOWN" {
        return Some(None);
    }
    let (source, destination): (IpAddr, IpAddr) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (port, _) = (port(words.next()?)?, port(words.next()?)?);
    let is_right = match protocol {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (is_right && words.next().is_none()).then_some(Some(SocketAddr::new(source, port)))
}

/// Without sign and leading zeros.
fn port(digits: &str) -> Option<u16> {
    let is_plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| is_plain)
}

/// What comes behind the signature and the length. `None`: it is malformed.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Option<Option<SocketAddr>> {
    match command {
        // LOCAL: a check of the balancer's own. What else it says does not count.
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    let source = match family {
        // TCP over IPv4: addresses, then ports.
        0x11 => {
            let (address, rest) = rest.split_first_chunk::<4>()?;
            let port = *rest.get(4..8)?.first_chunk::<2>()?;
            SocketAddr::new(Ipv4Addr::from(*address).into(), u16::from_be_bytes(port))
        }
        0x21 => {
            let (address, rest) = rest.split_first_chunk::<16>()?;
            let port = *rest.get(16..20)?.first_chunk::<2>()?;
            SocketAddr::new(Ipv6Addr::from(*address).into(), u16::from_be_bytes(port))
        }
        // Sockets of other kinds have no address that we know what to do with.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Some(None),
        _ => return None,
    };
    Some(Some(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.9:700";

    /// What is told of a connection that sends `bytes`, and what is left of them for who serves it.
    async fn told(peer: &str, mut bytes: &[u8]) -> Result<(String, Vec<u8>), String> {
        let balancers = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let viewer = viewer(&mut bytes, peer.parse().unwrap(), &balancers).await;
        viewer.map(|viewer| (viewer.to_string(), bytes.to_vec())).map_err(|error| error.to_string())
    }

    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest, b"GET"].concat()
    }

    #[tokio::test]
    async fn a_balancer_tells_who_the_viewer_is() {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x1F, 0x90, 1, 187];
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5][..], &[0; 16], &[0, 80, 1, 187]]
            .concat();
        for (bytes, expected) in [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\nGET".to_vec(), "203.0.113.7:8080"),
            (b"PROXY TCP6 2001:db8::5 2001:db8::1 80 443\r\nGET".to_vec(), "[2001:db8::5]:80"),
            (b"PROXY UNKNOWN\r\nGET".to_vec(), PEER),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\nGET".to_vec(), PEER),
            (second(0x21, 0x11, &v4), "203.0.113.7:8080"),
            // Additions behind the addresses.
            (second(0x21, 0x11, &[&v4[..], &[0xEA, 0, 3, 1, 2, 3]].concat()), "203.0.113.7:8080"),
            (second(0x21, 0x21, &v6), "[2001:db8::5]:80"),
            (second(0x20, 0x11, &v4), PEER),
            (second(0x20, 0x00, &[]), PEER),
            (second(0x21, 0x31, &[0; 216]), PEER),
        ] {
            let told = told(PEER, &bytes).await;
            assert_eq!(told, Ok((expected.to_owned(), b"GET".to_vec())), "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn whoever_must_tell_and_does_not_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "a".repeat(LINE));
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], "it does not begin with a PROXY header"),
            (&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 0], "it does not begin with a PROXY header"),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080\r\n", "its PROXY header is malformed"),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 443 1\r\n", "its PROXY header is malformed"),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 +8080 443\r\n", "its PROXY header is malformed"),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 080 443\r\n", "its PROXY header is malformed"),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 70000\r\n", "its PROXY header is malformed"),
            (b"PROXY TCP4 2001:db8::5 2001:db8::1 80 443\r\n", "its PROXY header is malformed"),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\n", "its PROXY header is malformed"),
            (b"PROXY UDP4 203.0.113.7 10.0.0.1 8080 443\r\n", "its PROXY header is malformed"),
            (long.as_bytes(), "its PROXY header is malformed"),
            (&second(0x21, 0x11, &[0; 11]), "its PROXY header is malformed"),
            (&second(0x22, 0x11, &[0; 12]), "its PROXY header is malformed"),
            (&second(0x11, 0x11, &[0; 12]), "its PROXY header is malformed"),
            (&second(0x21, 0x44, &[0; 12]), "its PROXY header is malformed"),
            (&second(0x21, 0x11, &[0; ADDITIONS + 1]), "its PROXY header is malformed"),
        ] {
            assert_eq!(told(PEER, bytes).await, Err(expected.to_owned()), "{}", bytes.escape_ascii());
        }
        assert!(told(PEER, b"PROXY TCP4 203").await.unwrap_err().starts_with("it broke off"));
        assert!(told("[::ffff:10.0.0.9]:700", b"GET / HTTP/1.1\r\n").await.is_err(), "IPv4 in IPv6's dress");
    }

    /// A header of anybody else's is only what it looks like: not a request.
    #[tokio::test]
    async fn nobody_else_is_asked_or_believed() {
        let bytes = b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\nGET";
        for peer in ["192.0.2.1:700", "[2001:db8::9]:700"] {
            assert_eq!(told(peer, bytes).await, Ok((peer.to_owned(), bytes.to_vec())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_for_ever() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let balancers = ["10.0.0.0/8".parse().unwrap()];
        let refused = viewer(&mut ours, PEER.parse().unwrap(), &balancers).await.unwrap_err();
        assert_eq!(refused.to_string(), "its PROXY header did not come in time");
    }
}

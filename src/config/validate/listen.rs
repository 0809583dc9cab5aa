//! Addresses, threads, and how a process ends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::super::raw::{self, Field, List, Typed};
use super::super::{Environment, Listen};
use super::report::Report;

/// A worker that makes 4,000 a second has this many under way when viewers take a quarter of a second to answer.
const HANDSHAKES: usize = 1024;
const DAY: Duration = Duration::from_secs(86_400);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

pub(super) fn listen(
    report: &mut Report,
    raw: &raw::Listen,
    env: &Environment,
    has_admin_keys: bool,
) -> Listen {
    let http = address(report, &raw.http, SocketAddr::new(ANY, 8080));
    let https = address(report, &raw.https, SocketAddr::new(ANY, 8443));
    let admin = admin(report, &raw.admin, has_admin_keys);
    let listeners = [("http", &raw.http, http), ("https", &raw.https, https), ("admin", &raw.admin, admin)];
    for (i, later) in listeners.iter().enumerate() {
        for earlier in &listeners[..i] {
            refuse_clash(report, earlier, later);
        }
    }
    Listen {
        http,
        https,
        admin,
        public_https_port: report.whole(&raw.public_https_port, 1..=65_535),
        workers: workers(report, &raw.workers, env),
        fast_path: *raw.fast_path.value().unwrap_or(&true),
        drain_delay: report.duration(&raw.drain_delay, Duration::ZERO..=DAY, Duration::ZERO),
        grace: report.duration(&raw.grace, Duration::ZERO..=DAY, Duration::from_secs(30)),
        unproven_handshakes: report.whole(&raw.unproven_handshakes, 0..=65_536).unwrap_or(256),
        handshakes: report.whole(&raw.handshakes, 1..=1_000_000).unwrap_or(HANDSHAKES),
        proxy_protocol: balancers(report, &raw.proxy_protocol),
    }
}

/// Networks, or single addresses.
fn balancers(report: &mut Report, field: &List<String>) -> Vec<IpNet> {
    let Some(typed) = field.given() else { return Vec::new() };
    report.unique(&typed.value, "the network");
    let network = |typed: &Typed<String>| {
        let network = network(&typed.value);
        if network.is_none() {
            let message = format!("{:?} is not a network", typed.value);
            report.error(&typed.at, message, "write address/length, such as \"10.0.0.0/8\", or one address");
        }
        network
    };
    typed.value.iter().filter_map(network).collect()
}

fn network(text: &str) -> Option<IpNet> {
    let network: IpNet =
        text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| address.into()))?;
    // Otherwise it is a slip: one of the two is not meant.
    (network.addr() == network.network()).then_some(network)
}

/// 0 is one per core.
fn workers(report: &mut Report, field: &Field<i64>, env: &Environment) -> usize {
    match report.whole(field, 0..=1024) {
        None | Some(0) => env.parallelism.max(1),
        Some(count) => count,
    }
}

fn admin(report: &mut Report, field: &Field<String>, has_keys: bool) -> SocketAddr {
    let address = address(report, field, SocketAddr::new(LOCAL, 9090));
    if let Some(typed) = field.given()
        && !address.ip().is_loopback()
        && !has_keys
    {
        report.error(
            &typed.at,
            format!("{address} can be reached from outside, and without administrator keys by anybody"),
            format!("write \"127.0.0.1:{}\", or add an [[admin.key]]", address.port()),
        );
    }
    address
}

/// Port 0 lets the system choose. An address without a host takes the default's.
fn address(report: &mut Report, field: &Field<String>, default: SocketAddr) -> SocketAddr {
    let Some(typed) = field.given() else {
        return default;
    };
    parse(&typed.value, default.ip()).unwrap_or_else(|| {
        let message = format!("{:?} is not an address to listen on", typed.value);
        report.error(&typed.at, message, "write IP:port, [IPv6]:port, localhost:port or :port");
        default
    })
}

fn parse(text: &str, default: IpAddr) -> Option<SocketAddr> {
    let port = |digits: &str| {
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| all_digits)
    };
    if let Some(digits) = text.strip_prefix("localhost:") {
        Some(SocketAddr::new(LOCAL, port(digits)?))
    } else if let Some(digits) = text.strip_prefix(':') {
        Some(SocketAddr::new(default, port(digits)?))
    } else {
        text.parse().ok()
    }
}

type Listener<'r> = (&'static str, &'r Field<String>, SocketAddr);

/// The defaults do not clash, so one of the two was typed.
fn refuse_clash(report: &mut Report, earlier: &Listener<'_>, later: &Listener<'_>) {
    let (a, b) = (earlier.2, later.2);
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    if a.port() != b.port() || a.port() == 0 || !same_host {
        return;
    }
    let (other, typed) = match (earlier.1.given(), later.1.given()) {
        (_, Some(typed)) => (earlier, typed),
        (Some(typed), None) => (later, typed),
        (None, None) => return,
    };
    let message = format!("port {} is listen.{}'s too, {}", a.port(), other.0, other.2);
    report.error(&typed.at, message, "give each listener a port of its own");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_network() {
        for (text, expected) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("fd00::/8", Some("fd00::/8")),
            ("::1", Some("::1/128")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.1.2.3/8", None),
            ("10.0.0.0/33", None),
            ("10.0.0.0/", None),
            ("balancer.example.com", None),
            ("", None),
        ] {
            assert_eq!(network(text), expected.map(|network| network.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn forms_of_an_address() {
        for (text, expected) in [
            ("0.0.0.0:80", Some("0.0.0.0:80")),
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("[::1]:443", Some("[::1]:443")),
            ("localhost:8080", Some("127.0.0.1:8080")),
            (":8080", Some("10.0.0.1:8080")),
            ("8080", None),
            ("edge.example.com:80", None),
            ("localhost", None),
            (":", None),
            (":+80", None),
            (":65536", None),
            ("::1:443", None),
            ("", None),
        ] {
            let default = IpAddr::from([10, 0, 0, 1]);
            assert_eq!(parse(text, default), expected.map(|address| address.parse().unwrap()), "{text}");
        }
    }
}

//! Where an origin's bytes come from: from bucket and Region, or from a URL of one's own (s3 §3, §6.4).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::super::raw::{self, At, Field, Typed};
use super::super::{Endpoint, Environment};
use super::distribution::is_label;
use super::host::{self, S3Host};
use super::report::Report;

/// Scheme, host and port of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Base {
    tls: bool,
    /// Lower-case; an IPv6 address in brackets, as it stands in a URL and in `Host`.
    host: String,
    /// `None`: the scheme's.
    port: Option<u16>,
}

/// What the URL of an endpoint may not be. The text is never repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum UrlError {
    #[error("does not begin with https:// or http://")]
    Scheme,
    #[error("carries a user name or a password")]
    UserInfo,
    #[error("carries a query or a fragment")]
    Query,
    #[error("carries a path")]
    Path,
    #[error("has a host that is no name and no address")]
    Host,
    #[error("has a port that is not 1 to 65535")]
    Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressing {
    Auto,
    Virtual,
    Path,
}

/// `bucket` and `region` are empty when they are unknown; that is an error elsewhere.
pub(super) fn endpoint(
    report: &mut Report,
    raw: &raw::Origin,
    named: Option<&S3Host>,
    (bucket, region): (&str, &str),
    env: &Environment,
) -> Endpoint {
    const ADDRESSING: [(&str, Addressing); 3] =
        [("auto", Addressing::Auto), ("virtual", Addressing::Virtual), ("path", Addressing::Path)];
    let addressing = report.choice(&raw.addressing, &ADDRESSING, Addressing::Auto);
    let at = raw.addressing.given().map(|typed| &typed.at);
    if let Some(typed) = configured(raw, env) {
        let base = base(report, &typed, raw);
        if let Some(at) = at.filter(|_| addressing == Addressing::Virtual && is_address(&base.host)) {
            report.error(at, "no name can stand in front of an IP address", "write addressing = \"path\"");
        }
        // A store of one's own rarely has a name and a certificate for every bucket.
        let path_style = addressing != Addressing::Virtual;
        return placed(report, at, base, bucket, path_style);
    }
    let service = named.map_or("s3", |host| host.service.as_str());
    let base = Base { tls: true, host: regional_host(report, raw, service, region), port: None };
    let path_style = match addressing {
        Addressing::Auto => bucket.contains('.'),
        Addressing::Virtual => false,
        Addressing::Path => true,
    };
    Endpoint { regional: service == "s3", ..placed(report, at, base, bucket, path_style) }
}

/// The origin's own URL, else the environment's.
fn configured(raw: &raw::Origin, env: &Environment) -> Option<Typed<String>> {
    match (&raw.endpoint, &env.s3_endpoint) {
        (Field::Given(typed), _) => Some(typed.clone()),
        (Field::Absent, Some(url)) if !url.is_empty() => {
            let at = At::without_line("AWS_ENDPOINT_URL_S3", "distribution.origin.endpoint");
            Some(Typed { value: url.clone(), at })
        }
        (Field::Absent | Field::Unreadable, _) => None,
    }
}

fn base(report: &mut Report, typed: &Typed<String>, raw: &raw::Origin) -> Base {
    let base = parse(&typed.value).unwrap_or_else(|error| {
        report.error(&typed.at, error.to_string(), "write https://HOST or https://HOST:PORT");
        Base { tls: true, host: String::new(), port: None }
    });
    if let Err(error) = host::check(&base.host) {
        report.error(&typed.at, error.to_string(), error.fix());
    } else if !base.tls && !is_loopback(&base.host) {
        plain_http(report, &typed.at, raw);
    }
    base
}

/// s3 §6.4: signed headers and private bytes would cross a network in the clear.
fn plain_http(report: &mut Report, at: &At, raw: &raw::Origin) {
    const MESSAGE: &str =
        "http:// to another machine: private objects and session tokens can be read on the way";
    match &raw.allow_plain_http {
        Field::Given(typed) if typed.value => report.warn(at, MESSAGE, "use https:// outside a laboratory"),
        _ => report.error(at, MESSAGE, "use https://, or allow_plain_http = true in a laboratory"),
    }
}

fn regional_host(report: &mut Report, raw: &raw::Origin, service: &str, region: &str) -> String {
    let suffix = host::suffix(region).unwrap_or_else(|| {
        let typed = raw.region.given().or(raw.domain_name.given());
        let environment = || At::without_line("AWS_REGION", "distribution.origin.region");
        let at = typed.map_or_else(environment, |typed| typed.at.clone());
        let message = format!("Region {region:?} is in a partition with names of its own");
        report.error(&at, message, "give endpoint = \"https://…\"");
        "amazonaws.com"
    });
    format!("{service}.{region}.{suffix}")
}

/// Puts the bucket in front of the host, unless it goes into the path. `at`: the `addressing` key.
fn placed(report: &mut Report, at: Option<&At>, base: Base, bucket: &str, path_style: bool) -> Endpoint {
    if let Some(at) = at.filter(|_| !path_style && base.tls && bucket.contains('.')) {
        let message = format!("the certificate of *.{} covers one label, and {bucket:?} has dots", base.host);
        report.error(at, message, "write addressing = \"path\"");
    }
    let host = if path_style { base.host } else { format!("{bucket}.{}", base.host) };
    Endpoint { tls: base.tls, host: Arc::from(host), port: base.port, path_style, regional: false }
}

/// `http[s]://HOST[:PORT][/]`
fn parse(url: &str) -> Result<Base, UrlError> {
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(UrlError::Scheme),
    };
    if rest.contains('@') {
        return Err(UrlError::UserInfo);
    }
    if rest.contains(['?', '#']) {
        return Err(UrlError::Query);
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '\\']) {
        return Err(UrlError::Path);
    }
    let (host, port) = split_port(authority)?;
    let default = if tls { 443 } else { 80 };
    Ok(Base { tls, host: parse_host(host)?, port: port.filter(|port| *port != default) })
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let after_address = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[after_address..].rfind(':').map(|at| after_address + at) else {
        return Ok((authority, None));
    };
    let digits = &authority[colon + 1..];
    let port =
        digits.parse().ok().filter(|port| *port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    Ok((&authority[..colon], Some(port.ok_or(UrlError::Port)?)))
}

fn parse_host(host: &str) -> Result<String, UrlError> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return address.map(|address| format!("[{address}]")).ok_or(UrlError::Host);
    }
    // Underscores are in no DNS host name, but Docker's names have them.
    let named = host.len() <= 253 && host.split('.').all(|label| is_label(&label.replace('_', "x")));
    if named { Ok(host.to_ascii_lowercase()) } else { Err(UrlError::Host) }
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

fn is_address(host: &str) -> bool {
    address(host).is_some()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let base = |tls, host: &str, port| Ok(Base { tls, host: host.to_owned(), port });
        for (url, expected) in [
            ("https://minio.internal", base(true, "minio.internal", None)),
            ("https://Minio.Internal:9000/", base(true, "minio.internal", Some(9000))),
            ("HTTP://127.0.0.1:9000", base(false, "127.0.0.1", Some(9000))),
            ("http://127.0.0.1:80", base(false, "127.0.0.1", None)),
            ("https://[0:0::1]:9000", base(true, "[::1]", Some(9000))),
            ("https://[::1]", base(true, "[::1]", None)),
            ("http://my_minio:9000", base(false, "my_minio", Some(9000))),
            ("minio.internal:9000", Err(UrlError::Scheme)),
            ("s3://bucket", Err(UrlError::Scheme)),
            ("https://user:secret@minio", Err(UrlError::UserInfo)),
            ("https://minio/?x=1", Err(UrlError::Query)),
            ("https://minio/#top", Err(UrlError::Query)),
            ("https://minio/store", Err(UrlError::Path)),
            ("https://minio//", Err(UrlError::Path)),
            ("https://", Err(UrlError::Host)),
            ("https://mi nio", Err(UrlError::Host)),
            ("https://mi..nio", Err(UrlError::Host)),
            ("https://[::1", Err(UrlError::Host)),
            ("https://::1", Err(UrlError::Host)),
            ("https://minio:0", Err(UrlError::Port)),
            ("https://minio:+1", Err(UrlError::Port)),
            ("https://minio:65536", Err(UrlError::Port)),
            ("https://minio:", Err(UrlError::Port)),
            ("https://]é[:1", Err(UrlError::Host)),
        ] {
            assert_eq!(parse(url), expected, "{url}");
        }
    }

    #[test]
    fn loopback_hosts() {
        for (host, expected) in [
            ("localhost", true),
            ("s3.localhost", true),
            ("127.8.9.1", true),
            ("[::1]", true),
            ("10.0.0.1", false),
            ("127.0.0.1.example.com", false),
            ("notlocalhost", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}

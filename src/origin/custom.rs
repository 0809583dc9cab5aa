//! An origin that is not a bucket: what it is sent, and what becomes of its answers (behaviour §4.5, §9.1).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_RANGES, CONNECTION, CONTENT_LENGTH, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, SET_COOKIE, USER_AGENT,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::ServerName;

use super::body::OriginBody;
use super::error::OriginError;
use super::journey::Place;
use super::pool::Pool;
use super::request::{self, Ask, Told};
use super::trust::Trust;
use crate::config::{self, CustomOrigin, Endpoint, OriginProtocolPolicy};
use crate::semantics::hop;

/// Bytes of an error's body that are kept to be passed on; a longer one is replaced by a page of the edge's own.
const MAX_PAGE: usize = 1 << 20;

/// Where a custom origin is asked.
#[derive(Debug)]
pub(super) struct Custom {
    config: CustomOrigin,
    trust: Arc<Trust>,
    http: Arc<Place>,
    https: Arc<Place>,
    /// The same as `https`, under the names that viewers' `Host` has asked for.
    named: Mutex<HashMap<String, Arc<Place>>>,
}

/// Names under which connections are kept at a time. There are more only where any Host is served.
const MOST_NAMES: usize = 64;

/// The origin's own answer of 400 and above, for viewers to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The origin had said how long the body would be.
    pub announced: bool,
}

impl ErrorAnswer {
    /// Bytes in memory.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let fields: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        (fields + self.body.len()) as u64
    }
}

impl Custom {
    pub(super) fn new(config: &CustomOrigin, trust: &Arc<Trust>) -> Result<Self, OriginError> {
        let place = |secure| -> Result<_, OriginError> {
            let endpoint = config.endpoint(secure);
            let pool = Pool::new(&endpoint, trust.config(), config.keepalive_timeout)?;
            Ok(Arc::new(Place { region: Arc::from(""), endpoint, pool }))
        };
        let http = place(false)?;
        // Not every name that can be asked over HTTP can be in a certificate.
        let https = match config.protocol {
            OriginProtocolPolicy::HttpOnly => Arc::clone(&http),
            OriginProtocolPolicy::HttpsOnly | OriginProtocolPolicy::MatchViewer => place(true)?,
        };
        let (config, trust) = (config.clone(), Arc::clone(trust));
        Ok(Self { config, trust, http, https, named: Mutex::default() })
    }

    /// By the policy, or as the viewer came (behaviour §1.5); by TLS under the `Host` that is forwarded (behaviour §3.6).
    pub(super) fn place(&self, ask: &Ask) -> Arc<Place> {
        let secure = match self.config.protocol {
            OriginProtocolPolicy::HttpOnly => false,
            OriginProtocolPolicy::HttpsOnly => true,
            OriginProtocolPolicy::MatchViewer => ask.told.as_ref().is_none_or(|told| told.secure),
        };
        if !secure {
            return Arc::clone(&self.http);
        }
        let host = ask.told.as_ref().and_then(|told| told.host.as_ref()?.to_str().ok());
        let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase());
        name.filter(|name| **name != *self.https.endpoint.host)
            .and_then(|name| self.named(name))
            .unwrap_or_else(|| Arc::clone(&self.https))
    }

    /// `None`: no certificate could be for it.
    fn named(&self, name: String) -> Option<Arc<Place>> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = named.get(&name) {
            return Some(Arc::clone(place));
        }
        let endpoint = self.config.endpoint(true);
        let domain = ServerName::try_from(endpoint.host.to_string()).ok()?;
        let tls = self.trust.either(domain);
        let pool = Pool::under(&endpoint, &tls, &name, self.config.keepalive_timeout).ok()?;
        let place = Arc::new(Place { region: Arc::from(""), endpoint, pool });
        if named.len() >= MOST_NAMES {
            named.clear();
        }
        named.insert(name, Arc::clone(&place));
        Some(place)
    }
}

/// The complete head.
///
/// # Errors
/// [`OriginError::Unsignable`] when the parts do not make an HTTP head.
pub(super) fn head(ask: &Ask, origin: &config::Origin, endpoint: &Endpoint) -> Result<Parts, OriginError> {
    const OURS: [HeaderName; 6] =
        [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    let told = ask.told.as_deref().ok_or(OriginError::Unsignable)?;
    let mut parts = request::bare(&ask.method, target(origin, told)).ok_or(OriginError::Unsignable)?;
    let headers = &mut parts.headers;
    headers.clone_from(&told.headers);
    for name in &OURS {
        for value in ask.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("Amazon CloudFront"));
    headers.insert(CONNECTION, HeaderValue::from_static("Keep-Alive"));
    request::overwrite(headers, &origin.custom_headers);
    let host = match &told.host {
        Some(host) => host.clone(),
        None => HeaderValue::try_from(endpoint.authority()).map_err(|_| OriginError::Unsignable)?,
    };
    headers.insert(HOST, host);
    Ok(parts)
}

/// The origin path and the viewer's own path and query, as they were written (behaviour §1.5).
fn target(origin: &config::Origin, told: &Told) -> String {
    let mut target = format!("{}{}", origin.origin_path, told.path);
    if !told.query.is_empty() {
        target.push('?');
        target.push_str(&told.query);
    }
    target
}

/// Removes what must not travel: hop-by-hop fields, and cookies unless the viewer's went there (behaviour §5.6).
pub(super) fn sanitize(headers: &mut HeaderMap, with_cookies: bool) {
    hop::strip(headers);
    headers.remove(CONTENT_LENGTH); // said anew for what is sent
    if !with_cookies {
        headers.remove(SET_COOKIE);
    }
}

/// An error as the viewer may see it. `None`: its body is too long, or broke off.
pub(super) async fn error_answer(
    mut headers: HeaderMap,
    mut body: OriginBody,
    ask: &Ask,
) -> Option<Arc<ErrorAnswer>> {
    let announced = headers.contains_key(CONTENT_LENGTH);
    sanitize(&mut headers, ask.is_with_cookies());
    headers.remove(ACCEPT_RANGES);
    let mut read = BytesMut::new();
    while let Some(bytes) = body.next().await {
        read.extend_from_slice(&bytes.ok()?);
        if read.len() > MAX_PAGE {
            return None;
        }
    }
    // Copies: a value is a slice of the connection's read buffer.
    let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    let headers = headers.iter().filter_map(|(name, value)| Some((name.clone(), copy(value)?)));
    let mut kept = HeaderMap::new();
    headers.for_each(|(name, value)| {
        kept.append(name, value);
    });
    Some(Arc::new(ErrorAnswer { headers: kept, body: read.freeze(), announced }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::OriginKind;

    fn origin(origin_path: &str, headers: &[(&'static str, &'static str)]) -> config::Origin {
        config::Origin {
            id: "web".into(),
            kind: OriginKind::Custom(CustomOrigin {
                host: "origin.example".into(),
                http_port: 8080,
                https_port: 443,
                protocol: OriginProtocolPolicy::MatchViewer,
                keepalive_timeout: Duration::from_secs(5),
            }),
            origin_path: origin_path.into(),
            custom_headers: map(headers),
            connection_attempts: 3,
            connection_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            response_completion_timeout: None,
        }
    }

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn ask(told: Told) -> Ask {
        Ask { told: Some(Arc::new(told)), ..Ask::get("/a b".to_owned()) }
    }

    fn endpoint(origin: &config::Origin, tls: bool) -> Endpoint {
        match &origin.kind {
            OriginKind::Custom(custom) => custom.endpoint(tls),
            OriginKind::S3(_) => panic!("a custom origin"),
        }
    }

    #[test]
    fn the_path_is_sent_as_it_was_written() {
        let table = [
            ("", "/a%20b", "", "/a%20b"),
            ("/site", "/a%7Eb/../c", "", "/site/a%7Eb/../c"), // behaviour §1.3
            ("/si%20te", "//", "x=1&x=2&&y", "/si%20te//?x=1&x=2&&y"),
        ];
        for (origin_path, path, query, expected) in table {
            let origin = origin(origin_path, &[]);
            let told = Told { path: path.to_owned(), query: query.to_owned(), ..Told::default() };
            let head = head(&ask(told), &origin, &endpoint(&origin, true)).unwrap();
            assert_eq!(head.uri.to_string(), expected);
        }
    }

    #[test]
    fn own_headers_replace_the_viewers() {
        // behaviour §4.5, §4.6
        let origin = origin("", &[("x-secret", "s"), ("accept-encoding", ""), ("origin", "https://own")]);
        let headers = map(&[("origin", "https://viewer"), ("accept-encoding", "gzip")]);
        let mut ask = ask(Told { path: "/".into(), headers, ..Told::default() });
        ask.headers = map(&[("range", "bytes=0-1"), ("x-for-s3", "1")]);
        let head = head(&ask, &origin, &endpoint(&origin, false)).unwrap();
        let expected = map(&[
            ("host", "origin.example:8080"),
            ("user-agent", "Amazon CloudFront"),
            ("connection", "Keep-Alive"),
            ("origin", "https://own"),
            ("x-secret", "s"),
            ("range", "bytes=0-1"),
        ]);
        assert_eq!(head.headers, expected);
    }

    #[test]
    fn the_viewers_host_takes_the_place_of_the_origins() {
        let origin = origin("", &[]);
        let host = Some(HeaderValue::from_static("www.example.com"));
        let head =
            head(&ask(Told { path: "/".into(), host, ..Told::default() }), &origin, &endpoint(&origin, true));
        assert_eq!(head.unwrap().headers[HOST], "www.example.com");
    }

    #[test]
    fn match_viewer_follows_the_viewer() {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let trust = Trust::new(roots).unwrap();
        for (protocol, secure, expected) in [
            (OriginProtocolPolicy::HttpOnly, true, 8080),
            (OriginProtocolPolicy::HttpsOnly, false, 443),
            (OriginProtocolPolicy::MatchViewer, false, 8080),
            (OriginProtocolPolicy::MatchViewer, true, 443),
        ] {
            let OriginKind::Custom(config) = origin("", &[]).kind else { panic!("a custom origin") };
            let custom = Custom::new(&CustomOrigin { protocol, ..config }, &trust).unwrap();
            let ask = ask(Told { secure, ..Told::default() });
            assert_eq!(custom.place(&ask).endpoint.connect_port(), expected, "{protocol:?} {secure}");
        }
    }

    #[test]
    fn cookies_are_for_those_who_sent_theirs() {
        for (with_cookies, expected) in [(true, true), (false, false)] {
            let mut headers = map(&[("set-cookie", "a=b"), ("connection", "x-hop"), ("x-hop", "1")]);
            sanitize(&mut headers, ask(Told { with_cookies, ..Told::default() }).is_with_cookies());
            assert_eq!(headers.contains_key(SET_COOKIE), expected); // behaviour §5.6
            assert!(!headers.contains_key("x-hop"));
        }
    }
}

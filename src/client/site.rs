//! Where a server is, and what it is called there.

use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

/// An endpoint: `https://cdn.example.com`, `http://127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub secure: bool,
    /// What is resolved and connected to; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// What `Host` says, and, without a port, TLS.
    pub authority: String,
    /// Connected to in the place of what `host` resolves to.
    pub address: Option<IpAddr>,
}

/// `HOST:PORT:ADDR`, as curl has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    host: String,
    port: u16,
    address: IpAddr,
}

impl Site {
    /// As `Host` and SNI have it, `name` instead of the name that is connected to.
    ///
    /// # Errors
    /// It is no host name.
    pub fn named(self, name: &str) -> Result<Self, String> {
        let authority: Authority = name.parse().map_err(|_| format!("{name:?} is no host name"))?;
        if authority.host().is_empty() || name.contains('@') {
            return Err(format!("{name:?} is no host name"));
        }
        Ok(Self { authority: authority.as_str().to_owned(), ..self })
    }

    /// At the address that one of `resolves` has for it.
    #[must_use]
    pub fn resolved(self, resolves: &[Resolve]) -> Self {
        let of = resolves
            .iter()
            .find(|of| of.port == self.port && of.host.eq_ignore_ascii_case(&self.host))
            .map(|of| of.address);
        Self { address: of.or(self.address), ..self }
    }

    /// The same host without TLS, at the port that goes with this one: 443 and 80, 8443 and 8080 (interface.md).
    #[must_use]
    pub fn plain(&self) -> Option<Self> {
        let port = match self.port {
            443 => 80,
            8443 => 8080,
            _ => return None,
        };
        let name = self.server_name();
        let authority = if port == 80 { name.to_owned() } else { format!("{name}:{port}") };
        self.secure.then(|| Self { secure: false, port, authority, ..self.clone() })
    }

    /// The name that a certificate is for; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn server_name(&self) -> &str {
        let end = self.authority.rfind(']').map_or(0, |at| at + 1);
        self.authority[end..].rfind(':').map_or(&self.authority, |at| &self.authority[..end + at])
    }

    /// `https://127.0.0.1:8443`: what is connected to, by whatever name it is asked.
    #[must_use]
    pub fn place(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => format!("{scheme}://{host}"),
            (_, port) => format!("{scheme}://{host}:{port}"),
        }
    }

    /// `https://cdn.example.com`: as it is asked.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

impl FromStr for Site {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let no = |why: &str| Err(format!("{why}; write https://HOST[:PORT]"));
        let Ok(uri) = url.parse::<Uri>() else { return no("it is no URL") };
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return no("it begins with neither https:// nor http://"),
        };
        let Some(authority) = uri.authority() else { return no("it has no host") };
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return no("it has no host, or a user");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return no("it has a path: paths are given for themselves");
        }
        let default = if secure { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let authority = if port == default { authority.host() } else { authority.as_str() };
        Ok(Self { secure, host, port, authority: authority.to_ascii_lowercase(), address: None })
    }
}

impl FromStr for Resolve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || {
            let (host, rest) = text.split_once(':')?;
            let (port, address) = rest.split_once(':')?;
            let address = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
            (!host.is_empty()).then_some(Self { host: host.to_owned(), port: port.parse().ok()?, address })
        };
        parts().ok_or_else(|| "write HOST:PORT:ADDRESS".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host() {
        let table = [
            ("https://cdn.example.com", Some((true, "cdn.example.com", 443, "cdn.example.com"))),
            ("https://CDN.example.com:443/", Some((true, "cdn.example.com", 443, "cdn.example.com"))),
            ("http://127.0.0.1:8080", Some((false, "127.0.0.1", 8080, "127.0.0.1:8080"))),
            ("https://[::1]:8443", Some((true, "::1", 8443, "[::1]:8443"))),
            ("http://[::1]", Some((false, "::1", 80, "[::1]"))),
            ("cdn.example.com", None),
            ("ftp://cdn.example.com", None),
            ("https://", None),
            ("https://user@cdn.example.com", None),
            ("https://cdn.example.com/a", None),
            ("https://cdn.example.com/?a", None),
            ("https://cdn example.com", None),
        ];
        for (url, expected) in table {
            let site = url.parse::<Site>().ok();
            let site =
                site.as_ref().map(|site| (site.secure, &*site.host, site.port, site.authority.as_str()));
            assert_eq!(site, expected, "{url}");
        }
    }

    #[test]
    fn a_name_a_plain_sibling_and_an_address_are_derived() {
        let site = |url: &str| url.parse::<Site>().unwrap();
        let named = site("https://127.0.0.1:8443").named("cdn.example.com").unwrap();
        assert_eq!((&*named.host, named.server_name()), ("127.0.0.1", "cdn.example.com"));
        assert_eq!(named.origin(), "https://cdn.example.com");
        assert_eq!(named.place(), "https://127.0.0.1:8443");
        assert_eq!(site("http://[::1]").place(), "http://[::1]");
        assert!(site("https://a").named("b/c").is_err() && site("https://a").named("u@b").is_err());

        for (url, name) in [("https://a", "a"), ("https://a:1", "a"), ("https://[::1]:1", "[::1]")] {
            assert_eq!(site(url).server_name(), name, "{url}");
        }
        for (url, plain) in [
            ("https://a", Some("http://a")),
            ("https://a:8443", Some("http://a:8080")),
            ("https://a:1", None),
            ("http://a:8443", None),
        ] {
            assert_eq!(site(url).plain().map(|plain| plain.origin()).as_deref(), plain, "{url}");
        }

        let resolve = |text: &str| text.parse::<Resolve>();
        let known = [resolve("a:443:127.0.0.1").unwrap(), resolve("A:8443:[::1]").unwrap()];
        for (url, address) in
            [("https://a", Some("127.0.0.1")), ("https://a:8443", Some("::1")), ("http://a", None)]
        {
            let found = site(url).resolved(&known).address.map(|address| address.to_string());
            assert_eq!(found.as_deref(), address, "{url}");
        }
        for wrong in ["a", "a:443", "a:443:b", ":443:127.0.0.1", "a:b:127.0.0.1"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}

//! May this Host be asked for on a connection that was opened for another name (behaviour §3.4)?

use std::sync::Arc;

/// What the handshake said of names. Where it said nothing (no SNI, or the certificate that is made here, which is our
/// default certificate), any Host may be asked for (behaviour §3.3), and there is no such thing.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The name that the viewer asked for.
    sni: Box<str>,
    /// Of the certificates that it may have been shown for it: dNSNames, lower-case.
    names: Vec<Arc<[String]>>,
}

impl Authority {
    #[must_use]
    pub fn new(sni: &str, names: Vec<Arc<[String]>>) -> Self {
        Self { sni: sni.into(), names }
    }

    /// `host` is lower-case and has no port. It is the name of the handshake, or the certificate has it; so a viewer
    /// may ask for several hosts on one connection, as HTTP/2 wants it (RFC 9110 §7.4, RFC 9113 §9.1.1).
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        self.sni.eq_ignore_ascii_case(host)
            || self.names.iter().flat_map(|names| names.iter()).any(|name| is_covered(host, name))
    }
}

/// A star is the whole first label, and stands for one (RFC 9525 §6.3).
fn is_covered(host: &str, name: &str) -> bool {
    match name.strip_prefix('*') {
        Some(suffix) => host.find('.').is_some_and(|dot| dot > 0 && host[dot..] == *suffix),
        None => host == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_handshake_or_one_of_its_certificate() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Arc<[String]>>();
        let certificates = vec![names(&["a.example", "*.b.example"]), names(&["twin.example"])];
        let authority = Authority::new("Sni.Example", certificates);
        // behaviour §3.4
        for (host, expected) in [
            ("sni.example", true),
            ("a.example", true),
            ("x.b.example", true),
            ("twin.example", true),
            ("x.y.b.example", false),
            ("b.example", false),
            (".b.example", false),
            ("c.example", false),
            ("x.a.example", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(authority.covers(host), expected, "{host}");
        }
    }
}

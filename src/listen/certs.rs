//! Certificates: read from PEM files or made here, and chosen by the name that the viewer asks for.

#[cfg(test)]
mod tests;

mod files;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

pub use files::{CertificateError, load};

use crate::clock::{self, Timestamp};

/// The certificates of a listener, and which viewer gets which (behaviour §3.3).
#[derive(Debug)]
pub struct Certificates {
    /// Never empty. The first one is for viewers that ask for no name, or for one that no certificate has.
    all: Vec<Certificate>,
    exact: HashMap<String, Candidates>,
    /// By what follows the star: `.example.com`.
    wildcard: HashMap<String, Candidates>,
    /// The first one, and others with the very same names (an RSA key beside an ECDSA key).
    fallback: Candidates,
}

/// Indices into [`Certificates::all`], those with an ECDSA key first.
type Candidates = Vec<usize>;

/// A chain with its key, and what the leaf says.
#[derive(Debug)]
struct Certificate {
    /// `None`: made here.
    file: Option<PathBuf>,
    key: Arc<CertifiedKey>,
    facts: Facts,
}

/// Of a leaf certificate.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Facts {
    /// dNSNames of the subjectAltName, lower-case, sorted. The common name does not count (behaviour §3.2).
    names: Arc<[String]>,
    /// Seconds since the Unix epoch.
    not_before: i64,
    not_after: i64,
}

/// What is odd about a certificate that is used all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateWarning {
    #[error("{}: has expired; viewers will refuse it until it is renewed", .0.display())]
    Expired(PathBuf),
    #[error("{}: is not valid yet; check this machine's clock", .0.display())]
    NotYetValid(PathBuf),
    #[error(
        "{}: has no dNSName in its subjectAltName, so no viewer's name selects it; have it issued with one",
        .0.display()
    )]
    NoNames(PathBuf),
}

/// A certificate made now, for this machine: ECDSA P-256, valid from yesterday for a year, for `localhost`,
/// 127.0.0.1, ::1 and `names` (those that a certificate can carry).
///
/// # Panics
/// When the system has no randomness to give.
#[must_use]
pub fn self_signed(names: &[String]) -> Certificates {
    let key = KeyPair::generate().expect("the system gives randomness for a P-256 key");
    let certificate =
        params(names, clock::now()).self_signed(&key).expect("a P-256 key signs any certificate");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let certificate = Certificate::new(None, vec![certificate.der().clone()], key);
    Certificates::new(vec![certificate.expect("the key is the one that has just signed")])
}

impl Certificates {
    fn new(all: Vec<Certificate>) -> Self {
        let (mut exact, mut wildcard) = (HashMap::<_, Candidates>::new(), HashMap::<_, Candidates>::new());
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|index| Reverse(all[*index].is_ecdsa()));
        for &index in &order {
            for name in all[index].facts.names.iter() {
                match name.strip_prefix('*') {
                    Some(suffix) => wildcard.entry(suffix.to_owned()).or_default().push(index),
                    None => exact.entry(name.clone()).or_default().push(index),
                }
            }
        }
        order.retain(|index| *index == 0 || all[*index].facts.names == all[0].facts.names);
        Self { all, exact, wildcard, fallback: order }
    }

    /// The very same chains, in the same order. Then the keys are, too: each is that of its leaf.
    #[must_use]
    pub fn are(&self, others: &Self) -> bool {
        let chains = |of: &Self| of.all.iter().map(|one| one.key.cert.clone()).collect::<Vec<_>>();
        chains(self) == chains(others)
    }

    /// Each name that a certificate has, with the second (since the Unix epoch) at which the first certificate
    /// for it expires. A certificate without names goes by its file's path.
    #[must_use]
    pub fn names_and_expiry(&self) -> Vec<(String, i64)> {
        let mut expiry = BTreeMap::new();
        for Certificate { file, facts, .. } in &self.all {
            let unnamed = facts.names.is_empty().then(|| shown(file.as_deref()).display().to_string());
            for name in facts.names.iter().cloned().chain(unnamed) {
                let earliest = expiry.entry(name).or_insert(facts.not_after);
                *earliest = facts.not_after.min(*earliest);
            }
        }
        expiry.into_iter().collect()
    }

    /// What is odd about them now.
    #[must_use]
    pub fn warnings(&self) -> Vec<CertificateWarning> {
        self.warnings_at(clock::now())
    }

    fn warnings_at(&self, now: Timestamp) -> Vec<CertificateWarning> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let mut warnings = Vec::new();
        for Certificate { file, facts, .. } in &self.all {
            let file = || shown(file.as_deref()).to_owned();
            if facts.not_after < now {
                warnings.push(CertificateWarning::Expired(file()));
            } else if facts.not_before > now {
                warnings.push(CertificateWarning::NotYetValid(file()));
            }
            if facts.names.is_empty() {
                warnings.push(CertificateWarning::NoNames(file()));
            }
        }
        warnings
    }

    /// The names of the certificates that are shown to who asks for `name`, apart from those that are shown only because
    /// the viewer's signature schemes leave no other. `None`: it is one that was made here.
    #[must_use]
    pub fn shown_for(&self, name: &str) -> Option<Vec<Arc<[String]>>> {
        let (exact, wildcard) = self.candidates(&name.to_ascii_lowercase());
        let mut shown: Vec<_> = exact.iter().chain(wildcard).collect();
        if shown.is_empty() {
            shown.extend(&self.fallback);
        }
        let shown = shown.into_iter().map(|index| &self.all[*index]);
        shown
            .map(|certificate| certificate.file.as_ref().map(|_| Arc::clone(&certificate.facts.names)))
            .collect()
    }

    /// The certificate with `name` itself, then one with a wildcard for its first label, then the first of all
    /// (behaviour §3.3). Of several, the first whose key can sign in a way that the viewer understands; ECDSA
    /// keys are asked first.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let name = name.map(str::to_ascii_lowercase).unwrap_or_default();
        let (exact, wildcard) = self.candidates(&name);
        let chosen = exact
            .iter()
            .chain(wildcard)
            .chain(&self.fallback)
            .find(|index| self.all[**index].key.key.choose_scheme(schemes).is_some());
        // None fits: rustls says so to the viewer.
        Arc::clone(&self.all[chosen.copied().unwrap_or(0)].key)
    }

    /// Those with `name` itself, and those with a star for its first label. `name` in lower case.
    fn candidates(&self, name: &str) -> (&[usize], &[usize]) {
        // A star stands for one whole label.
        let suffix = name.find('.').filter(|dot| *dot > 0).map_or("", |dot| &name[dot..]);
        let (exact, wildcard) = (self.exact.get(name), self.wildcard.get(suffix));
        (exact.map_or(&[], Vec::as_slice), wildcard.map_or(&[], Vec::as_slice))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name(), hello.signature_schemes()))
    }
}

/// Where warnings and metrics say that a certificate comes from.
fn shown(file: Option<&Path>) -> &Path {
    file.unwrap_or(Path::new("self-signed"))
}

fn params(names: &[String], now: Timestamp) -> CertificateParams {
    let now =
        i64::try_from(now.as_secs()).ok().and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    let now = now.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let local = ["localhost", "127.0.0.1", "::1"].into_iter();
    let mut params = CertificateParams::default();
    params.not_before = now.saturating_sub(Duration::DAY);
    params.not_after = now.saturating_add(Duration::days(365));
    params.distinguished_name.push(DnType::CommonName, "edgeseal self-signed");
    params.subject_alt_names = local.chain(names.iter().map(String::as_str)).filter_map(alt_name).collect();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn alt_name(name: &str) -> Option<SanType> {
    match name.parse() {
        Ok(address) => Some(SanType::IpAddress(address)),
        Err(_) => name.try_into().ok().map(SanType::DnsName),
    }
}

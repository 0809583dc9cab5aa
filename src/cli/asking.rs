//! Flags of the verbs that ask servers as viewers do: `compare` and `warm`. How, and for what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::client::{Protocol, Reach, Resolve, tls};
use crate::compare::list;

/// Bytes of a list as it is on disk.
const LARGEST: u64 = 256 << 20;

/// How servers are reached, and what they are told.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// Believe any certificate
    #[arg(long)]
    insecure: bool,
    /// Believe certificates that lead to one of these as well, PEM
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Connect to ADDR where HOST:PORT is asked, as with curl; may be repeated
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    pub(super) resolve: Vec<Resolve>,
    /// HTTP/1.1 only
    #[arg(long, conflicts_with = "http2")]
    http1: bool,
    /// HTTP/2 only; without TLS HTTP/1.1 is spoken all the same
    #[arg(long)]
    http2: bool,
    /// Seconds for a connection, and for an answer to its last byte
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600), value_name = "SECONDS")]
    timeout: u64,
    /// A field of each request, `Name: value`; may be repeated
    #[arg(long, short = 'H', value_name = "FIELD", value_parser = field)]
    header: Vec<(HeaderName, HeaderValue)>,
}

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Targets {
    /// A list: one URL or path a line, a CloudFront standard log (.gz as well), or a sitemap; may be repeated
    #[arg(long, visible_alias = "log", value_name = "FILE")]
    urls: Vec<PathBuf>,
}

impl Asking {
    /// # Errors
    /// A file that cannot be used, in words.
    pub(super) fn reach(&self) -> Result<Reach, String> {
        let config = if self.insecure {
            tls::trusting()
        } else {
            let mut roots = tls::roots();
            if let Some(path) = &self.cacert {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
                }
            }
            tls::verifying(roots)
        };
        let protocol = match (self.http1, self.http2) {
            (true, _) => Protocol::Http1,
            (_, true) => Protocol::Http2,
            _ => Protocol::Any,
        };
        Ok(Reach::new(config, protocol, Duration::from_secs(self.timeout)))
    }

    /// The fields of every question; a person's beat `usual` ones.
    pub(super) fn fields(&self, usual: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let agent = concat!("edgeseal/", env!("CARGO_PKG_VERSION"));
        for (name, value) in [(header::ACCEPT, "*/*"), (header::USER_AGENT, agent)].iter().chain(usual) {
            fields.insert(name.clone(), HeaderValue::from_static(value));
        }
        for (name, _) in &self.header {
            fields.remove(name);
        }
        for (name, value) in &self.header {
            fields.append(name.clone(), value.clone());
        }
        fields
    }
}

impl Targets {
    /// `paths` first, then the lists, each target once.
    ///
    /// # Errors
    /// A list or a path that cannot be used, in words.
    pub(super) fn read<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a String>,
    ) -> Result<Vec<String>, String> {
        let mut targets = Vec::new();
        for path in paths {
            let target = list::target(path);
            targets.push(
                target.ok_or_else(|| format!("{path:?} is neither a path that begins with / nor a URL"))?,
            );
        }
        for path in &self.urls {
            let bytes = bytes(path).map_err(|error| format!("{}: {error}", path.display()))?;
            targets.extend(list::read(&bytes).map_err(|error| format!("{}: {error}", path.display()))?);
        }
        let mut seen = std::collections::HashSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        Ok(targets)
    }
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(std::io::Error::other("it is larger than 256 MiB"));
    }
    std::fs::read(path)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let words = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|error| words(&error))?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| words(&error))?;
    if found.is_empty() { Err(words(&"there is no certificate in it")) } else { Ok(found) }
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write `Name: value`")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "it is no name of a field")?;
    // Who is asked is --host's business, and a request without a body has no framing.
    if matches!(name, header::HOST | header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION)
    {
        return Err("this field is made here; --host says who is asked".to_owned());
    }
    let value = value.trim().parse().map_err(|_| "it is no value of a field")?;
    Ok((name, value))
}

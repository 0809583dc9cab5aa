//! Reads certificates and keys from PEM files, and says what to do about those that will not do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Certificate, Certificates, Facts};
use crate::config::CertificateFiles;

/// Why a pair of files gives no certificate. Each names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("no certificate is configured; name a certificate and its key")]
    Nothing,
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error(
        "{}: is not PEM (no \"-----BEGIN …-----\" line); convert it, for DER with `openssl x509 -inform der` or \
         `openssl pkey -inform der`",
        .0.display()
    )]
    NotPem(PathBuf),
    #[error("{}: is damaged PEM: {reason}; copy it anew", file.display())]
    DamagedPem { file: PathBuf, reason: String },
    #[error("{}: has no CERTIFICATE section; give the chain, leaf first, and the key in the other file", .0.display())]
    NoCertificate(PathBuf),
    #[error("{}: the first certificate is not one that can be used: {reason}; have it issued anew", file.display())]
    BadCertificate { file: PathBuf, reason: String },
    #[error("{}: has no PRIVATE KEY section; give the key that the certificate was made for", .0.display())]
    NoKey(PathBuf),
    #[error("{}: the key is encrypted; decrypt it with `openssl pkey -in FILE -out NEW`", .0.display())]
    EncryptedKey(PathBuf),
    #[error("{}: the key is not one that can be used: {reason}; use ECDSA P-256 or RSA 2048", file.display())]
    BadKey { file: PathBuf, reason: String },
    #[error(
        "{}: the key is not that of the first certificate in {}; put the leaf first, or give its own key",
        key.display(), cert.display()
    )]
    KeyMismatch { cert: PathBuf, key: PathBuf },
}

/// Reads all of `files`.
///
/// # Errors
/// Everything that is wrong with any of them. An expired certificate is not: see [`Certificates::warnings`].
pub fn load(files: &[CertificateFiles]) -> Result<Certificates, Vec<CertificateError>> {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for files in files {
        match (read_chain(&files.cert), read_key(&files.key)) {
            (Ok(chain), Ok(key)) => match Certificate::new(Some(files), chain, key) {
                Ok(certificate) => all.push(certificate),
                Err(error) => errors.push(error),
            },
            (chain, key) => errors.extend(chain.err().into_iter().chain(key.err())),
        }
    }
    if files.is_empty() {
        errors.push(CertificateError::Nothing);
    }
    if errors.is_empty() { Ok(Certificates::new(all)) } else { Err(errors) }
}

impl Certificate {
    /// `chain` is not empty. `files` is only for errors and warnings.
    pub(super) fn new(
        files: Option<&CertificateFiles>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let (cert_file, key_file) =
            files.map_or_else(Default::default, |files| (files.cert.clone(), files.key.clone()));
        let bad = |reason: String| CertificateError::BadCertificate { file: cert_file.clone(), reason };
        let leaf = chain.first().ok_or_else(|| CertificateError::NoCertificate(cert_file.clone()))?;
        let facts = facts(leaf).map_err(bad)?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|error| {
            CertificateError::BadKey { file: key_file.clone(), reason: error.to_string() }
        })?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(CertificateError::KeyMismatch { cert: cert_file, key: key_file });
            }
            Err(error) => return Err(bad(error.to_string())),
        }
        Ok(Self { file: files.map(|files| files.cert.clone()), key: Arc::new(key), facts })
    }

    pub(super) fn is_ecdsa(&self) -> bool {
        self.key.key.algorithm() == SignatureAlgorithm::ECDSA
    }
}

fn facts(leaf: &CertificateDer<'_>) -> Result<Facts, String> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    let alt = leaf.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = alt.iter().flat_map(|alt| &alt.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    let validity = leaf.validity();
    Ok(Facts {
        names: names.into(),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let pem = read(file)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match chain.map_err(|error| damaged(file, &error))? {
        chain if chain.is_empty() => Err(CertificateError::NoCertificate(file.into())),
        chain => Ok(chain),
    }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let pem = read(file)?;
    // PKCS #8 says it in the section's name, the older forms in a header.
    if contains(&pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(&pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(CertificateError::EncryptedKey(file.into()));
    }
    match PrivateKeyDer::pem_slice_iter(&pem).next() {
        Some(key) => key.map_err(|error| damaged(file, &error)),
        None => Err(CertificateError::NoKey(file.into())),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    let pem = fs::read(file).map_err(|source| CertificateError::Unreadable { file: file.into(), source })?;
    if contains(&pem, b"-----BEGIN ") { Ok(pem) } else { Err(CertificateError::NotPem(file.into())) }
}

/// Says no more than the kind of damage: a parser's words may hold a piece of the key.
fn damaged(file: &Path, error: &rustls::pki_types::pem::Error) -> CertificateError {
    use rustls::pki_types::pem::Error;
    let reason = match error {
        Error::MissingSectionEnd { .. } => "a section does not end",
        Error::IllegalSectionStart { .. } => "a section's first line is malformed",
        Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be parsed",
    };
    CertificateError::DamagedPem { file: file.into(), reason: reason.to_owned() }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

use std::fs;

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
use tempfile::TempDir;

use super::*;
use crate::config::CertificateFiles;

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const RSA: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256];
const BOTH: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256];

const NOW: i64 = 1_800_000_000;
const YEAR: i64 = 365 * 86_400;

/// A self-signed leaf and its key, as PEM.
fn pem(names: &[&str], algorithm: &'static SignatureAlgorithm, validity: (i64, i64)) -> (String, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = OffsetDateTime::from_unix_timestamp(validity.0).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(validity.1).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn ecdsa(names: &[&str]) -> (String, String) {
    pem(names, &PKCS_ECDSA_P256_SHA256, (NOW - YEAR, NOW + YEAR))
}

fn rsa(names: &[&str]) -> (String, String) {
    pem(names, &PKCS_RSA_SHA256, (NOW - YEAR, NOW + YEAR))
}

fn write(folder: &TempDir, pairs: &[(String, String)]) -> Vec<CertificateFiles> {
    let file = |name: String, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let pair = |(n, (cert, key)): (usize, &(String, String))| CertificateFiles {
        cert: file(format!("{n}.crt"), cert),
        key: file(format!("{n}.key"), key),
    };
    pairs.iter().enumerate().map(pair).collect()
}

fn certificates(pairs: &[(String, String)]) -> Certificates {
    load(&write(&tempfile::tempdir().unwrap(), pairs)).unwrap()
}

/// behaviour §3.3.
#[test]
fn the_name_chooses_the_certificate() {
    let certificates = certificates(&[
        ecdsa(&["default.example"]),
        ecdsa(&["*.example.com", "example.com"]),
        ecdsa(&["WWW.example.com"]),
        rsa(&["both.example.com"]),
        ecdsa(&["both.example.com"]),
        rsa(&["default.example"]),
        rsa(&["rsa.example"]),
    ]);
    for (name, schemes, chosen) in [
        (Some("example.com"), BOTH, 1),
        (Some("www.example.com"), BOTH, 2),
        (Some("Www.Example.Com"), BOTH, 2),
        (Some("img.example.com"), BOTH, 1),
        // A star stands for one label, no more, no less.
        (Some("a.img.example.com"), BOTH, 0),
        (Some(".example.com"), BOTH, 0),
        // Several fit: ECDSA if the viewer knows it, else RSA.
        (Some("both.example.com"), BOTH, 4),
        (Some("both.example.com"), ECDSA, 4),
        (Some("both.example.com"), RSA, 3),
        // No other has the name, but this one's key is of no use: better a wrong name than no handshake.
        (Some("rsa.example"), ECDSA, 0),
        (Some("www.example.com"), RSA, 5),
        // The first, or its twin.
        (Some("unknown.example"), BOTH, 0),
        (Some("unknown.example"), RSA, 5),
        (Some("com"), BOTH, 0),
        (None, BOTH, 0),
        (None, RSA, 5),
        (None, &[], 0),
    ] {
        let key = certificates.choose(name, schemes);
        let index = certificates.all.iter().position(|c| Arc::ptr_eq(&c.key, &key)).unwrap();
        assert_eq!(index, chosen, "{name:?} {schemes:?}");
    }
}

/// behaviour §3.4
#[test]
fn the_names_of_what_is_shown() {
    let certificates = certificates(&[
        ecdsa(&["default.example"]),
        ecdsa(&["example.com", "*.example.com"]),
        rsa(&["www.example.com", "other.example"]),
    ]);
    for (asked, names) in [
        ("example.com", &["*.example.com example.com"][..]),
        ("WWW.example.com", &["other.example www.example.com", "*.example.com example.com"]),
        ("unknown.example", &["default.example"]),
    ] {
        let shown = certificates.shown_for(asked).unwrap();
        assert_eq!(shown.iter().map(|names| names.join(" ")).collect::<Vec<_>>(), names, "{asked}");
    }
    assert!(self_signed(&[]).shown_for("localhost").is_none());
}

/// The first is the fallback though an ECDSA one comes after it.
#[test]
fn the_first_is_the_fallback_whatever_its_key() {
    let certificates = certificates(&[rsa(&["one.example"]), ecdsa(&["two.example"])]);
    assert!(Arc::ptr_eq(&certificates.choose(None, BOTH), &certificates.all[0].key));
}

#[test]
fn a_chain_is_sent_whole() {
    let ((leaf, key), (issuer, _)) = (ecdsa(&["one.example"]), ecdsa(&["issuer"]));
    let certificates = certificates(&[(leaf + &issuer, key)]);
    assert_eq!(certificates.all[0].key.cert.len(), 2);
    assert_eq!(*certificates.all[0].facts.names, ["one.example"]);
}

#[test]
fn names_expire_with_their_first_certificate() {
    let until = |names: &[&str], end| pem(names, &PKCS_ECDSA_P256_SHA256, (0, end));
    let folder = tempfile::tempdir().unwrap();
    let files = write(
        &folder,
        &[until(&["b.example", "A.example"], 300), until(&["b.example"], 200), until(&["192.0.2.1"], 100)],
    );
    let mut expected = vec![
        (files[2].cert.display().to_string(), 100),
        ("a.example".to_owned(), 300),
        ("b.example".to_owned(), 200),
    ];
    expected.sort();
    assert_eq!(load(&files).unwrap().names_and_expiry(), expected);
}

#[test]
fn every_fault_is_told_with_its_file_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (good, other) = (ecdsa(&["one.example"]), ecdsa(&["two.example"]));
    let (cert, key) = (&good.0, &good.1);
    let damaged = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    // Certificate, key; files and what is said of them.
    type Case<'c> = (&'c str, &'c str, &'c [(&'c str, &'c str)]);
    let cases: [Case<'_>; 11] = [
        ("\x30\x03", key, &[("0.crt", "is not PEM")]),
        (key, cert, &[("1.crt", "has no CERTIFICATE section"), ("1.key", "has no PRIVATE KEY section")]),
        (damaged, key, &[("2.crt", "is damaged PEM: a section is not base64")]),
        (not_x509, key, &[("3.crt", "is not one that can be used")]),
        (cert, "", &[("4.key", "is not PEM")]),
        (cert, &key[..40], &[("5.key", "is damaged PEM: a section does not end")]),
        (cert, not_key, &[("6.key", "the key is not one that can be used")]),
        (cert, encrypted, &[("7.key", "openssl pkey")]),
        (cert, &other.1, &[("8.key", "put the leaf first")]),
        (cert, key, &[]),
        (&other.0, &other.1, &[]),
    ];
    let pairs = cases.each_ref().map(|(cert, key, _)| ((*cert).to_owned(), (*key).to_owned()));
    let mut files = write(&folder, &pairs);
    files
        .push(CertificateFiles { cert: folder.path().join("none.crt"), key: folder.path().join("none.key") });
    let expected = cases.iter().flat_map(|(_, _, told)| *told).copied();
    let expected: Vec<_> =
        expected.chain([("none.crt", "cannot be read"), ("none.key", "cannot be read")]).collect();
    let errors = load(&files).unwrap_err();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (file, words)) in told.iter().zip(expected) {
        let path = folder.path().join(file).display().to_string();
        assert!(told.starts_with(&path) && told.contains(words), "{file}: {told}");
        // Not even a piece of a key.
        assert!(!key.lines().skip(1).any(|line| line.len() > 10 && told.contains(line)), "{told}");
    }
}

#[test]
fn no_files_are_no_certificates() {
    assert!(matches!(load(&[]).unwrap_err()[..], [CertificateError::Nothing]));
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let at = |names: &[&str], validity| pem(names, &PKCS_ECDSA_P256_SHA256, validity);
    let files = write(
        &folder,
        &[
            at(&["a.example"], (NOW - YEAR, NOW)),
            at(&["b.example"], (NOW - YEAR, NOW - 1)),
            at(&["c.example"], (NOW + 1, NOW + YEAR)),
            at(&["192.0.2.1"], (NOW, NOW + YEAR)),
        ],
    );
    let warnings = load(&files).unwrap().warnings_at(Timestamp::from_secs(NOW as u64));
    let file = |n: usize| files[n].cert.clone();
    assert_eq!(
        warnings,
        [
            CertificateWarning::Expired(file(1)),
            CertificateWarning::NotYetValid(file(2)),
            CertificateWarning::NoNames(file(3)),
        ]
    );
}

#[test]
fn a_self_signed_certificate_has_the_names_and_a_year() {
    let before = clock::now().as_secs() as i64;
    let names = ["*.Example.com", "192.0.2.1", "b\u{fc}cher.example"].map(str::to_owned);
    let certificates = self_signed(&names);
    let after = clock::now().as_secs() as i64;
    assert_eq!(certificates.warnings(), []);
    let expiry = certificates.names_and_expiry();
    let expires = expiry[0].1;
    assert!((before + YEAR..=after + YEAR).contains(&expires), "{expires}");
    assert_eq!(expiry, [("*.example.com".to_owned(), expires), ("localhost".to_owned(), expires)]);
    assert!(certificates.all[0].is_ecdsa());
    let params = params(&names, clock::now());
    let addresses = params.subject_alt_names.iter().filter_map(|name| match name {
        SanType::IpAddress(address) => Some(address.to_string()),
        _ => None,
    });
    assert_eq!(addresses.collect::<Vec<_>>(), ["127.0.0.1", "::1", "192.0.2.1"]);
}

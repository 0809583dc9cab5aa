//! Real handshakes, in memory.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme};

use super::*;
use crate::listen::certs::self_signed;

/// Takes any certificate, but only with a signature made by its key.
#[derive(Debug)]
struct AnyName(CryptoProvider);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn client(versions: &[&'static SupportedProtocolVersion], suites: &[SupportedCipherSuite]) -> ClientConfig {
    let provider = CryptoProvider { cipher_suites: suites.to_vec(), ..aws_lc_rs::default_provider() };
    ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName(provider)))
        .with_no_client_auth()
}

fn modern() -> ClientConfig {
    client(&[&TLS13, &TLS12], aws_lc_rs::ALL_CIPHER_SUITES)
}

/// Both ends after the handshake and what follows it (tickets); or the server's error.
fn handshake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &'static str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name.try_into().unwrap()).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

fn server(policy: SecurityPolicy) -> Arc<ServerConfig> {
    server_config(Arc::new(self_signed(&[])), policy, true)
}

const POLICIES: [SecurityPolicy; 3] =
    [SecurityPolicy::Tls12_2021, SecurityPolicy::Tls12_2025, SecurityPolicy::Tls13_2025];

/// behaviour §3.1: which of the three policies has what, TLS 1.2 with an ECDSA key.
#[test]
fn a_policy_decides_version_and_suite() {
    let only_12: &[&SupportedProtocolVersion] = &[&TLS12];
    let servers = POLICIES.map(server);
    for (versions, suite, allowed, word) in [
        (ONLY_13, suite::TLS13_AES_128_GCM_SHA256, [true; 3], "TLS_AES_128_GCM_SHA256"),
        (ONLY_13, suite::TLS13_AES_256_GCM_SHA384, [true; 3], "TLS_AES_256_GCM_SHA384"),
        (ONLY_13, suite::TLS13_CHACHA20_POLY1305_SHA256, [true, true, false], "TLS_CHACHA20_POLY1305_SHA256"),
        (
            only_12,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            [true, true, false],
            "ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        (
            only_12,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            [true, true, false],
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
        (
            only_12,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            [true, false, false],
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
    ] {
        let client = Arc::new(client(versions, &[suite]));
        let protocol = if versions == ONLY_13 { "TLSv1.3" } else { "TLSv1.2" };
        for ((server, policy), allowed) in servers.iter().zip(POLICIES).zip(allowed) {
            let settled = handshake(server, &client, "localhost").ok().map(|(_, server)| facts(&server));
            let expected = allowed.then_some(TlsFacts { protocol, cipher: word });
            assert_eq!(settled, expected, "{policy:?} {suite:?}");
        }
    }
}

#[test]
fn tls_1_2_is_refused_under_tls_1_3_2025() {
    let old = Arc::new(client(&[&TLS12], aws_lc_rs::ALL_CIPHER_SUITES));
    let error = handshake(&server(SecurityPolicy::Tls13_2025), &old, "localhost").unwrap_err();
    assert!(matches!(error, Error::PeerIncompatible(_)), "{error:?}");
}

/// The order is the server's (behaviour §3.1): a client that likes AES-256 best gets AES-128.
#[test]
fn the_servers_order_counts() {
    let likes_256 = [suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_AES_128_GCM_SHA256];
    let client = Arc::new(client(ONLY_13, &likes_256));
    for policy in POLICIES {
        let (_, server) = handshake(&server(policy), &client, "localhost").unwrap();
        assert_eq!(facts(&server).cipher, "TLS_AES_128_GCM_SHA256");
    }
}

#[test]
fn every_suite_that_is_offered_has_a_word() {
    for suite in POLICIES.into_iter().flat_map(|policy| offer(policy).1) {
        assert!(cipher(suite.suite()).is_some(), "{suite:?}");
    }
}

#[test]
fn facts_wait_for_the_handshake() {
    let unsettled = facts(&ServerConnection::new(server(SecurityPolicy::default())).unwrap());
    assert_eq!((unsettled.protocol, unsettled.cipher), ("-", "-"));
}

#[test]
fn http_2_is_preferred_then_http_1_1_and_nothing_else_is_spoken() {
    let server = server(SecurityPolicy::default());
    for (offered, spoken) in [
        (&["http/1.1", "h2"][..], Ok(Some("h2"))),
        (&["http/1.1"], Ok(Some("http/1.1"))),
        (&[], Ok(None)),
        (&["spdy/3"], Err(Error::NoApplicationProtocol)),
    ] {
        let mut client = modern();
        client.alpn_protocols = offered.iter().map(|p| p.as_bytes().to_vec()).collect();
        let settled = handshake(&server, &Arc::new(client), "localhost");
        match (settled, spoken) {
            (Ok((_, server)), Ok(spoken)) => {
                assert_eq!(server.alpn_protocol(), spoken.map(str::as_bytes), "{offered:?}");
            }
            (Err(error), Err(expected)) => assert_eq!(error, expected),
            (settled, _) => panic!("{offered:?}: {:?}", settled.err()),
        }
    }
}

#[test]
fn the_handshake_brings_the_certificate_of_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |n: usize, names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let files = crate::config::CertificateFiles {
            cert: folder.path().join(format!("{n}.crt")),
            key: folder.path().join(format!("{n}.key")),
        };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.der().clone())
    };
    let (files, certs): (Vec<_>, Vec<_>) =
        [pair(0, &["default.example"]), pair(1, &["*.example.com"]), pair(2, &["www.example.com"])]
            .into_iter()
            .unzip();
    let server =
        server_config(Arc::new(crate::listen::certs::load(&files).unwrap()), SecurityPolicy::default(), true);
    let client = Arc::new(modern());
    for (name, expected) in
        [("www.example.com", 2), ("img.example.com", 1), ("unknown.example", 0), ("192.0.2.1", 0)]
    {
        let (client, _) = handshake(&server, &client, name).unwrap();
        assert_eq!(client.peer_certificates(), Some(&certs[expected..=expected]), "{name}");
    }
}

/// What `curl --cacert` does: the certificate is its own root.
#[test]
fn a_self_signed_certificate_can_be_trusted() {
    let certificates = Arc::new(self_signed(&["www.example.com".to_owned()]));
    let server = server_config(certificates, SecurityPolicy::default(), true);
    let (first, _) = handshake(&server, &Arc::new(modern()), "localhost").unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(first.peer_certificates().unwrap()[0].clone()).unwrap();
    let strict = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let strict = Arc::new(strict);
    for (name, trusted) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("www.example.com", true),
        ("example.com", false),
    ] {
        assert_eq!(handshake(&server, &strict, name).is_ok(), trusted, "{name}");
    }
}

/// One ticket, and it resumes, in either version.
#[test]
fn a_ticket_resumes_a_session() {
    let server = server(SecurityPolicy::Tls12_2021);
    for versions in [ONLY_13, &[&TLS12]] {
        let client = Arc::new(client(versions, aws_lc_rs::ALL_CIPHER_SUITES));
        let (first, _) = handshake(&server, &client, "localhost").unwrap();
        let (second, _) = handshake(&server, &client, "localhost").unwrap();
        assert!(matches!(first.handshake_kind(), Some(HandshakeKind::Full)), "{versions:?}");
        assert!(matches!(second.handshake_kind(), Some(HandshakeKind::Resumed)), "{versions:?}");
        if versions == ONLY_13 {
            assert_eq!(first.tls13_tickets_received(), 1);
        }
    }
}

/// Post-quantum wherever the viewer can, and classical with those that cannot.
#[test]
fn the_key_exchange_is_hybrid_if_the_viewer_knows_one() {
    use rustls::NamedGroup::{X25519, X25519MLKEM768, secp256r1, secp384r1};
    let all: &[&dyn SupportedKxGroup] = &[kx_group::X25519MLKEM768, kx_group::X25519];
    let cases: [(&[&dyn SupportedKxGroup], _); 5] = [
        (aws_lc_rs::DEFAULT_KX_GROUPS, X25519MLKEM768),
        (all, X25519MLKEM768),
        (&[kx_group::X25519], X25519),
        (&[kx_group::SECP256R1], secp256r1),
        (&[kx_group::SECP384R1], secp384r1),
    ];
    for policy in POLICIES {
        let server = server(policy);
        for (groups, expected) in cases {
            let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
            let client = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName(provider)))
                .with_no_client_auth();
            let (_, settled) = handshake(&server, &Arc::new(client), "localhost").unwrap();
            let group = settled.negotiated_key_exchange_group().unwrap().name();
            assert_eq!(group, expected, "{policy:?} {groups:?}");
        }
    }
}

/// Which of two certificates for one name: also the suites of TLS 1.2 say what a viewer can verify.
#[test]
fn ecdsa_is_shown_to_whom_it_suits_and_rsa_to_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |kind: &str, algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let made = rcgen::CertificateParams::new(["www.example.com".to_owned()]).unwrap();
        let files = crate::config::CertificateFiles {
            cert: folder.path().join(format!("{kind}.crt")),
            key: folder.path().join(format!("{kind}.key")),
        };
        std::fs::write(&files.cert, made.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    };
    let files = [pair("rsa", &rcgen::PKCS_RSA_SHA256), pair("ecdsa", &rcgen::PKCS_ECDSA_P256_SHA256)];
    let certificates = Arc::new(crate::listen::certs::load(&files).unwrap());
    let server = server_config(certificates, SecurityPolicy::default(), true);
    let only_12: &[&SupportedProtocolVersion] = &[&TLS12];
    let rsa = [suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    for (versions, suites, cipher) in [
        (only_12, aws_lc_rs::ALL_CIPHER_SUITES, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (only_12, &rsa, "ECDHE-RSA-AES128-GCM-SHA256"),
    ] {
        let (_, settled) =
            handshake(&server, &Arc::new(client(versions, suites)), "www.example.com").unwrap();
        assert_eq!(facts(&settled).cipher, cipher);
    }
}

//! TLS towards viewers: CloudFront's security policies in rustls's terms (behaviour §3.1).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite as suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ProtocolVersion, ServerConfig, ServerConnection, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use super::certs::Certificates;
use crate::config::SecurityPolicy;
use crate::observe::record::TlsFacts;

/// Builds what a listener needs: make it once and share it, for session tickets are good only with the
/// configuration that issued them.
///
/// # Panics
/// When the system has no randomness to give.
#[must_use]
pub fn server_config(
    certificates: Arc<Certificates>,
    policy: SecurityPolicy,
    http2: bool,
) -> Arc<ServerConfig> {
    let (versions, suites) = offer(policy);
    let provider = CryptoProvider {
        cipher_suites: suites.to_vec(),
        kx_groups: GROUPS.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("every policy has a suite for each of its versions")
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    // The table of §3.1 is the server's order among what the viewer offers.
    config.ignore_client_order = true;
    let h2 = http2.then(|| b"h2".to_vec());
    config.alpn_protocols = h2.into_iter().chain([b"http/1.1".to_vec()]).collect();
    // Resumption without state: the ticket carries it all, under keys that rotate.
    config.ticketer = Ticketer::new().expect("the system gives randomness for ticket keys");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Arc::new(config)
}

/// What the handshake settled, in the access log's words (behaviour §12.8 fields 21, 22); `-` before it has.
#[must_use]
pub fn facts(connection: &ServerConnection) -> TlsFacts {
    let protocol = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "-",
    };
    let suite = connection.negotiated_cipher_suite();
    TlsFacts { protocol, cipher: suite.and_then(|suite| cipher(suite.suite())).unwrap_or("-") }
}

/// OpenSSL's names for TLS 1.2, as CloudFront writes them.
pub(super) fn cipher(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

/// Versions, and suites in the order of behaviour §3.1's table. Its note (1), whether TLSv1.3_2025 has ChaCha20,
/// is open; the table says no.
fn offer(
    policy: SecurityPolicy,
) -> (&'static [&'static SupportedProtocolVersion], &'static [SupportedCipherSuite]) {
    match policy {
        SecurityPolicy::Tls12_2021 => (BOTH, TLS12_2021),
        SecurityPolicy::Tls12_2025 => (BOTH, TLS12_2025),
        SecurityPolicy::Tls13_2025 => (ONLY_13, TLS13_2025),
    }
}

static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];

static TLS12_2021: &[SupportedCipherSuite] = &[
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

static TLS12_2025: &[SupportedCipherSuite] = &[
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

static TLS13_2025: &[SupportedCipherSuite] =
    &[suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_AES_256_GCM_SHA384];

/// Both hybrids and the three classical groups of behaviour §3.1; the order is ours, hybrids first.
static GROUPS: &[&dyn SupportedKxGroup] = &[
    kx_group::X25519MLKEM768,
    kx_group::SECP256R1MLKEM768,
    kx_group::X25519,
    kx_group::SECP256R1,
    kx_group::SECP384R1,
];

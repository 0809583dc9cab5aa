//! What HTTP/3 offers in a handshake, and to whom: to viewers that name a distribution which has switched it on
//! (behaviour §2.3).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig};

use crate::config::{Config, SecurityPolicy};
use crate::listen::certs::Certificates;
use crate::listen::connection::{IDLE, PING, STREAMS};
use crate::listen::tickets::TicketKeys;
use crate::listen::tls;
use crate::observe::record::TlsFacts;
use crate::pipeline::tx::Secured;
use crate::policy::authority::Authority;
use crate::route::Hosts;

/// A viewer's control stream, QPACK's two, and room for those that mean nothing (RFC 9114 §6.2.3).
const UNIDIRECTIONAL: u32 = 8;
/// Bytes of one upload, and of all of a connection's, that may wait here.
const STREAM_WINDOW: u32 = 1 << 20;
const WINDOW: u32 = 4 << 20;
/// Bytes under way to one viewer, most of them references to what the cache holds: 40 MB/s at 100 ms.
const SEND_WINDOW: u64 = 4 << 20;
/// Sessions that are kept for viewers who may be early, a few hundred bytes each; the oldest makes way.
const SESSIONS: usize = 32 << 10;

/// One for the whole process.
#[derive(Clone)]
pub(in crate::listen) struct Offer {
    tls: Arc<ServerConfig>,
    quic: quinn::ServerConfig,
    names: Arc<Hosts<()>>,
    certificates: Arc<Certificates>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Offer {
    /// `None`: no distribution has switched HTTP/3 on. `keys`: seal its tickets, for HTTP/3 alone, unless viewers may be early.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    #[must_use]
    pub(in crate::listen) fn new(
        certificates: &Arc<Certificates>,
        config: &Config,
        keys: Option<&TicketKeys>,
    ) -> Option<Self> {
        let mut names = Hosts::new();
        let mut policies = Vec::new();
        for distribution in config.distributions.iter().filter(|distribution| distribution.http3) {
            policies
                .push(distribution.minimum_protocol_version.unwrap_or(config.tls.minimum_protocol_version));
            for name in distribution.aliases.iter().chain(&distribution.domain_name) {
                names.insert(name, ());
            }
            if distribution.aliases.is_empty() && config.distributions.len() == 1 {
                names.set_any(());
            }
        }
        // QUIC is always TLS 1.3, and the name is read after the offer is made: what all of them allow.
        let strict = policies.iter().find(|policy| **policy == SecurityPolicy::Tls13_2025);
        let policy = *strict.or(policies.first())?;
        let mut tls = ServerConfig::clone(&tls::server_config(Arc::clone(certificates), policy, false));
        tls.alpn_protocols = vec![b"h3".to_vec()];
        if config.tls.early_data {
            accept_early_data(&mut tls);
        } else if let Some(keys) = keys {
            tls.ticketer = keys.ticketer(&format!("{} http3", policy.as_str()));
        }
        let crypto =
            QuicServerConfig::try_from(tls.clone()).expect("each policy has AES-128-GCM with SHA-256");
        let mut quic = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        quic.transport_config(Arc::new(transport()));
        let certificates = Arc::clone(certificates);
        Some(Self { tls: Arc::new(tls), quic, names: Arc::new(names), certificates })
    }

    /// For the endpoint, which proves addresses with it.
    pub(super) fn quic(&self) -> quinn::ServerConfig {
        self.quic.clone()
    }

    /// For one handshake, and what will be known of it: quinn does not tell.
    pub(super) fn admit(&self) -> (Arc<quinn::ServerConfig>, Arc<Noted>) {
        let noted = Arc::new(Noted { early: self.tls.max_early_data_size > 0, ..Noted::default() });
        let mut tls = ServerConfig::clone(&self.tls);
        tls.cert_resolver = Arc::new(Resolver { offer: self.clone(), noted: Arc::clone(&noted) });
        tls.ticketer = Arc::new(Ticketer { of_all: Arc::clone(&tls.ticketer), noted: Arc::clone(&noted) });
        tls.session_storage =
            Arc::new(Sessions { of_all: Arc::clone(&tls.session_storage), noted: Arc::clone(&noted) });
        let mut quic = self.quic.clone();
        quic.crypto = Arc::new(QuicServerConfig::try_from(tls).expect("it was made from the same before"));
        (Arc::new(quic), noted)
    }

    /// What a finished handshake has settled.
    pub(super) fn settled(&self, connection: &quinn::Connection, noted: &Noted) -> Secured {
        let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        let authority = data.and_then(|data| data.server_name).and_then(|name| {
            let names = self.certificates.shown_for(&name)?;
            Some(Authority::new(&name, names))
        });
        let suite = noted.suite.get().and_then(|suite| tls::cipher(*suite));
        Secured {
            facts: TlsFacts { protocol: "TLSv1.3", cipher: suite.unwrap_or("-") },
            resumed: noted.is_resumed(),
            authority,
        }
    }
}

/// rustls takes early data only of sessions that it keeps and gives out once, so that nothing is taken twice (RFC 8446 §8.1).
/// No session outlives the process, so our settings and QUIC's parameters are those that the viewer remembers (RFC 9114
/// §7.2.4.2, RFC 9000 §7.4.1).
fn accept_early_data(tls: &mut ServerConfig) {
    tls.max_early_data_size = u32::MAX; // as QUIC wants it: RFC 9001 §4.6.1
    tls.ticketer = Arc::new(NoTickets);
    tls.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    // Each is good once, and a viewer may come back with two connections.
    tls.send_tls13_tickets = 2;
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(IDLE).expect("a minute is few milliseconds");
    transport
        .max_concurrent_bidi_streams(STREAMS.into())
        .max_concurrent_uni_streams(UNIDIRECTIONAL.into())
        .max_idle_timeout(Some(idle))
        // So that an answer may take longer than that.
        .keep_alive_interval(Some(Duration::min(PING, IDLE / 2)))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None);
    transport
}

/// What one handshake has come to.
#[derive(Debug, Default)]
pub(super) struct Noted {
    suite: OnceLock<CipherSuite>,
    resumed: OnceLock<()>,
    early: bool,
}

impl Noted {
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed.get().is_some()
    }

    /// A viewer who comes back may ask before the handshake is over.
    pub(super) fn may_be_early(&self) -> bool {
        self.early
    }
}

/// Refuses viewers that name no distribution with HTTP/3.
#[derive(Debug)]
struct Resolver {
    offer: Offer,
    noted: Arc<Noted>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase).unwrap_or_default();
        self.offer.names.find(&name)?;
        // The server's order counts, as `tls::server_config` has it.
        let ours =
            self.offer.tls.crypto_provider().cipher_suites.iter().filter(|suite| suite.tls13().is_some());
        let chosen = ours.map(|suite| suite.suite()).find(|suite| hello.cipher_suites().contains(suite));
        if let Some(suite) = chosen {
            // Asked twice, if the viewer's first key share does not suit: the suite stays.
            let _ = self.noted.suite.set(suite);
        }
        self.offer.certificates.resolve(hello)
    }
}

/// Notes when a ticket is taken.
#[derive(Debug)]
struct Ticketer {
    of_all: Arc<dyn ProducesTickets>,
    noted: Arc<Noted>,
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        self.of_all.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.of_all.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.of_all.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let plain = self.of_all.decrypt(cipher)?;
        let _ = self.noted.resumed.set(());
        Some(plain)
    }
}

/// Notes when a session is taken up.
#[derive(Debug)]
struct Sessions {
    of_all: Arc<dyn StoresServerSessions>,
    noted: Arc<Noted>,
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.of_all.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.of_all.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let session = self.of_all.take(key)?;
        let _ = self.noted.resumed.set(());
        Some(session)
    }

    fn can_cache(&self) -> bool {
        self.of_all.can_cache()
    }
}

/// Sessions are kept, not sealed.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

//! Whose security policy does a handshake get? That of the distribution which its SNI names (behaviour §3.1).

use std::io;
use std::sync::Arc;

use rustls::server::Acceptor;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::certs::Certificates;
use super::tickets::TicketKeys;
use super::{h3, tls};
use crate::config::{Config, Distribution, SecurityPolicy};
use crate::pipeline::tx::Secured;
use crate::policy::authority::Authority;
use crate::route::Hosts;

/// What a listener offers, and to whom.
#[derive(Debug, Clone)]
pub struct Handshakes {
    /// For viewers that name no distribution.
    own: Arc<ServerConfig>,
    /// By the name in the handshake. `None`: everybody is offered the same, and nobody looks at the name first.
    by_name: Option<Arc<Hosts<Arc<ServerConfig>>>>,
    certificates: Arc<Certificates>,
    /// Shared, for all of this is copied for each connection.
    http3: Option<Arc<h3::Offer>>,
}

impl Handshakes {
    /// One offer for each policy that is in use, with HTTP/2 or without; none of their tickets is good with another, as none of their names is.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    #[must_use]
    pub fn new(certificates: &Arc<Certificates>, config: &Config) -> Self {
        Self::sharing(certificates, config, None)
    }

    /// The same, with tickets that are sealed under `keys`, if there are some: then any edge with these keys takes them, for
    /// the same policy.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    #[must_use]
    pub fn sharing(certificates: &Arc<Certificates>, config: &Config, keys: Option<&TicketKeys>) -> Self {
        let listener = config.tls.minimum_protocol_version;
        let wish = |distribution: &Distribution| {
            (distribution.minimum_protocol_version.unwrap_or(listener), distribution.http2)
        };
        let own = match config.distributions.as_slice() {
            // It answers to every name, and to none.
            [any] if any.aliases.is_empty() => wish(any),
            _ => (listener, true),
        };
        let mut offers: Vec<((SecurityPolicy, bool), Arc<ServerConfig>)> = Vec::new();
        let mut offer = |wish: (SecurityPolicy, bool)| match offers.iter().find(|(of, _)| *of == wish) {
            Some((_, offer)) => Arc::clone(offer),
            None => {
                let mut offer = tls::server_config(Arc::clone(certificates), wish.0, wish.1);
                if let Some(keys) = keys {
                    let purpose = format!("{} http2={}", wish.0.as_str(), wish.1);
                    Arc::make_mut(&mut offer).ticketer = keys.ticketer(&purpose);
                }
                offers.push((wish, Arc::clone(&offer)));
                offer
            }
        };
        let own = offer(own);
        let mut by_name = Hosts::new();
        for distribution in &config.distributions {
            let offer = offer(wish(distribution));
            for name in distribution.aliases.iter().chain(&distribution.domain_name) {
                by_name.insert(name, Arc::clone(&offer));
            }
        }
        let by_name = (offers.len() > 1).then(|| Arc::new(by_name));
        let http3 = h3::Offer::new(certificates, config, keys).map(Arc::new);
        Self { own, by_name, certificates: Arc::clone(certificates), http3 }
    }

    /// `None`: nobody is offered HTTP/3.
    pub(super) fn http3(&self) -> Option<&h3::Offer> {
        self.http3.as_deref()
    }

    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(by_name) = &self.by_name else {
            return TlsAcceptor::from(Arc::clone(&self.own)).accept(stream).await;
        };
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let name = begun.client_hello().server_name().map(str::to_ascii_lowercase);
        let offer = name.and_then(|name| by_name.find(&name)).unwrap_or(&self.own);
        begun.into_stream(Arc::clone(offer)).await
    }

    /// What a finished handshake has settled.
    pub(super) fn settled(&self, session: &ServerConnection) -> Secured {
        let authority = session.server_name().and_then(|name| {
            let names = self.certificates.shown_for(name)?;
            Some(Authority::new(name, names))
        });
        Secured {
            facts: tls::facts(session),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            authority,
        }
    }
}

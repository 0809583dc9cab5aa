//! The first origin, and after it the second (behaviour §8.8). Nothing is remembered between requests.

use http::StatusCode;

use super::Route;
use crate::origin::error::OriginError;
use crate::origin::{Ask, OriginResponse, request};
use crate::policy::failover;

impl Route {
    /// As [`Self::fetch`], for one viewer: an origin that does not want to be asked before the viewer's handshake is over is
    /// asked again when it is (RFC 8470 §5.2).
    ///
    /// # Errors
    /// The failure of whoever was asked last.
    pub(super) async fn fetch_in_time(&self, ask: &Ask) -> Result<OriginResponse, OriginError> {
        match self.fetch(ask).await {
            Err(failure) => match in_time(ask, &failure).await {
                Some(ask) => self.fetch(&ask).await,
                None => Err(failure),
            },
            answered => answered,
        }
    }

    /// The same once the viewer's handshake is over, if that is what was wrong.
    pub(super) async fn in_time(&self, failure: &OriginError) -> Option<Self> {
        Some(Self { ask: in_time(&self.ask, failure).await?, ..self.clone() })
    }

    /// Asks the origin; if it fails in a way that the behaviour's group names, asks the next, whose answer is final.
    ///
    /// # Errors
    /// The failure of whoever was asked last.
    pub(super) async fn fetch(&self, ask: &Ask) -> Result<OriginResponse, OriginError> {
        let failure = match self.origin.fetch(ask).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        let next = failover::next(&self.behavior, &ask.method, &failure).map(|next| &self.site.origins[next]);
        // The same path may name no key under the other's origin path.
        match next.filter(|next| request::check(&ask.path, next.config()).is_ok()) {
            Some(next) => {
                tracing::debug!(origin = %self.origin.label(), next = %next.label(), %failure, "failover");
                next.fetch(ask).await
            }
            None => Err(failure),
        }
    }
}

/// Waits until `ask` may be asked, if it came too early.
async fn in_time(ask: &Ask, failure: &OriginError) -> Option<Ask> {
    let early = ask.early.as_ref().filter(|_| failure.status() == StatusCode::TOO_EARLY)?;
    early.over().await.then(|| ask.no_longer_early())
}

//! The first origin, and after it the second (behaviour §8.8). Nothing is remembered between requests.

use http::StatusCode;

use super::Route;
use crate::origin::error::OriginError;
use crate::origin::{Ask, OriginResponse, request};
use crate::policy::failover;

impl Route {
    /// Asks the origin; if it fails in a way that the behaviour's group names, asks the next, whose answer is final. Who does
    /// not want to be asked before the viewer's handshake is over, is asked again when it is (RFC 8470 §5.2).
    ///
    /// # Errors
    /// The failure of whoever was asked last.
    pub(super) async fn fetch(&self, ask: &Ask) -> Result<OriginResponse, OriginError> {
        match (self.fetch_now(ask).await, &ask.early) {
            (Err(failure), Some(early)) if failure.status() == StatusCode::TOO_EARLY => {
                if early.over().await {
                    return self.fetch_now(&ask.no_longer_early()).await;
                }
                Err(failure)
            }
            (outcome, _) => outcome,
        }
    }

    async fn fetch_now(&self, ask: &Ask) -> Result<OriginResponse, OriginError> {
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

//! The behaviour's response headers policy, put on one response (behaviour §9.2, §9.7).

use std::sync::Arc;

use http::request::Parts;
use http::{StatusCode, response};

use super::Answer;
use super::tx::Transaction;
use crate::config::response_headers::{ResponseHeadersPolicy, SamplingRate};
use crate::edge::Edge;
use crate::error::Refusal;
use crate::observe::record::ResultType;
use crate::origin::error::OriginError;
use crate::policy::response_headers::server_timing::{self, Facts, Source};
use crate::policy::response_headers::{self, Asked, Maker};

/// A policy, and for whom and for whose response it is.
pub(super) struct Dress<'a> {
    pub(super) policy: Arc<ResponseHeadersPolicy>,
    pub(super) maker: Maker,
    pub(super) asked: &'a Parts,
}

/// Whose response this will be. What S3 refuses is S3's, unless it is the edge's own fault and told as such.
pub(super) fn maker(outcome: &Result<Answer, Refusal>) -> Maker {
    match outcome {
        Ok(answer) if answer.result == ResultType::Redirect => Maker::Edge,
        Ok(answer) if answer.response.status() == StatusCode::NOT_MODIFIED => Maker::OriginUnchanged,
        Ok(_) => Maker::Origin,
        Err(refusal) => match refusal.origin() {
            Some(OriginError::Refused { status, .. }) if refusal.status().as_u16() == *status => {
                Maker::Origin
            }
            _ => Maker::Edge,
        },
    }
}

impl Dress<'_> {
    /// What the origin took comes as an extension of the response, of a miss only.
    pub(super) fn put_on(
        &self,
        edge: &Edge,
        tx: &Transaction,
        result: ResultType,
        response: &mut response::Parts,
    ) {
        let response::Parts { headers, extensions, .. } = response;
        let asked = Asked { method: &self.asked.method, headers: &self.asked.headers };
        response_headers::apply(&self.policy, asked, self.maker, headers);
        if let Some(rate) = self.policy.server_timing
            && server_timing::wanted(rate, &self.asked.headers, fastrand::u32(..SamplingRate::ALL))
        {
            let source = match result {
                ResultType::Hit => Source::Cache,
                ResultType::RefreshHit => Source::Confirmed,
                ResultType::Miss => Source::Origin,
                ResultType::Redirect | ResultType::Error => Source::Edge,
            };
            let facts = Facts {
                source,
                upstream: extensions.get().copied(),
                pop: &edge.identity.pop,
                request_id: tx.request_id(),
                first_byte: tx.elapsed(),
            };
            server_timing::set(&facts, headers);
        }
    }
}

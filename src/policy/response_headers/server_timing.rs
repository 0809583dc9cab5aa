//! Does this response get a `Server-Timing`, and what does it say (behaviour §9.7)?
//!
//! There is one layer, `EDGE`. What the origin took is said by a miss; a hit that the origin has just confirmed says that
//! it was asked, and not how long that took.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::PRAGMA;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::response_headers::SamplingRate;
use crate::origin::response::Timing;

pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Where the answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Cache,
    /// From the cache, after the origin had confirmed it.
    Confirmed,
    Origin,
    /// The edge made it.
    Edge,
}

/// What is known of one response.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub source: Source,
    pub upstream: Option<Timing>,
    pub pop: &'a str,
    pub request_id: &'a str,
    /// From the request's head to the response's.
    pub first_byte: Duration,
}

/// `roll`: a random number below [`SamplingRate::ALL`]. `Pragma: server-timing` asks for it whatever the rate.
#[must_use]
pub fn wanted(rate: SamplingRate, asked: &HeaderMap, roll: u32) -> bool {
    roll < rate.0 || asked.get_all(PRAGMA).iter().any(asks)
}

fn asks(pragma: &HeaderValue) -> bool {
    let mut members = pragma.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    members.any(|member| member.eq_ignore_ascii_case(b"server-timing"))
}

/// Writes the edge's metrics in place of what is there. On a miss the origin's own follow them.
pub fn set(facts: &Facts<'_>, headers: &mut HeaderMap) {
    let mut value = metrics(facts).into_bytes();
    if facts.source == Source::Origin {
        for own in headers.get_all(SERVER_TIMING) {
            value.push(b',');
            value.extend_from_slice(own.as_bytes());
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        headers.insert(SERVER_TIMING, value);
    }
}

/// In the order of the guide's examples.
fn metrics(facts: &Facts<'_>) -> String {
    let asked = match facts.source {
        Source::Confirmed | Source::Origin => "cdn-upstream-layer;desc=\"EDGE\",",
        Source::Cache | Source::Edge => "",
    };
    let result = match facts.source {
        Source::Cache => "cdn-cache-hit,",
        Source::Confirmed => "cdn-cache-refresh,",
        Source::Origin => "cdn-cache-miss,",
        Source::Edge => "",
    };
    let layer = match facts.source {
        Source::Cache | Source::Confirmed => "cdn-hit-layer;desc=\"EDGE\",",
        Source::Origin | Source::Edge => "",
    };
    let (pop, rid, millis) = (facts.pop, facts.request_id, facts.first_byte.as_millis());
    let mut text = String::with_capacity(256);
    text.push_str(asked);
    // Writing to a String cannot fail.
    if let Some(Timing { dial, first_byte }) = facts.upstream {
        let [dns, connect, fbl] = [dial.dns, dial.connect, first_byte].map(|took| took.as_millis());
        let _ = write!(
            text,
            "cdn-upstream-dns;dur={dns},cdn-upstream-connect;dur={connect},cdn-upstream-fbl;dur={fbl},"
        );
    }
    let _ = write!(
        text,
        "{result}cdn-pop;desc=\"{pop}\",cdn-rid;desc=\"{rid}\",{layer}cdn-downstream-fbl;dur={millis}"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::pool::Dial;

    /// behaviour §9.7
    #[test]
    fn a_share_of_the_requests_and_who_asks() {
        let half = SamplingRate(500_000);
        for (rate, pragma, roll, expected) in [
            (SamplingRate(0), None, 0, false),
            (SamplingRate(SamplingRate::ALL), None, SamplingRate::ALL - 1, true),
            (half, None, 499_999, true),
            (half, None, 500_000, false),
            (SamplingRate(0), Some("server-timing"), 0, true),
            (SamplingRate(0), Some("no-cache, Server-Timing"), 0, true),
            (SamplingRate(0), Some("server-timing2"), 0, false),
        ] {
            let mut asked = HeaderMap::new();
            if let Some(pragma) = pragma {
                asked.insert(PRAGMA, HeaderValue::from_static(pragma));
            }
            assert_eq!(wanted(rate, &asked, roll), expected, "{rate:?} {pragma:?} {roll}");
        }
    }

    /// behaviour §9.7: the order of the guide's examples, no spaces after commas.
    #[test]
    fn what_it_says() {
        let common = "cdn-pop;desc=\"EDG1-C1\",cdn-rid;desc=\"id==\",";
        let asked = "cdn-upstream-layer;desc=\"EDGE\",";
        let took = "cdn-upstream-dns;dur=1,cdn-upstream-connect;dur=20,cdn-upstream-fbl;dur=300,";
        let hit = "cdn-hit-layer;desc=\"EDGE\",cdn-downstream-fbl;dur=7";
        let timing = Timing {
            dial: Dial { dns: Duration::from_millis(1), connect: Duration::from_millis(20) },
            first_byte: Duration::from_millis(300),
        };
        for (source, upstream, expected) in [
            (Source::Cache, None, format!("cdn-cache-hit,{common}{hit}")),
            (Source::Confirmed, None, format!("{asked}cdn-cache-refresh,{common}{hit}")),
            (
                Source::Origin,
                Some(timing),
                format!("{asked}{took}cdn-cache-miss,{common}cdn-downstream-fbl;dur=7,db;dur=3"),
            ),
            (Source::Edge, None, format!("{common}cdn-downstream-fbl;dur=7")),
        ] {
            let first_byte = Duration::from_micros(7_900);
            let facts = Facts { source, upstream, pop: "EDG1-C1", request_id: "id==", first_byte };
            let mut headers = HeaderMap::new();
            headers.insert(SERVER_TIMING, HeaderValue::from_static("db;dur=3"));
            set(&facts, &mut headers);
            assert_eq!(headers[SERVER_TIMING], expected, "{source:?}");
        }
    }
}

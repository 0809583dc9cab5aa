//! What the API says of a distribution (behaviour §1.6, §1.11).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::schema::{self, CONFIG, SUMMARY, Secrets};
use super::xml::Writer;
use super::{id, iso8601};
use crate::clock::Timestamp;
use crate::config::Document;

/// A distribution as its owner knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub id: Arc<str>,
    /// By which it is reached; empty where that is not known.
    pub domain_name: Arc<str>,
    pub document: Document,
    /// It is so since then.
    pub since: Timestamp,
}

impl Described {
    /// Another one when the configuration is another one.
    pub(super) fn etag(&self) -> String {
        let text = self.document.config().to_string();
        id('E', digest(&SHA256, text.as_bytes()).as_ref())
    }

    /// `GetDistributionConfig`
    pub(super) fn config(&self, secrets: Secrets) -> String {
        Writer::document("DistributionConfig", |writer| {
            let nothing = Map::new();
            let config = self.document.config().as_object().unwrap_or(&nothing);
            schema::write_whole(writer, config, &CONFIG, secrets);
        })
    }

    /// `GetDistribution`
    pub(super) fn whole(&self, in_progress: usize, secrets: Secrets) -> String {
        Writer::document("Distribution", |writer| {
            writer.text("Id", &self.id);
            self.write_state(writer, None);
            writer.text("InProgressInvalidationBatches", &in_progress.to_string());
            writer.text("DomainName", &self.domain_name);
            // The edge verifies nobody's signatures by these.
            for name in ["ActiveTrustedSigners", "ActiveTrustedKeyGroups"] {
                writer.element(name, |writer| {
                    writer.text("Enabled", "false");
                    writer.text("Quantity", "0");
                });
            }
            schema::write(writer, "DistributionConfig", self.document.config(), &CONFIG, secrets);
        })
    }

    /// One of `ListDistributions`.
    pub(super) fn write_summary(&self, writer: &mut Writer, secrets: Secrets) {
        writer.element("DistributionSummary", |writer| {
            writer.text("Id", &self.id);
            self.write_state(writer, Some(&self.etag()));
            writer.text("DomainName", &self.domain_name);
            let mut members = required();
            members.extend(self.document.config().as_object().cloned().unwrap_or_default());
            schema::write_members(writer, &members, SUMMARY, secrets);
        });
    }

    fn write_state(&self, writer: &mut Writer, etag: Option<&str>) {
        writer.text("ARN", &format!("arn:aws:cloudfront::000000000000:distribution/{}", self.id));
        if let Some(etag) = etag {
            writer.text("ETag", etag);
        }
        // What an edge has read is what it does.
        writer.text("Status", "Deployed");
        writer.text("LastModifiedTime", &iso8601(self.since));
    }
}

/// What a summary always has; the values are what leaving it out of a configuration means (behaviour §1.6).
fn required() -> Map<String, Value> {
    let none = json!({ "Quantity": 0 });
    let members = json!({
        "Aliases": none,
        "OriginGroups": none,
        "CacheBehaviors": none,
        "CustomErrorResponses": none,
        "Comment": "",
        "PriceClass": "PriceClass_All",
        "Enabled": true,
        "ViewerCertificate": { "CloudFrontDefaultCertificate": true },
        "Restrictions": { "GeoRestriction": { "RestrictionType": "none", "Quantity": 0 } },
        "WebACLId": "",
        "HttpVersion": "http2",
        "IsIPV6Enabled": false,
        "Staging": false,
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_etag_follows_the_configuration_and_nothing_else() {
        let of = |config: Value, since| Described {
            id: "E1".into(),
            domain_name: "d".into(),
            document: Document::new(config),
            since: Timestamp::from_secs(since),
        };
        let etag = of(json!({ "Comment": "a", "Enabled": true }), 1).etag();
        assert_eq!(etag, of(json!({ "Enabled": true, "Comment": "a" }), 2).etag());
        assert_ne!(etag, of(json!({ "Enabled": true, "Comment": "b" }), 1).etag());
        assert!(etag.len() == 14 && etag.starts_with('E'), "{etag}");
        assert!(etag.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()), "{etag}");
    }

    #[test]
    fn a_summary_has_all_that_callers_rely_on() {
        let described = Described {
            id: "E1".into(),
            domain_name: "d.example".into(),
            document: Document::new(json!({ "Comment": "mine", "CallerReference": "not in a summary" })),
            since: Timestamp::from_secs(0),
        };
        let text = Writer::document("L", |writer| described.write_summary(writer, Secrets::Told));
        for part in [
            "<Id>E1</Id><ARN>arn:aws:cloudfront::000000000000:distribution/E1</ARN><ETag>E",
            "<Status>Deployed</Status><LastModifiedTime>1970-01-01T00:00:00.000Z</LastModifiedTime>",
            "<DomainName>d.example</DomainName><Aliases><Quantity>0</Quantity></Aliases>",
            "<Comment>mine</Comment><PriceClass>PriceClass_All</PriceClass><Enabled>true</Enabled>",
            "<HttpVersion>http2</HttpVersion>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("CallerReference"));
    }
}

//! Fields of an answer that say nothing about whether two endpoints serve alike, each with the reason.

use http::HeaderName;
use serde::Serialize;

/// A field that is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// A name in lower case, or the beginning of names with `*` at its end.
    pub name: String,
    pub reason: String,
}

/// Names that begin alike, but are compared.
const COMPARED: [&str; 1] = ["x-amz-meta-"];

const DEFAULT: &[(&str, &str)] = &[
    ("age", "how long each has kept it; that a hit says it is judged with X-Cache"),
    ("alt-svc", "offers HTTP/3 at each one's own port"),
    ("cf-ray", "an id of one answer"),
    ("connection", "about the connection, not the answer"),
    ("date", "when each answered"),
    ("keep-alive", "about the connection, not the answer"),
    ("server", "names the software"),
    ("server-timing", "each one's own measurements"),
    ("trailer", "about the connection, not the answer"),
    ("transfer-encoding", "about the connection, not the answer"),
    ("upgrade", "about the connection, not the answer"),
    ("via", "names each server on the way"),
    (
        "x-amz-*",
        "S3's own fields name keys, accounts, versions and fetches; edgeseal passes none on but x-amz-meta-*",
    ),
    ("x-amz-cf-*", "id and place of each answer"),
    ("x-cache", "judged for itself, as the caching decision"),
    ("x-request-id", "an id of one answer"),
    ("x-served-by", "names each server on the way"),
    ("x-timer", "each one's own measurements"),
];

/// What is not compared, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules(Vec<Ignored>);

impl Rules {
    /// The built-in list, and `more` of a person who knows.
    #[must_use]
    pub fn with(more: &[String]) -> Self {
        let built_in = DEFAULT.iter().map(|(name, reason)| ((*name).to_owned(), *reason));
        let more = more.iter().map(|name| (name.to_ascii_lowercase(), "asked for by --ignore"));
        let rules = built_in.chain(more);
        Self(rules.map(|(name, reason)| Ignored { name, reason: reason.to_owned() }).collect())
    }

    /// Why the field is not compared; `None`: it is.
    #[must_use]
    pub fn why(&self, name: &HeaderName) -> Option<&str> {
        let name = name.as_str();
        let holds = |of: &&Ignored| match of.name.strip_suffix('*') {
            Some(start) => {
                name.starts_with(start)
                    && !COMPARED.iter().any(|but| name.starts_with(but) && !start.starts_with(but))
            }
            None => name == of.name,
        };
        self.0.iter().rev().find(holds).map(|of| of.reason.as_str())
    }

    /// For a report.
    #[must_use]
    pub fn list(&self) -> &[Ignored] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_reason_and_users_metadata_is_compared() {
        let rules = Rules::with(&["X-Mine".to_owned(), "x-amz-meta-build*".to_owned()]);
        let table = [
            ("date", Some("when each answered")),
            ("x-amz-cf-id", Some("id and place of each answer")),
            ("x-mine", Some("asked for by --ignore")),
            ("x-amz-meta-build-id", Some("asked for by --ignore")),
            ("x-amz-meta-owner", None),
            ("x-min", None),
            ("etag", None),
            ("set-cookie", None),
        ];
        for (name, reason) in table {
            assert_eq!(rules.why(&HeaderName::from_static(name)), reason, "{name}");
        }
        assert!(rules.why(&HeaderName::from_static("x-amz-request-id")).is_some());
        assert!(rules.list().iter().all(|of| !of.reason.is_empty()));
    }
}

//! Response headers policies (behaviour §1.9, §9), checked and made ready: a request finds header values, not texts.

use std::sync::Arc;

use http::header::{
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use http::{HeaderName, HeaderValue};

/// What a behaviour adds to its responses and takes out of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHeadersPolicy {
    pub name: Arc<str>,
    pub cors: Option<Cors>,
    /// behaviour §9.5
    pub security: Vec<SetHeader>,
    pub custom: Vec<SetHeader>,
    pub remove: Vec<HeaderName>,
    pub server_timing: Option<SamplingRate>,
}

/// A header that is set by the rule of behaviour §9.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetHeader {
    pub name: HeaderName,
    pub value: HeaderValue,
    /// It takes the place of the origin's.
    pub overrides: bool,
}

/// behaviour §9.4
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    pub origins: AllowOrigins,
    /// Never with [`AllowOrigins::Any`].
    pub credentials: bool,
    pub headers: AllowHeaders,
    pub methods: Option<HeaderValue>,
    pub expose_headers: Option<HeaderValue>,
    pub max_age: Option<HeaderValue>,
    /// The policy's headers take the place of the origin's; else one of the origin's keeps all of the policy's away.
    pub overrides: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowOrigins {
    Any,
    Listed(Vec<OriginPattern>),
}

/// One entry of `access_control_allow_origins`. In lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// `None`: any.
    pub scheme: Option<Arc<str>>,
    /// The host, or with `subdomains` what stands after `*`, with its dot.
    pub host: Arc<str>,
    pub subdomains: bool,
    /// Digits and `*`. `None`: an origin that names no port.
    pub port: Option<Arc<str>>,
}

/// `access_control_allow_headers`: what can be said to every viewer, and what is matched with what a viewer asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowHeaders {
    /// The names, with `*` where browsers understand it: without credentials.
    pub listed: Option<HeaderValue>,
    /// Names with `*` in them, in lower case.
    pub patterns: Vec<Arc<str>>,
}

/// How many of a million requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingRate(pub u32);

impl SamplingRate {
    pub const ALL: u32 = 1_000_000;
}

/// Finds one of CloudFront's managed policies (behaviour §9.8) by its name, with or without the console's `Managed-`,
/// or by its id.
#[must_use]
pub fn managed(name_or_id: &str) -> Option<Arc<ResponseHeadersPolicy>> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(Arc::new(ResponseHeadersPolicy {
        name: Arc::from(row.name),
        cors: row.cors.map(cors),
        security: if row.security { security() } else { Vec::new() },
        ..ResponseHeadersPolicy::default()
    }))
}

/// The id of a managed policy, by its name or its id.
#[must_use]
pub fn managed_id(name_or_id: &str) -> Option<&'static str> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(row.id)
}

/// The names of the managed ones.
pub fn names<'a>() -> impl Iterator<Item = &'a str> {
    TABLE.iter().map(|row| row.name)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Simple,
    Preflight,
}

struct Row {
    name: &'static str,
    id: &'static str,
    cors: Option<Kind>,
    security: bool,
}

const TABLE: [Row; 5] = [
    row("SimpleCORS", "60669652-455b-4ae9-85a4-c4c02393f86c", Some(Kind::Simple), false),
    row("CORS-With-Preflight", "5cc3b908-e619-4b99-88e5-2cf7f45965bd", Some(Kind::Preflight), false),
    row("SecurityHeadersPolicy", "67f7725c-6f97-4210-82d7-5512b31e9d03", None, true),
    row("CORS-and-SecurityHeadersPolicy", "e61eb60c-9c35-4d20-a928-2b84e02af89c", Some(Kind::Simple), true),
    row(
        "CORS-with-preflight-and-SecurityHeadersPolicy",
        "eaab4381-ed33-4a86-88ca-d9558dc6cd63",
        Some(Kind::Preflight),
        true,
    ),
];

const fn row(name: &'static str, id: &'static str, cors: Option<Kind>, security: bool) -> Row {
    Row { name, id, cors, security }
}

fn cors(kind: Kind) -> Cors {
    let preflight = |value| matches!(kind, Kind::Preflight).then(|| HeaderValue::from_static(value));
    Cors {
        origins: AllowOrigins::Any,
        credentials: false,
        headers: AllowHeaders::default(),
        methods: preflight("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        expose_headers: preflight("*"),
        max_age: None,
        overrides: false,
    }
}

fn security() -> Vec<SetHeader> {
    let header =
        |name, value, overrides| SetHeader { name, value: HeaderValue::from_static(value), overrides };
    vec![
        header(REFERRER_POLICY, "strict-origin-when-cross-origin", false),
        header(STRICT_TRANSPORT_SECURITY, "max-age=31536000", false),
        header(X_CONTENT_TYPE_OPTIONS, "nosniff", true),
        header(X_FRAME_OPTIONS, "SAMEORIGIN", false),
        header(X_XSS_PROTECTION, "1; mode=block", false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// behaviour §9.8
    #[test]
    fn the_managed_ones_by_name_by_console_name_and_by_id() {
        for (asked, expected) in [
            ("SimpleCORS", Some(("SimpleCORS", Some(false), 0))),
            ("Managed-SimpleCORS", Some(("SimpleCORS", Some(false), 0))),
            ("60669652-455B-4ae9-85a4-c4c02393f86c", Some(("SimpleCORS", Some(false), 0))),
            ("5cc3b908-e619-4b99-88e5-2cf7f45965bd", Some(("CORS-With-Preflight", Some(true), 0))),
            ("67f7725c-6f97-4210-82d7-5512b31e9d03", Some(("SecurityHeadersPolicy", None, 5))),
            (
                "e61eb60c-9c35-4d20-a928-2b84e02af89c",
                Some(("CORS-and-SecurityHeadersPolicy", Some(false), 5)),
            ),
            (
                "eaab4381-ed33-4a86-88ca-d9558dc6cd63",
                Some(("CORS-with-preflight-and-SecurityHeadersPolicy", Some(true), 5)),
            ),
            ("simplecors", None),
            ("mine", None),
        ] {
            let found = managed(asked);
            let told = found.as_deref().map(|policy| {
                let preflight = policy.cors.as_ref().map(|cors| cors.methods.is_some());
                (&*policy.name, preflight, policy.security.len())
            });
            assert_eq!(told, expected, "{asked}");
        }
        assert_eq!(names().count(), 5);
    }

    #[test]
    fn of_the_managed_ones_only_nosniff_overrides() {
        let policy = managed("CORS-with-preflight-and-SecurityHeadersPolicy").unwrap();
        let overriding: Vec<_> = policy.security.iter().filter(|header| header.overrides).collect();
        let [header] = overriding.as_slice() else { panic!("{overriding:?}") };
        assert_eq!(
            (header.name.as_str(), &header.value),
            ("x-content-type-options", &"nosniff".parse().unwrap())
        );
        assert!(!policy.cors.as_ref().unwrap().overrides);
    }
}

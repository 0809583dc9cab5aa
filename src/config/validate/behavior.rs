//! Cache behaviours: patterns, methods, and what they refer to (behaviour §1.3, §2.1, §2.2).

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, HOST};

use super::super::raw::{self, At, Field, List, Typed};
use super::super::response_headers::ResponseHeadersPolicy;
use super::super::{
    Asks, Behavior, CachePolicy, Encoding, Failover, Origin, OriginRequestPolicy, ViewerProtocolPolicy,
    policies as managed,
};
use super::geo;
use super::legacy;
use super::origin_group::Group;
use super::origin_request_policy::warn_of_what_s3_is_not_told;
use super::own::Policies;
use super::report::Report;

const MOST: usize = 75;

/// What the behaviours of one distribution may refer to.
#[derive(Debug)]
pub(super) struct Scope<'s> {
    /// The distribution.
    pub at: &'s At,
    pub origins: &'s [Arc<Origin>],
    pub named: &'s Named,
    pub groups: &'s [Group],
    /// A database tells where viewers are.
    pub has_places: bool,
}

/// The policies that a behaviour may name.
#[derive(Debug)]
pub(super) struct Named {
    pub cache: Policies<raw::CachePolicy, CachePolicy>,
    pub response_headers: Policies<raw::ResponseHeadersPolicy, ResponseHeadersPolicy>,
    pub requests: Policies<raw::OriginRequestPolicy, OriginRequestPolicy>,
}

/// In the order they are tried, the default behaviour last.
pub(super) fn behaviors(
    report: &mut Report,
    raw: &raw::Distribution,
    scope: &Scope<'_>,
) -> Vec<Arc<Behavior>> {
    let list = raw.cache_behaviors.items();
    if let Some(typed) = raw.cache_behaviors.given()
        && list.len() > MOST
    {
        report.error(
            &typed.at,
            format!("TooManyCacheBehaviors: {} cache behaviours", list.len()),
            format!("at most {MOST}"),
        );
    }
    refuse_equal_patterns(report, list);
    let mut behaviors: Vec<_> = list
        .iter()
        .map(|typed| {
            let pattern = path_pattern(report, typed);
            Arc::new(behavior(report, &typed.at, &typed.value, pattern, scope))
        })
        .collect();
    // What became of an unreadable one is told already.
    let target_origin = match raw.default_cache_behavior {
        Field::Unreadable => Field::Unreadable,
        _ => Field::Absent,
    };
    let missing = raw::Behavior { target_origin, ..raw::Behavior::default() };
    let (at, default) = match &raw.default_cache_behavior {
        Field::Given(typed) => (typed.at.clone(), &typed.value),
        Field::Absent | Field::Unreadable => (scope.at.child("default_cache_behavior"), &missing),
    };
    behaviors.push(Arc::new(behavior(report, &at, default, Arc::from("*"), scope)));
    behaviors
}

fn behavior(
    report: &mut Report,
    at: &At,
    raw: &raw::Behavior,
    path_pattern: Arc<str>,
    scope: &Scope<'_>,
) -> Behavior {
    const PROTOCOLS: [(&str, ViewerProtocolPolicy); 3] = [
        ("redirect-to-https", ViewerProtocolPolicy::RedirectToHttps),
        ("https-only", ViewerProtocolPolicy::HttpsOnly),
        ("allow-all", ViewerProtocolPolicy::AllowAll),
    ];
    let methods = methods(report, raw);
    let (origin, failover) = target_origin(report, at, &raw.target_origin, scope);
    let asks = asks(scope, origin, failover.as_ref());
    let (cache_policy, origin_request_policy) = policies(report, raw, scope, asks);
    if asks.s3 {
        refuse_host_in_key(report, raw, &cache_policy);
        let s3 = scope.origins.get(origin).and_then(|origin| origin.s3());
        let assumes_role = s3.is_some_and(|s3| s3.role.is_some());
        let request_policy = origin_request_policy.as_deref();
        warn_of_what_s3_is_not_told(report, raw, &cache_policy, request_policy, assumes_role);
        warn_of_writes(report, raw, methods, assumes_role);
    }
    let silenced = is_silenced(scope, origin, failover.as_ref());
    let encoding = encoding(report, raw, &cache_policy, asks, silenced);
    let request_policy = origin_request_policy.as_deref();
    geo::require_places(report, at, raw, (&cache_policy, request_policy), scope.has_places);
    Behavior {
        path_pattern,
        origin,
        viewer_protocol_policy: report.choice(
            &raw.viewer_protocol_policy,
            &PROTOCOLS,
            ViewerProtocolPolicy::RedirectToHttps,
        ),
        allow_options: methods.allowed >= Methods::ReadAndOptions,
        cache_options: methods.cached >= Methods::ReadAndOptions,
        cache_policy,
        response_headers_policy: scope.named.response_headers.find(report, &raw.response_headers_policy),
        failover,
        origin_request_policy,
        encoding,
        allow_writes: methods.allowed == Methods::All,
        asks,
    }
}

/// behaviour §4.3, §7.1. S3 does not negotiate, any other origin may. `silenced`: no origin hears of it.
fn encoding(
    report: &mut Report,
    raw: &raw::Behavior,
    policy: &CachePolicy,
    asks: Asks,
    silenced: bool,
) -> Encoding {
    let (gzip, brotli) = (policy.enable_accept_encoding_gzip, policy.enable_accept_encoding_brotli);
    let negotiated = if asks.custom && !silenced {
        Encoding { gzip, brotli, compress: false }
    } else {
        Encoding::default()
    };
    let Some(typed) = raw.compress.given().filter(|typed| typed.value) else { return negotiated };
    if !cfg!(feature = "compress") {
        let fix = "build it with the cargo feature \"compress\"; until then everything is sent as the origin sends it";
        report.warn(&typed.at, "this binary was built without compression", fix);
        return negotiated;
    }
    if policy.caching_disabled() {
        let fix = "use a policy that caches; objects are compressed before they are stored";
        report.warn(&typed.at, "nothing is compressed: the cache policy keeps nothing", fix);
        return negotiated;
    }
    if silenced {
        let fix = "leave Accept-Encoding out of the origin's headers, or compress off";
        report.warn(
            &typed.at,
            "nothing is compressed: the origin's blank Accept-Encoding is all viewers'",
            fix,
        );
        return negotiated;
    }
    if !gzip && !brotli {
        let fix = "use a policy with enable_accept_encoding_gzip or enable_accept_encoding_brotli";
        report.warn(&typed.at, "nothing is compressed: the cache policy enables no coding", fix);
    }
    Encoding { gzip, brotli, compress: gzip || brotli }
}

/// Those that it names, or what its legacy settings come to.
fn policies(
    report: &mut Report,
    raw: &raw::Behavior,
    scope: &Scope<'_>,
    asks: Asks,
) -> (Arc<CachePolicy>, Option<Arc<OriginRequestPolicy>>) {
    if let Field::Given(values) = &raw.forwarded_values {
        return legacy::policies(report, raw, values, asks);
    }
    if raw.forwarded_values.is_absent() {
        legacy::refuse_ttls(report, raw);
    }
    let cache = scope.named.cache.find(report, &raw.cache_policy).unwrap_or_else(managed::optimized);
    (cache, scope.named.requests.find(report, &raw.origin_request_policy))
}

/// The kinds of the behaviour's origins; a bucket where there is no telling, since an error was reported.
fn asks(scope: &Scope<'_>, origin: usize, failover: Option<&Failover>) -> Asks {
    let is_s3 = |index: usize| scope.origins.get(index).is_none_or(|origin| origin.s3().is_some());
    let first = is_s3(origin);
    let second = failover.map_or(first, |failover| is_s3(failover.origin));
    Asks { s3: first || second, custom: !(first && second) }
}

/// An origin's own blank `Accept-Encoding` takes the viewer's out of the key, too (behaviour §4.3); of a group, both must.
fn is_silenced(scope: &Scope<'_>, origin: usize, failover: Option<&Failover>) -> bool {
    let is_blank = |index: usize| {
        let own = scope.origins.get(index).and_then(|origin| origin.custom_headers.get(ACCEPT_ENCODING));
        own.is_some_and(|value| value.as_bytes().trim_ascii().is_empty())
    };
    is_blank(origin) && failover.is_none_or(|failover| is_blank(failover.origin))
}

/// The session policy of a role lets it read.
fn warn_of_writes(report: &mut Report, raw: &raw::Behavior, methods: MethodSets, assumes_role: bool) {
    if let Some(typed) = raw.allowed_methods.given()
        && assumes_role
        && methods.allowed == Methods::All
    {
        let message = "S3 refuses writes here: the session of role_arn may s3:GetObject and no more";
        report.warn(&typed.at, message, "use the process's own identity, which may s3:PutObject");
    }
}

/// S3 would take the viewer's Host for a bucket's name (behaviour §4.1). A managed policy
/// cannot be changed by who uses it, so with one the Host splits the cache and is not forwarded.
fn refuse_host_in_key(report: &mut Report, raw: &raw::Behavior, policy: &CachePolicy) {
    let Some(typed) = raw.cache_policy.given().filter(|_| policy.headers.contains(&HOST)) else { return };
    let message = "InvalidHeadersForS3Origin: the policy keys on Host";
    if managed::managed(&typed.value).is_some() {
        let fix = "nothing need be done: it splits the cache, and S3 is not told of it";
        report.warn(&typed.at, message, fix);
    } else {
        report.error(&typed.at, message, "take Host out of the policy's headers");
    }
}

/// Index of the origin, or of a group's first, and who comes after it; 0 when an error was reported.
fn target_origin(
    report: &mut Report,
    at: &At,
    field: &Field<String>,
    scope: &Scope<'_>,
) -> (usize, Option<Failover>) {
    let origins = || scope.origins.iter().map(|origin| &*origin.id);
    let ids = || origins().chain(scope.groups.iter().map(|group| group.id.as_str()));
    match field {
        Field::Absent if scope.origins.len() > 1 => {
            let fix = format!("name one of {}", ids().collect::<Vec<_>>().join(", "));
            report.error(&at.child("target_origin"), "is missing, and there are several origins", fix);
            (0, None)
        }
        Field::Absent | Field::Unreadable => (0, None),
        // That there are none is told already.
        Field::Given(_) if scope.origins.is_empty() => (0, None),
        Field::Given(typed) => {
            if let Some(index) = origins().position(|id| id == typed.value) {
                return (index, None);
            }
            if let Some(group) = scope.groups.iter().find(|group| group.id == typed.value) {
                return (group.primary, Some(group.failover.clone()));
            }
            let message = format!("NoSuchOrigin: there is no origin {:?}", typed.value);
            report.unknown_as(typed, message, ids());
            (0, None)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Methods {
    Read,
    ReadAndOptions,
    All,
}

#[derive(Debug, Clone, Copy)]
struct MethodSets {
    allowed: Methods,
    cached: Methods,
}

fn methods(report: &mut Report, raw: &raw::Behavior) -> MethodSets {
    let allowed = method_set(report, &raw.allowed_methods);
    let mut cached = method_set(report, &raw.cached_methods);
    if let Some(typed) = raw.cached_methods.given() {
        if cached == Methods::All {
            let message = "InvalidArgument: answers to PUT, PATCH, POST and DELETE are never cached";
            report.error(&typed.at, message, READING);
            cached = Methods::Read;
        } else if cached > allowed && !matches!(raw.allowed_methods, Field::Unreadable) {
            let message = "OPTIONS is cached, but it is not allowed";
            report.error(&typed.at, message, "add OPTIONS to allowed_methods");
        }
    }
    MethodSets { allowed, cached }
}

const READING: &str = "write [\"GET\", \"HEAD\"] or [\"GET\", \"HEAD\", \"OPTIONS\"]";

/// Exactly one of CloudFront's sets (behaviour §2.2), in any order.
fn method_set(report: &mut Report, list: &List<String>) -> Methods {
    let Some(typed) = list.given() else {
        return Methods::Read;
    };
    let set: BTreeSet<&str> = typed.value.iter().map(|method| method.value.as_str()).collect();
    let is =
        |methods: &[&str]| set.len() == methods.len() && methods.iter().all(|method| set.contains(method));
    if is(&["GET", "HEAD"]) {
        return Methods::Read;
    }
    if is(&["GET", "HEAD", "OPTIONS"]) {
        return Methods::ReadAndOptions;
    }
    if is(&["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]) {
        return Methods::All;
    }
    report.error(&typed.at, "is not one of CloudFront's sets of methods", READING);
    Methods::Read
}

/// behaviour §1.3
fn path_pattern(report: &mut Report, typed: &Typed<raw::Behavior>) -> Arc<str> {
    const ALLOWED: &[u8] = b"_-.*$/~\"'@:+&?";
    let field = &typed.value.path_pattern;
    if field.is_absent() {
        let fix = "such as path_pattern = \"images/*\"; what no pattern matches is default_cache_behavior's";
        report.error(&typed.at.child("path_pattern"), "is missing", fix);
    }
    let Some(pattern) = field.given() else {
        return Arc::from("*");
    };
    let text = &pattern.value;
    let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || ALLOWED.contains(&byte));
    if text.is_empty() || text.len() > 255 || !allowed {
        let problem = if allowed { "is empty or too long" } else { "has characters that may not be there" };
        let fix = "1 to 255 of A-Z a-z 0-9 _ - . * ? $ / ~ \" ' @ : + &; there are no alternatives in braces";
        report.error(&pattern.at, format!("{text:?} {problem}"), fix);
    }
    if bare(text) == "*" {
        let message = "matches every path: no behaviour after it is ever used, not the default either";
        report.warn(&pattern.at, message, "put it into default_cache_behavior");
    }
    Arc::from(text.as_str())
}

/// The slash in front is optional (behaviour §1.3), so `/a` and `a` are one pattern.
fn bare(pattern: &str) -> &str {
    pattern.strip_prefix('/').unwrap_or(pattern)
}

fn refuse_equal_patterns(report: &mut Report, list: &[Typed<raw::Behavior>]) {
    let mut seen = BTreeSet::new();
    for pattern in list.iter().filter_map(|typed| typed.value.path_pattern.given()) {
        if !seen.insert(bare(&pattern.value)) {
            let message = format!("{:?} is an earlier behaviour's pattern too", pattern.value);
            report.error(&pattern.at, message, "the first one always wins; leave one out");
        }
    }
}

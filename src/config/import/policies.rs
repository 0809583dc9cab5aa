//! Cache policies, origin request policies, origin access controls (behaviour §1.7, §1.8, §1.10).

use super::super::raw::{self, Field, List, Typed};
use super::object::Object;

/// What a policy takes of one kind: its behaviour and its list.
type Taken = (Field<String>, List<String>);

pub(super) fn cache_policy(object: &mut Object<'_>, id: Field<String>) -> raw::CachePolicy {
    object.ignore(&["Comment"]);
    let mut policy = raw::CachePolicy {
        id,
        name: object.text("Name"),
        min_ttl: object.field("MinTTL"),
        default_ttl: object.field("DefaultTTL"),
        max_ttl: object.field("MaxTTL"),
        ..raw::CachePolicy::default()
    };
    object.object("ParametersInCacheKeyAndForwardedToOrigin", |object| {
        policy.enable_accept_encoding_gzip = object.field("EnableAcceptEncodingGzip");
        policy.enable_accept_encoding_brotli = object.field("EnableAcceptEncodingBrotli");
        (policy.header_behavior, policy.headers) = headers(object);
        (policy.cookie_behavior, policy.cookies) = cookies(object);
        (policy.query_string_behavior, policy.query_strings) = query_strings(object);
    });
    policy
}

pub(super) fn origin_request_policy(object: &mut Object<'_>, id: Field<String>) -> raw::OriginRequestPolicy {
    object.ignore(&["Comment"]);
    let name = object.text("Name");
    let (header_behavior, headers) = headers(object);
    let (cookie_behavior, cookies) = cookies(object);
    let (query_string_behavior, query_strings) = query_strings(object);
    raw::OriginRequestPolicy {
        id,
        name,
        header_behavior,
        headers,
        cookie_behavior,
        cookies,
        query_string_behavior,
        query_strings,
    }
}

fn headers(object: &mut Object<'_>) -> Taken {
    taken(object, "HeadersConfig", "HeaderBehavior", "Headers")
}

fn cookies(object: &mut Object<'_>) -> Taken {
    taken(object, "CookiesConfig", "CookieBehavior", "Cookies")
}

fn query_strings(object: &mut Object<'_>) -> Taken {
    taken(object, "QueryStringsConfig", "QueryStringBehavior", "QueryStrings")
}

fn taken(object: &mut Object<'_>, config: &'static str, behavior: &'static str, list: &'static str) -> Taken {
    match object.object(config, |object| (object.text(behavior), object.items(list))) {
        Field::Given(Typed { value, .. }) => value,
        Field::Absent => Taken::default(),
        Field::Unreadable => (Field::Unreadable, Field::Unreadable),
    }
}

/// behaviour §1.10
#[derive(Debug)]
pub(super) struct AccessControl {
    pub id: Option<String>,
    pub name: Option<String>,
    pub signing_behavior: Field<String>,
    /// `s3`, or what is not supported.
    pub origin_type: Field<String>,
}

pub(super) fn access_control(object: &mut Object<'_>, id: Option<String>) -> AccessControl {
    // In a list it is not wrapped, so that its id is among the rest.
    object.ignore(&["Description", "Id"]);
    let protocol = object.text("SigningProtocol");
    if let Some(typed) = protocol.given().filter(|typed| typed.value != "sigv4") {
        let message = format!("InvalidOriginAccessControl: {:?} is not supported", typed.value);
        object.findings().error(&typed.at, message, "write \"sigv4\"");
    }
    AccessControl {
        id,
        name: object.text("Name").value().cloned(),
        signing_behavior: object.text("SigningBehavior"),
        origin_type: object.text("OriginAccessControlOriginType"),
    }
}

//! A distribution of a TOML file in CloudFront's own form (behaviour §1.6), truthfully: what holds, defaults included. What
//! CloudFront has no field for (an endpoint, a role) is left out.

use serde_json::{Map, Value, json};

use super::super::raw::{self, Field, List, Raw};
use super::super::{
    Behavior, Config, CustomOrigin, Distribution, Document, ErrorResponse, GeoRestriction, Origin,
    OriginKind, OriginProtocolPolicy, S3Origin, SigningBehavior, ViewerProtocolPolicy, policies,
    request_policies, response_headers,
};

/// Gives each distribution its document, but for those that came with one.
pub(super) fn describe(raw: &Raw, config: &mut Config) {
    let mut documents = Vec::new();
    for (typed, built) in raw.distributions.items().iter().zip(&config.distributions) {
        let made = || Document::new(distribution(raw, &typed.value, config, built));
        documents.push(typed.value.document.clone().unwrap_or_else(made));
    }
    for (distribution, document) in config.distributions.iter_mut().zip(documents) {
        distribution.document = document;
    }
}

fn distribution(all: &Raw, raw: &raw::Distribution, config: &Config, built: &Distribution) -> Value {
    let others = raw.cache_behaviors.items().iter().zip(&built.behaviors);
    let others = others.map(|(typed, behavior)| {
        let mut value = self::behavior(all, &typed.value, built, behavior);
        value.insert("PathPattern".into(), json!(*behavior.path_pattern));
        value
    });
    let nothing = raw::Behavior::default();
    let default = raw.default_cache_behavior.value().unwrap_or(&nothing);
    let default = built.behaviors.last().map(|behavior| self::behavior(all, default, built, behavior));
    let mut value = object(json!({
        "CallerReference": *built.id,
        "Aliases": list(built.aliases.iter().map(|alias| &**alias)),
        "DefaultRootObject": built.default_root_object.as_deref().unwrap_or_default(),
        "Origins": list(raw.origins.items().iter().zip(&built.origins)
            .map(|(typed, origin)| self::origin(&typed.value, origin))),
        "OriginGroups": list(raw.origin_groups.items().iter().map(|typed| group(&typed.value))),
        "DefaultCacheBehavior": default,
        "CacheBehaviors": list(others),
        "CustomErrorResponses": list(built.error_responses.iter().map(error_response)),
        "Comment": raw.comment.value().map_or("", String::as_str),
        "Logging": logging(config, built),
        "PriceClass": "PriceClass_All",
        "Enabled": built.enabled,
        "ViewerCertificate": certificate(config, built),
        "Restrictions": { "GeoRestriction": geo_restriction(built.geo_restriction.as_ref()) },
        "WebACLId": "",
        "HttpVersion": match (built.http2, built.http3) {
            (false, false) => "http1.1",
            (true, false) => "http2",
            (false, true) => "http3",
            (true, true) => "http2and3",
        },
        "IsIPV6Enabled": config.listen.https.is_ipv6(),
        "ContinuousDeploymentPolicyId": "",
        "Staging": false,
    }));
    if let Some(header) = &built.cache_tag_header {
        value.insert("CacheTagConfig".into(), json!({ "HeaderName": header.as_str() }));
    }
    Value::Object(value)
}

fn origin(raw: &raw::Origin, built: &Origin) -> Value {
    let header = |header: &raw::OriginHeader| json!({ "HeaderName": header.name.value(), "HeaderValue": header.value.value() });
    let mut value = object(json!({
        "Id": *built.id,
        "OriginPath": *built.origin_path,
        "CustomHeaders": list(raw.custom_headers.items().iter().map(|typed| header(&typed.value))),
        "ConnectionAttempts": built.connection_attempts,
        "ConnectionTimeout": built.connection_timeout.as_secs(),
        "OriginShield": { "Enabled": false },
    }));
    if let Some(timeout) = built.response_completion_timeout {
        value.insert("ResponseCompletionTimeout".into(), json!(timeout.as_secs()));
    }
    let read_timeout = built.read_timeout.as_secs();
    value.extend(match &built.kind {
        OriginKind::S3(s3) => bucket(raw, s3, read_timeout),
        OriginKind::Custom(custom) => server(custom, read_timeout),
    });
    Value::Object(value)
}

/// A bucket's name in AWS also where an endpoint stands in its place: it is the one that says bucket and Region.
fn bucket(raw: &raw::Origin, s3: &S3Origin, read_timeout: u64) -> Map<String, Value> {
    let name = raw.domain_name.value().cloned();
    object(json!({
        "DomainName": name.unwrap_or_else(|| format!("{}.s3.{}.amazonaws.com", s3.bucket, s3.region)),
        "S3OriginConfig": { "OriginAccessIdentity": "", "OriginReadTimeout": read_timeout },
        // There is no such object, but requests are signed as if there were.
        "OriginAccessControlId": match s3.signing {
            SigningBehavior::Always => "edgeseal-always",
            SigningBehavior::NoOverride => "edgeseal-no-override",
            SigningBehavior::Never => "",
        },
    }))
}

fn server(custom: &CustomOrigin, read_timeout: u64) -> Map<String, Value> {
    object(json!({
        "DomainName": *custom.host,
        "CustomOriginConfig": {
            "HTTPPort": custom.http_port,
            "HTTPSPort": custom.https_port,
            "OriginProtocolPolicy": match custom.protocol {
                OriginProtocolPolicy::HttpOnly => "http-only",
                OriginProtocolPolicy::HttpsOnly => "https-only",
                OriginProtocolPolicy::MatchViewer => "match-viewer",
            },
            "OriginSslProtocols": list(["TLSv1.2"]),
            "OriginReadTimeout": read_timeout,
            "OriginKeepaliveTimeout": custom.keepalive_timeout.as_secs(),
        },
        "OriginAccessControlId": "",
    }))
}

fn group(raw: &raw::OriginGroup) -> Value {
    let members = raw.members.items().iter().map(|typed| json!({ "OriginId": typed.value }));
    json!({
        "Id": raw.id.value(),
        "FailoverCriteria": { "StatusCodes": list(raw.status_codes.items().iter().map(|typed| typed.value)) },
        "Members": list(members),
    })
}

fn behavior(
    all: &Raw,
    raw: &raw::Behavior,
    distribution: &Distribution,
    built: &Behavior,
) -> Map<String, Value> {
    let target = raw.target_origin.value().cloned();
    let only = || distribution.origins.get(built.origin).map(|origin| origin.id.to_string());
    let nobody = json!({ "Enabled": false, "Quantity": 0 });
    let mut value = object(json!({
        "TargetOriginId": target.or_else(only),
        "TrustedSigners": nobody,
        "TrustedKeyGroups": nobody,
        "ViewerProtocolPolicy": match built.viewer_protocol_policy {
            ViewerProtocolPolicy::AllowAll => "allow-all",
            ViewerProtocolPolicy::HttpsOnly => "https-only",
            ViewerProtocolPolicy::RedirectToHttps => "redirect-to-https",
        },
        "AllowedMethods": methods(built),
        "SmoothStreaming": false,
        "Compress": raw.compress.value().copied().unwrap_or_default(),
        "LambdaFunctionAssociations": { "Quantity": 0 },
        "FunctionAssociations": { "Quantity": 0 },
        "FieldLevelEncryptionId": "",
        "GrpcConfig": { "Enabled": false },
    }));
    value.extend(caching(all, raw, built));
    let mut policy = |name: &str, id: Option<String>| value.extend(id.map(|id| (name.to_owned(), json!(id))));
    policy(
        "OriginRequestPolicyId",
        id_of(
            &raw.origin_request_policy,
            &all.origin_request_policies,
            request_policies::managed_id,
            |own| (&own.name, &own.id),
        ),
    );
    policy(
        "ResponseHeadersPolicyId",
        id_of(
            &raw.response_headers_policy,
            &all.response_headers_policies,
            response_headers::managed_id,
            |own| (&own.name, &own.id),
        ),
    );
    value
}

/// A cache policy, or what CloudFront had before.
fn caching(all: &Raw, raw: &raw::Behavior, built: &Behavior) -> Map<String, Value> {
    let policy = &built.cache_policy;
    if let Some(values) = raw.forwarded_values.value() {
        let names = |list: &List<String>| self::list(list.items().iter().map(|typed| &typed.value));
        let forward = values.cookies.value().map_or("none", String::as_str);
        let mut cookies = object(json!({ "Forward": forward }));
        if forward == "whitelist" {
            cookies.insert("WhitelistedNames".into(), names(&values.whitelisted_cookies));
        }
        return object(json!({
            "ForwardedValues": {
                "QueryString": values.query_string.value().copied().unwrap_or_default(),
                "Cookies": cookies,
                "Headers": names(&values.headers),
                "QueryStringCacheKeys": names(&values.query_string_cache_keys),
            },
            "MinTTL": policy.min_ttl.as_secs(),
            "DefaultTTL": policy.default_ttl.as_secs(),
            "MaxTTL": policy.max_ttl.as_secs(),
        }));
    }
    let id = id_of(&raw.cache_policy, &all.cache_policies, policies::managed_id, |own| (&own.name, &own.id));
    let default = || policies::managed_id(&policy.name).map(str::to_owned);
    object(json!({ "CachePolicyId": id.or_else(default).unwrap_or_else(|| policy.name.to_string()) }))
}

/// The id of what a behaviour names: of its own policies the one it was given, or else its name.
fn id_of<R>(
    named: &Field<String>,
    own: &List<R>,
    managed: fn(&str) -> Option<&'static str>,
    of: fn(&R) -> (&Field<String>, &Field<String>),
) -> Option<String> {
    let named = named.value()?;
    let found = own
        .items()
        .iter()
        .map(|typed| of(&typed.value))
        .find(|(name, id)| [name, id].into_iter().any(|field| field.value() == Some(named)));
    Some(match found {
        Some((_, Field::Given(id))) => id.value.clone(),
        Some(_) => named.clone(),
        None => managed(named).unwrap_or(named).to_owned(),
    })
}

fn methods(built: &Behavior) -> Value {
    const ALL: [&str; 7] = ["HEAD", "DELETE", "POST", "GET", "OPTIONS", "PUT", "PATCH"];
    let few = |options: bool| if options { list(["HEAD", "GET", "OPTIONS"]) } else { list(["HEAD", "GET"]) };
    let mut allowed = object(if built.allow_writes { list(ALL) } else { few(built.allow_options) });
    allowed.insert("CachedMethods".into(), few(built.cache_options));
    Value::Object(allowed)
}

fn error_response((code, response): (&u16, &ErrorResponse)) -> Value {
    let page = response.page.as_ref();
    json!({
        "ErrorCode": code,
        "ResponsePagePath": page.map_or("", |page| &*page.path),
        "ResponseCode": page.map_or_else(String::new, |page| page.status.as_u16().to_string()),
        "ErrorCachingMinTTL": response.min_ttl.as_secs(),
    })
}

/// Of the standard log; the bucket is the one its files are sent to, if they are.
fn logging(config: &Config, built: &Distribution) -> Value {
    let standard = config.log.standard.as_ref().filter(|_| built.logging.enabled);
    let upload = standard.and_then(|standard| standard.upload.as_ref()?.bucket.s3());
    json!({
        "Enabled": standard.is_some(),
        "IncludeCookies": built.logging.include_cookies,
        "Bucket": upload.map(|s3| format!("{}.s3.amazonaws.com", s3.bucket)).unwrap_or_default(),
        "Prefix": standard.map_or("", |_| &*built.logging.prefix),
    })
}

/// The edge has files, and no certificate's ARN.
fn certificate(config: &Config, built: &Distribution) -> Value {
    let minimum = built.minimum_protocol_version.unwrap_or(config.tls.minimum_protocol_version).as_str();
    if config.tls.certificates.is_empty() {
        return json!({
            "CloudFrontDefaultCertificate": true,
            "MinimumProtocolVersion": minimum,
            "CertificateSource": "cloudfront",
        });
    }
    json!({
        "CloudFrontDefaultCertificate": false,
        "SSLSupportMethod": "sni-only",
        "MinimumProtocolVersion": minimum,
    })
}

fn geo_restriction(restriction: Option<&GeoRestriction>) -> Value {
    let (kind, codes) = match restriction {
        None => ("none", &[][..]),
        Some(GeoRestriction::Blacklist(codes)) => ("blacklist", codes.as_slice()),
        Some(GeoRestriction::Whitelist(codes)) => ("whitelist", codes.as_slice()),
    };
    let mut value = object(list(codes.iter().map(|code| String::from_utf8_lossy(code))));
    value.insert("RestrictionType".into(), json!(kind));
    Value::Object(value)
}

/// As CloudFront writes lists; without `Items` if there are none.
fn list<T: serde::Serialize>(items: impl IntoIterator<Item = T>) -> Value {
    let items: Vec<Value> = items.into_iter().map(|item| json!(item)).collect();
    if items.is_empty() {
        json!({ "Quantity": 0 })
    } else {
        json!({ "Quantity": items.len(), "Items": items })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

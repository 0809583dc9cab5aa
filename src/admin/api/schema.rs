//! `DistributionConfig` as XML: which elements there are, in the service's order, and what list items are called (behaviour
//! §1.6). It is written from JSON as the AWS CLI prints it, which has neither.

use serde_json::{Map, Value};

use super::xml::Writer;

/// What an element holds.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Object(&'static [Member]),
    /// Items, each an element of this name.
    List(&'static str, &'static Kind),
}

pub(super) type Member = (&'static str, Kind);

use Kind::{List, Object, Text};

/// `{"Quantity": …, "Items": […]}`
macro_rules! items {
    ($item:literal) => {
        items!($item, Text)
    };
    ($item:literal, $kind:expr) => {
        Object(&[("Quantity", Text), ("Items", List($item, &$kind))])
    };
}

pub(super) const CONFIG: Kind = Object(&[
    ("CallerReference", Text),
    ("Aliases", ALIASES),
    ("DefaultRootObject", Text),
    ("Origins", ORIGINS),
    ("OriginGroups", ORIGIN_GROUPS),
    ("DefaultCacheBehavior", Object(DEFAULT_BEHAVIOR)),
    ("CacheBehaviors", BEHAVIORS),
    ("CustomErrorResponses", ERROR_RESPONSES),
    ("Comment", Text),
    ("Logging", Object(&[("Enabled", Text), ("IncludeCookies", Text), ("Bucket", Text), ("Prefix", Text)])),
    ("PriceClass", Text),
    ("Enabled", Text),
    ("ViewerCertificate", CERTIFICATE),
    ("Restrictions", RESTRICTIONS),
    ("WebACLId", Text),
    ("HttpVersion", Text),
    ("IsIPV6Enabled", Text),
    ("ContinuousDeploymentPolicyId", Text),
    ("Staging", Text),
    ("AnycastIpListId", Text),
    ("TenantConfig", TENANT),
    ("ConnectionMode", Text),
    ("ViewerMtlsConfig", MTLS),
    ("ConnectionFunctionAssociation", Object(&[("Id", Text)])),
    ("CacheTagConfig", Object(&[("HeaderName", Text)])),
]);

/// What of it a `DistributionSummary` has, after its own elements.
pub(super) const SUMMARY: &[Member] = &[
    ("Aliases", ALIASES),
    ("Origins", ORIGINS),
    ("OriginGroups", ORIGIN_GROUPS),
    ("DefaultCacheBehavior", Object(DEFAULT_BEHAVIOR)),
    ("CacheBehaviors", BEHAVIORS),
    ("CustomErrorResponses", ERROR_RESPONSES),
    ("Comment", Text),
    ("PriceClass", Text),
    ("Enabled", Text),
    ("ViewerCertificate", CERTIFICATE),
    ("Restrictions", RESTRICTIONS),
    ("WebACLId", Text),
    ("HttpVersion", Text),
    ("IsIPV6Enabled", Text),
    ("Staging", Text),
    ("ConnectionMode", Text),
    ("AnycastIpListId", Text),
    ("ViewerMtlsConfig", MTLS),
    ("ConnectionFunctionAssociation", Object(&[("Id", Text)])),
];

const ALIASES: Kind = items!("CNAME");

const ORIGINS: Kind = items!(
    "Origin",
    Object(&[
        ("Id", Text),
        ("DomainName", Text),
        ("OriginPath", Text),
        (
            "CustomHeaders",
            items!("OriginCustomHeader", Object(&[("HeaderName", Text), (HEADER_VALUE, Text)]))
        ),
        ("S3OriginConfig", Object(&[("OriginAccessIdentity", Text), ("OriginReadTimeout", Text)])),
        (
            "CustomOriginConfig",
            Object(&[
                ("HTTPPort", Text),
                ("HTTPSPort", Text),
                ("OriginProtocolPolicy", Text),
                ("OriginSslProtocols", items!("SslProtocol")),
                ("OriginReadTimeout", Text),
                ("OriginKeepaliveTimeout", Text),
                ("IpAddressType", Text),
                ("OriginMtlsConfig", Object(&[("ClientCertificateArn", Text)])),
                ("OriginHttpVersion", Text),
            ])
        ),
        (
            "VpcOriginConfig",
            Object(&[
                ("VpcOriginId", Text),
                ("OwnerAccountId", Text),
                ("OriginReadTimeout", Text),
                ("OriginKeepaliveTimeout", Text),
                ("OriginHttpVersion", Text),
            ])
        ),
        ("ConnectionAttempts", Text),
        ("ConnectionTimeout", Text),
        ("ResponseCompletionTimeout", Text),
        ("OriginShield", Object(&[("Enabled", Text), ("OriginShieldRegion", Text)])),
        ("OriginAccessControlId", Text),
    ])
);

const ORIGIN_GROUPS: Kind = items!(
    "OriginGroup",
    Object(&[
        ("Id", Text),
        ("FailoverCriteria", Object(&[("StatusCodes", items!("StatusCode"))])),
        ("Members", items!("OriginGroupMember", Object(&[("OriginId", Text)]))),
        ("SelectionCriteria", Text),
    ])
);

/// Of every behaviour; all but the default one begin with a pattern.
macro_rules! behavior {
    ($($first:expr),*) => {
        &[
            $($first,)*
            ("TargetOriginId", Text),
            (
                "TrustedSigners",
                Object(&[("Enabled", Text), ("Quantity", Text), ("Items", List("AwsAccountNumber", &Text))]),
            ),
            (
                "TrustedKeyGroups",
                Object(&[("Enabled", Text), ("Quantity", Text), ("Items", List("KeyGroup", &Text))]),
            ),
            ("ViewerProtocolPolicy", Text),
            (
                "AllowedMethods",
                Object(&[
                    ("Quantity", Text),
                    ("Items", List("Method", &Text)),
                    ("CachedMethods", items!("Method")),
                ]),
            ),
            ("SmoothStreaming", Text),
            ("Compress", Text),
            (
                "LambdaFunctionAssociations",
                items!(
                    "LambdaFunctionAssociation",
                    Object(&[("LambdaFunctionARN", Text), ("EventType", Text), ("IncludeBody", Text)])
                ),
            ),
            (
                "FunctionAssociations",
                items!("FunctionAssociation", Object(&[("FunctionARN", Text), ("EventType", Text)])),
            ),
            ("FieldLevelEncryptionId", Text),
            ("RealtimeLogConfigArn", Text),
            ("CachePolicyId", Text),
            ("OriginRequestPolicyId", Text),
            ("ResponseHeadersPolicyId", Text),
            ("GrpcConfig", Object(&[("Enabled", Text)])),
            (
                "ForwardedValues",
                Object(&[
                    ("QueryString", Text),
                    ("Cookies", Object(&[("Forward", Text), ("WhitelistedNames", items!("Name"))])),
                    ("Headers", items!("Name")),
                    ("QueryStringCacheKeys", items!("Name")),
                ]),
            ),
            ("MinTTL", Text),
            ("DefaultTTL", Text),
            ("MaxTTL", Text),
        ]
    };
}

const DEFAULT_BEHAVIOR: &[Member] = behavior!();
const BEHAVIORS: Kind = items!("CacheBehavior", Object(behavior!(("PathPattern", Text))));

const ERROR_RESPONSES: Kind = items!(
    "CustomErrorResponse",
    Object(&[
        ("ErrorCode", Text),
        ("ResponsePagePath", Text),
        ("ResponseCode", Text),
        ("ErrorCachingMinTTL", Text),
    ])
);

const CERTIFICATE: Kind = Object(&[
    ("CloudFrontDefaultCertificate", Text),
    ("IAMCertificateId", Text),
    ("ACMCertificateArn", Text),
    ("SSLSupportMethod", Text),
    ("MinimumProtocolVersion", Text),
    ("Certificate", Text),
    ("CertificateSource", Text),
]);

const RESTRICTIONS: Kind = Object(&[(
    "GeoRestriction",
    Object(&[("RestrictionType", Text), ("Quantity", Text), ("Items", List("Location", &Text))]),
)]);

const MTLS: Kind = Object(&[
    ("Mode", Text),
    (
        "TrustStoreConfig",
        Object(&[
            ("TrustStoreId", Text),
            ("AdvertiseTrustStoreCaNames", Text),
            ("IgnoreCertificateExpiry", Text),
        ]),
    ),
]);

const TENANT: Kind = Object(&[(
    "ParameterDefinitions",
    List(
        "member",
        &Object(&[
            ("Name", Text),
            (
                "Definition",
                Object(&[(
                    "StringSchema",
                    Object(&[("Comment", Text), ("DefaultValue", Text), ("Required", Text)]),
                )]),
            ),
        ]),
    ),
)]);

/// It may be what an origin knows its edges by.
const HEADER_VALUE: &str = "HeaderValue";
const HIDDEN: &str = "********";

/// Whether a caller is told what may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Told,
    Hidden,
}

/// Writes `value` as the element `name`. What the schema does not know, since it is newer, comes last.
pub(super) fn write(writer: &mut Writer, name: &str, value: &Value, kind: &Kind, secrets: Secrets) {
    match (kind, value) {
        (_, Value::Null) => {}
        (Object(_), Value::Object(map)) => {
            writer.element(name, |writer| write_whole(writer, map, kind, secrets));
        }
        (List(item, kind), Value::Array(items)) => writer.element(name, |writer| {
            items.iter().for_each(|value| write(writer, item, value, kind, secrets));
        }),
        (Text, _) if name == HEADER_VALUE && secrets == Secrets::Hidden => writer.text(name, HIDDEN),
        _ => write_unknown(writer, name, value),
    }
}

/// What is within an element.
pub(super) fn write_whole(writer: &mut Writer, map: &Map<String, Value>, kind: &Kind, secrets: Secrets) {
    let members = if let Object(members) = kind { members } else { &[][..] };
    write_members(writer, map, members, secrets);
    let is_known = |name: &String| members.iter().any(|(known, _)| known == name);
    for (name, value) in map.iter().filter(|(name, _)| !is_known(name)) {
        write_unknown(writer, name, value);
    }
}

/// Those of `members` that `map` has.
pub(super) fn write_members(
    writer: &mut Writer,
    map: &Map<String, Value>,
    members: &[Member],
    secrets: Secrets,
) {
    for (name, kind) in members {
        if let Some(value) = map.get(*name) {
            write(writer, name, value, kind, secrets);
        }
    }
}

fn write_unknown(writer: &mut Writer, name: &str, value: &Value) {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        return;
    }
    match value {
        Value::Null => {}
        Value::Bool(value) => writer.text(name, if *value { "true" } else { "false" }),
        Value::Number(value) => writer.text(name, &value.to_string()),
        Value::String(value) => writer.text(name, value),
        Value::Array(items) => writer.element(name, |writer| {
            items.iter().for_each(|value| write_unknown(writer, "member", value));
        }),
        Value::Object(map) => writer.element(name, |writer| {
            map.iter().for_each(|(name, value)| write_unknown(writer, name, value));
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value, secrets: Secrets) -> String {
        let text = Writer::document("R", |writer| write(writer, "C", value, &CONFIG, secrets));
        let (_, text) = text.split_once("<C>").unwrap();
        text.strip_suffix("</C></R>").unwrap().to_owned()
    }

    #[test]
    fn elements_are_in_the_services_order_and_items_have_its_names() {
        let value = json!({
            "Enabled": true,
            "Aliases": { "Items": ["a", "b"], "Quantity": 2 },
            "CallerReference": "<r>",
            "DefaultCacheBehavior": {
                "MinTTL": 5,
                "AllowedMethods": { "Items": ["GET"], "CachedMethods": { "Items": ["GET"], "Quantity": 1 }, "Quantity": 1 },
                "TargetOriginId": "o",
            },
            "CacheBehaviors": { "Quantity": 0 },
            "WebACLId": "",
            "Logging": null,
            "NewerThing": { "Some": [1, { "A": false }], "not a name": 1 },
        });
        let expected = "<CallerReference>&lt;r&gt;</CallerReference>\
            <Aliases><Quantity>2</Quantity><Items><CNAME>a</CNAME><CNAME>b</CNAME></Items></Aliases>\
            <DefaultCacheBehavior><TargetOriginId>o</TargetOriginId><AllowedMethods><Quantity>1</Quantity>\
            <Items><Method>GET</Method></Items><CachedMethods><Quantity>1</Quantity><Items><Method>GET</Method></Items>\
            </CachedMethods></AllowedMethods><MinTTL>5</MinTTL></DefaultCacheBehavior>\
            <CacheBehaviors><Quantity>0</Quantity></CacheBehaviors><Enabled>true</Enabled><WebACLId></WebACLId>\
            <NewerThing><Some><member>1</member><member><A>false</A></member></Some></NewerThing>";
        assert_eq!(written(&value, Secrets::Told), expected);
    }

    #[test]
    fn what_origins_are_sent_is_told_to_administrators_only() {
        let headers = json!({ "Quantity": 1, "Items": [{ "HeaderName": "x", "HeaderValue": "s3cret" }] });
        let value = json!({ "Origins": { "Items": [{ "Id": "o", "CustomHeaders": headers }] } });
        assert!(written(&value, Secrets::Told).contains("<HeaderValue>s3cret</HeaderValue>"));
        let hidden = written(&value, Secrets::Hidden);
        assert!(hidden.contains("<HeaderValue>********</HeaderValue>") && !hidden.contains("s3cret"));
    }
}

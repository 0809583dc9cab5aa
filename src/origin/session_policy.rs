//! The session policy of an origin's assumed role: read its objects, unwrap their keys, nothing else (s3
//! §5.5).

use serde::Serialize;

use crate::config::S3Origin;

/// What STS takes as an inline policy, in characters (s3 §5.5).
pub const MAX_CHARACTERS: usize = 2048;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error(
        "the session policy has {0} characters and STS takes {MAX_CHARACTERS}; list fewer KMS keys or shorten \
         the origin path"
    )]
    TooLong(usize),
}

/// The policy as minified JSON in ASCII: `s3:GetObject` under the origin path, and `kms:Decrypt` with the
/// origin's keys, but only through S3 in its Region, and only for this bucket. The encryption context is the
/// bucket's ARN with a Bucket Key, else the object's; a bucket can hold both kinds (s3 §4.2).
///
/// # Errors
/// When it is longer than [`MAX_CHARACTERS`].
pub fn document(origin: &S3Origin, origin_path: &str) -> Result<String, PolicyError> {
    let bucket = format!("arn:{}:s3:::{}", partition(&origin.region), literal(&origin.bucket));
    let objects = format!("{bucket}{}/*", literal(origin_path));
    let policy = Policy {
        version: "2012-10-17",
        statement: (
            Read { effect: "Allow", action: "s3:GetObject", resource: &objects },
            Unwrap {
                effect: "Allow",
                action: "kms:Decrypt",
                resource: if origin.kms_keys.is_empty() {
                    vec!["*"]
                } else {
                    origin.kms_keys.iter().map(AsRef::as_ref).collect()
                },
                condition: Condition {
                    string_equals: ViaService { service: format!("s3.{}.amazonaws.com", origin.region) },
                    string_like: Context { arn: [&bucket, &objects] },
                },
            },
        ),
    };
    let text = to_ascii(&serde_json::to_string(&policy).expect("strings and lists always become JSON"));
    if text.len() > MAX_CHARACTERS { Err(PolicyError::TooLong(text.len())) } else { Ok(text) }
}

/// The partition that ARNs of a Region begin with (s3 §3).
#[must_use]
pub fn partition(region: &str) -> &'static str {
    let prefixes = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("eusc-", "aws-eusc"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
    ];
    prefixes.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

// Structs, not a map: the order of the keys is ours, whatever features serde_json was built with.

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy<'a> {
    version: &'static str,
    statement: (Read<'a>, Unwrap<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Read<'a> {
    effect: &'static str,
    action: &'static str,
    resource: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unwrap<'a> {
    effect: &'static str,
    action: &'static str,
    resource: Vec<&'a str>,
    condition: Condition<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Condition<'a> {
    string_equals: ViaService,
    string_like: Context<'a>,
}

/// Ends in `.amazonaws.com` in every partition (s3 §3).
#[derive(Serialize)]
struct ViaService {
    #[serde(rename = "kms:ViaService")]
    service: String,
}

#[derive(Serialize)]
struct Context<'a> {
    #[serde(rename = "kms:EncryptionContext:aws:s3:arn")]
    arn: [&'a str; 2],
}

/// IAM's wildcards and its variables' sign stand for themselves in a name: `${*}`, `${?}`, `${$}`.
fn literal(name: &str) -> String {
    name.chars().fold(String::with_capacity(name.len()), |mut out, c| {
        match c {
            '*' | '?' | '$' => out.extend(['$', '{', c, '}']),
            _ => out.push(c),
        }
        out
    })
}

/// STS takes no character beyond U+00FF (s3 §5.5); JSON can say any of them in ASCII.
fn to_ascii(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
        out
    })
}

#[cfg(test)]
mod tests;

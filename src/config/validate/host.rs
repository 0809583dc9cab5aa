//! The names that S3 gives to buckets (s3 §3), read and made. Pure: text in, text out.

/// A bucket's REST name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct S3Host {
    pub bucket: String,
    /// `None`: the legacy global form, `BUCKET.s3.amazonaws.com`.
    pub region: Option<String>,
    /// Between bucket and Region: `s3`, `s3.dualstack`, `s3-fips` or `s3-fips.dualstack`.
    pub service: String,
}

/// Why a host cannot be an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostError {
    #[error("carries a scheme, a port or a path")]
    NotAlone,
    #[error(
        "is an S3 website endpoint: it speaks http only and answers anonymous reads only, so signing is pointless \
         and private or KMS-encrypted objects can never be read"
    )]
    Website { rest_name: String },
    #[error("{0} are not supported yet")]
    NotYet(&'static str),
    #[error("names no bucket")]
    NoBucket,
    #[error("is not in the partition of Region {region}, whose names end in {suffix}")]
    OtherPartition { region: String, suffix: &'static str },
    #[error("is a host name and not a bucket's name")]
    HostAsBucket,
    #[error("is reached with SigV4A signatures, which this edge cannot make")]
    SigV4A,
    #[error("is not the name of an S3 bucket")]
    NotS3,
}

impl HostError {
    pub(super) fn fix(&self) -> String {
        match self {
            Self::NotAlone => "write the host name alone".to_owned(),
            Self::Website { rest_name } => {
                format!(
                    "use the bucket's REST name: domain_name = \"{rest_name}\"; for a public website add \
                     [distribution.origin.custom_origin], in CloudFront's JSON CustomOriginConfig"
                )
            }
            Self::NotYet(_) | Self::NoBucket | Self::OtherPartition { .. } => {
                "use the bucket's regional name, BUCKET.s3.REGION.amazonaws.com".to_owned()
            }
            Self::HostAsBucket => "write it as domain_name, or only the bucket's own name".to_owned(),
            Self::SigV4A => "name the bucket, or the access point's alias, of one Region".to_owned(),
            Self::NotS3 => {
                "for a store that speaks S3, give bucket, region and endpoint; for any other HTTP server add \
                 [distribution.origin.custom_origin], in CloudFront's JSON CustomOriginConfig"
                    .to_owned()
            }
        }
    }
}

/// Takes a domain name apart. Case does not matter (behaviour §1.5).
pub(super) fn parse(name: &str) -> Result<S3Host, HostError> {
    if name.contains(['/', ':', '@', '?', '#']) {
        return Err(HostError::NotAlone);
    }
    let name = name.to_ascii_lowercase();
    check(&name)?;
    let (rest, suffix) = split_suffix(&name).ok_or(HostError::NotS3)?;
    let labels: Vec<&str> = rest.split('.').collect();
    let (bucket, service, region) = match labels.as_slice() {
        [bucket @ .., "s3"] => (bucket, "s3", None),
        [bucket @ .., "s3", "dualstack", region] => (bucket, "s3.dualstack", Some(*region)),
        [bucket @ .., "s3-fips", "dualstack", region] => (bucket, "s3-fips.dualstack", Some(*region)),
        [bucket @ .., "s3", region] => (bucket, "s3", Some(*region)),
        [bucket @ .., "s3-fips", region] => (bucket, "s3-fips", Some(*region)),
        // Older names of the same hosts.
        [bucket @ .., "s3-external-1"] => (bucket, "s3", Some("us-east-1")),
        [bucket @ .., old] if old_region(old).is_some() => (bucket, "s3", old_region(old)),
        _ if labels.iter().any(|label| label.starts_with("s3")) => {
            return Err(HostError::NotYet("S3 hosts of this shape"));
        }
        _ => return Err(HostError::NotS3),
    };
    if bucket.is_empty() {
        return Err(HostError::NoBucket);
    }
    let expected = region.map_or(Some("amazonaws.com"), self::suffix);
    match (expected, region) {
        (Some(expected), Some(region)) if expected != suffix => {
            Err(HostError::OtherPartition { region: region.to_owned(), suffix: expected })
        }
        (Some(expected), None) if expected != suffix => Err(HostError::NotYet("S3 hosts of this shape")),
        _ => Ok(S3Host {
            bucket: bucket.join("."),
            region: region.map(str::to_owned),
            service: service.to_owned(),
        }),
    }
}

/// `s3-us-west-2` → `us-west-2`
fn old_region(label: &str) -> Option<&str> {
    let region = label.strip_prefix("s3-")?;
    let parts: Vec<&str> = region.split('-').collect();
    let [area, .., number] = parts.as_slice() else { return None };
    let is_area = area.len() == 2 && area.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_area && is_number && parts.len() > 2).then_some(region)
}

/// What is wrong with a host of S3's that was written where a bucket's name belongs; `None` for any other name.
pub(super) fn as_bucket(name: &str) -> Option<HostError> {
    split_suffix(name)?;
    Some(check(name).err().unwrap_or(HostError::HostAsBucket))
}

/// Refuses hosts, of domain names and of endpoints, that do not answer signed reads of a bucket. Lower-case.
pub(super) fn check(host: &str) -> Result<(), HostError> {
    if host.contains("s3-website") {
        return Err(HostError::Website { rest_name: rest_name(host) });
    }
    if host.contains("accesspoint.s3-global") && split_suffix(host).is_some() {
        return Err(HostError::SigV4A);
    }
    const SHAPES: [(&str, &str); 4] = [
        ("s3-accelerate", "Transfer Acceleration hosts"),
        ("s3-accesspoint", "access points but by their alias"),
        ("s3-object-lambda", "Object Lambda hosts but by their alias"),
        ("s3express-", "directory buckets"),
    ];
    match SHAPES.iter().find(|(part, _)| host.contains(part) && split_suffix(host).is_some()) {
        Some((_, shape)) => Err(HostError::NotYet(shape)),
        None => Ok(()),
    }
}

/// The suffix of a Region's partition; `None` for the isolated ones, which have suffixes of their own (s3 §3).
pub(super) fn suffix(region: &str) -> Option<&'static str> {
    if region.contains("-iso") {
        None
    } else if region.starts_with("cn-") {
        Some("amazonaws.com.cn")
    } else if region.starts_with("eusc-") {
        Some("amazonaws.eu")
    } else {
        Some("amazonaws.com")
    }
}

/// `B.s3-website-R.SUFFIX` and `B.s3-website.R.SUFFIX` → `B.s3.R.SUFFIX`
fn rest_name(website: &str) -> String {
    let parts = website.split_once(".s3-website");
    let parts = parts.and_then(|(bucket, rest)| Some((bucket, rest.strip_prefix(['.', '-'])?)));
    match parts {
        Some((bucket, region_and_suffix)) => format!("{bucket}.s3.{region_and_suffix}"),
        None => "BUCKET.s3.REGION.amazonaws.com".to_owned(),
    }
}

fn split_suffix(host: &str) -> Option<(&str, &'static str)> {
    ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"].into_iter().find_map(|suffix| {
        let rest = host.strip_suffix(suffix)?.strip_suffix('.')?;
        Some((rest, suffix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// s3 §3, behaviour §1.5
    #[test]
    fn forms_that_name_a_bucket() {
        for (name, bucket, region, service) in [
            ("site.s3.eu-west-1.amazonaws.com", "site", Some("eu-west-1"), "s3"),
            ("Site.S3.EU-West-1.amazonaws.com", "site", Some("eu-west-1"), "s3"),
            ("my.site.s3.eu-west-1.amazonaws.com", "my.site", Some("eu-west-1"), "s3"),
            ("my.s3.site.s3.eu-west-1.amazonaws.com", "my.s3.site", Some("eu-west-1"), "s3"),
            ("site.s3.amazonaws.com", "site", None, "s3"),
            ("site.s3.cn-north-1.amazonaws.com.cn", "site", Some("cn-north-1"), "s3"),
            ("site.s3.eusc-de-east-1.amazonaws.eu", "site", Some("eusc-de-east-1"), "s3"),
            ("site.s3.dualstack.us-east-2.amazonaws.com", "site", Some("us-east-2"), "s3.dualstack"),
            ("site.s3-fips.us-east-2.amazonaws.com", "site", Some("us-east-2"), "s3-fips"),
            ("site.s3-us-west-2.amazonaws.com", "site", Some("us-west-2"), "s3"),
            ("my.site.s3-us-gov-west-1.amazonaws.com", "my.site", Some("us-gov-west-1"), "s3"),
            ("site.s3-external-1.amazonaws.com", "site", Some("us-east-1"), "s3"),
            // behaviour §1.5, §10.3
            ("ap-abc-s3alias.s3.us-east-1.amazonaws.com", "ap-abc-s3alias", Some("us-east-1"), "s3"),
            ("ol-abc--ol-s3.s3.us-east-1.amazonaws.com", "ol-abc--ol-s3", Some("us-east-1"), "s3"),
            (
                "site.s3-fips.dualstack.us-east-2.amazonaws.com",
                "site",
                Some("us-east-2"),
                "s3-fips.dualstack",
            ),
        ] {
            let expected = S3Host {
                bucket: bucket.to_owned(),
                region: region.map(str::to_owned),
                service: service.to_owned(),
            };
            assert_eq!(parse(name), Ok(expected), "{name}");
        }
    }

    /// s3 §3
    #[test]
    fn forms_that_cannot_be_read_from() {
        let website = |rest_name: &str| HostError::Website { rest_name: rest_name.to_owned() };
        let shape = HostError::NotYet("S3 hosts of this shape");
        for (name, expected) in [
            ("b.s3-website-us-east-1.amazonaws.com", website("b.s3.us-east-1.amazonaws.com")),
            ("b.s3-website.eu-central-1.amazonaws.com", website("b.s3.eu-central-1.amazonaws.com")),
            ("b.s3-accelerate.amazonaws.com", HostError::NotYet("Transfer Acceleration hosts")),
            (
                "a-123456789012.s3-accesspoint.us-east-1.amazonaws.com",
                HostError::NotYet("access points but by their alias"),
            ),
            ("x.mrap.accesspoint.s3-global.amazonaws.com", HostError::SigV4A),
            (
                "a.s3-object-lambda.us-east-1.amazonaws.com",
                HostError::NotYet("Object Lambda hosts but by their alias"),
            ),
            (
                "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
                HostError::NotYet("directory buckets"),
            ),
            ("b.s3-us-west.amazonaws.com", shape.clone()),
            ("b.s3-2.amazonaws.com", shape.clone()),
            ("s3-us-west-2.amazonaws.com", HostError::NoBucket),
            ("b.bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", shape.clone()),
            ("b.s3.amazonaws.com.cn", shape),
            ("s3.eu-west-1.amazonaws.com", HostError::NoBucket),
            (
                "b.s3.cn-north-1.amazonaws.com",
                HostError::OtherPartition { region: "cn-north-1".to_owned(), suffix: "amazonaws.com.cn" },
            ),
            ("my-lb.elb.us-east-1.amazonaws.com", HostError::NotS3),
            ("www.example.com", HostError::NotS3),
            ("b.s3.us-east-1.amazonaws.com.example.com", HostError::NotS3),
            ("https://b.s3.us-east-1.amazonaws.com", HostError::NotAlone),
            ("b.s3.us-east-1.amazonaws.com:443", HostError::NotAlone),
        ] {
            assert_eq!(parse(name), Err(expected), "{name}");
        }
    }
}

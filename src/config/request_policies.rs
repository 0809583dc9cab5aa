//! CloudFront's managed origin request policies (behaviour §4.9), known by name and by id.

use std::sync::Arc;

use super::{OriginRequestPolicy, Selection, ViewerHeader};

/// A managed policy, as far as this edge can follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    Supported(Arc<OriginRequestPolicy>),
    /// Without these headers, which take a database or what the connection does not tell yet.
    Partly(Arc<OriginRequestPolicy>, &'static [&'static str]),
}

/// Finds a managed policy by its name, with or without the console's `Managed-`, or by its id.
#[must_use]
pub fn managed(name_or_id: &str) -> Option<Managed> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(match row.headers {
        Headers::AllAndMade => Managed::Partly(Arc::new(policy(row)), &NOT_MADE),
        _ => Managed::Supported(Arc::new(policy(row))),
    })
}

/// Their names.
pub fn names<'a>() -> impl Iterator<Item = &'a str> {
    TABLE.iter().map(|row| row.name)
}

struct Row {
    name: &'static str,
    id: &'static str,
    headers: Headers,
    all_cookies: bool,
    all_query_strings: bool,
}

enum Headers {
    All,
    AllExcept(&'static [&'static str]),
    These(&'static [&'static str]),
    /// All, and what the edge makes of behaviour §4.9's list.
    AllAndMade,
}

/// Of the list of 2022-06.
const MADE: [ViewerHeader; 9] = [
    ViewerHeader::ForwardedProto,
    ViewerHeader::IsAndroid,
    ViewerHeader::IsDesktop,
    ViewerHeader::IsIos,
    ViewerHeader::IsMobile,
    ViewerHeader::IsSmartTv,
    ViewerHeader::IsTablet,
    ViewerHeader::Address,
    ViewerHeader::HttpVersion,
];
/// The rest of it.
const NOT_MADE: [&str; 12] = [
    "CloudFront-Viewer-ASN",
    "CloudFront-Viewer-City",
    "CloudFront-Viewer-Country",
    "CloudFront-Viewer-Country-Name",
    "CloudFront-Viewer-Country-Region",
    "CloudFront-Viewer-Country-Region-Name",
    "CloudFront-Viewer-Latitude",
    "CloudFront-Viewer-Longitude",
    "CloudFront-Viewer-Metro-Code",
    "CloudFront-Viewer-Postal-Code",
    "CloudFront-Viewer-Time-Zone",
    "CloudFront-Viewer-TLS",
];

const TABLE: [Row; 8] = [
    row("AllViewer", "216adef6-5c7f-47e4-b989-5492eafa07d3", Headers::All, true, true),
    row(
        "AllViewerExceptHostHeader",
        "b689b0a8-53d0-40ab-baf2-68738e2966ac",
        Headers::AllExcept(&["host"]),
        true,
        true,
    ),
    row(
        "AllViewerAndCloudFrontHeaders-2022-06",
        "33f36d7e-f396-46d9-90e0-52428a34d9dc",
        Headers::AllAndMade,
        true,
        true,
    ),
    row(
        "CORS-S3Origin",
        "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf",
        Headers::These(&["origin", "access-control-request-headers", "access-control-request-method"]),
        false,
        false,
    ),
    row(
        "CORS-CustomOrigin",
        "59781a5b-3903-41f3-afcb-af62929ccde1",
        Headers::These(&["origin"]),
        false,
        false,
    ),
    row(
        "UserAgentRefererHeaders",
        "acba4595-bd28-49b8-b9fe-13317c0390fa",
        Headers::These(&["user-agent", "referer"]),
        false,
        false,
    ),
    row("HostHeaderOnly", "bf0718e1-ba1e-49d1-88b1-f726733018ae", Headers::These(&["host"]), false, false),
    row(
        "Elemental-MediaTailor-PersonalizedManifests",
        "775133bc-15f2-49f9-abea-afb2e0bf67d2",
        Headers::These(&[
            "origin",
            "access-control-request-headers",
            "access-control-request-method",
            "user-agent",
            "x-forwarded-for",
        ]),
        false,
        true,
    ),
];

const fn row(
    name: &'static str,
    id: &'static str,
    headers: Headers,
    all_cookies: bool,
    all_query_strings: bool,
) -> Row {
    Row { name, id, headers, all_cookies, all_query_strings }
}

fn policy(row: &Row) -> OriginRequestPolicy {
    let list = |names: &[&str]| names.iter().copied().map(Arc::from).collect();
    let all_or_none = |all| if all { Selection::All } else { Selection::None };
    OriginRequestPolicy {
        name: Arc::from(row.name),
        headers: match row.headers {
            Headers::All | Headers::AllAndMade => Selection::All,
            Headers::AllExcept(names) => Selection::AllExcept(list(names)),
            Headers::These(names) => Selection::Whitelist(list(names)),
        },
        viewer_headers: match row.headers {
            Headers::AllAndMade => MADE.to_vec(),
            _ => Vec::new(),
        },
        cookies: all_or_none(row.all_cookies),
        query_strings: all_or_none(row.all_query_strings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// behaviour §4.9
    #[test]
    fn by_name_by_console_name_and_by_id() {
        let list = |names: &[&str]| names.iter().copied().map(Arc::from).collect::<Vec<Arc<str>>>();
        for (asked, headers, cookies, query_strings) in [
            ("AllViewer", Selection::All, Selection::All, Selection::All),
            (
                "b689b0a8-53d0-40ab-baf2-68738e2966ac",
                Selection::AllExcept(list(&["host"])),
                Selection::All,
                Selection::All,
            ),
            (
                "Managed-CORS-CustomOrigin",
                Selection::Whitelist(list(&["origin"])),
                Selection::None,
                Selection::None,
            ),
            (
                "ACBA4595-bd28-49b8-b9fe-13317c0390fa",
                Selection::Whitelist(list(&["user-agent", "referer"])),
                Selection::None,
                Selection::None,
            ),
        ] {
            let Some(Managed::Supported(policy)) = managed(asked) else { panic!("{asked}") };
            let found = (&policy.headers, &policy.cookies, &policy.query_strings);
            assert_eq!(found, (&headers, &cookies, &query_strings), "{asked}");
        }
        let Some(Managed::Partly(policy, lacking)) = managed("33f36d7e-f396-46d9-90e0-52428a34d9dc") else {
            panic!("it is known")
        };
        assert_eq!((&policy.headers, policy.viewer_headers.len(), lacking.len()), (&Selection::All, 9, 12));
        assert_eq!(managed("allviewer"), None);
        assert_eq!(names().count(), 8);
    }
}

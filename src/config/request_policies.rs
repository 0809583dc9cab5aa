//! CloudFront's managed origin request policies (behaviour §4.9), known by name and by id.

use std::sync::Arc;

use super::{OriginRequestPolicy, Selection, ViewerHeader};

/// Finds a managed policy by its name, with or without the console's `Managed-`, or by its id.
#[must_use]
pub fn managed(name_or_id: &str) -> Option<Arc<OriginRequestPolicy>> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(Arc::new(policy(row)))
}

/// The id of a managed policy, by its name or its id.
#[must_use]
pub fn managed_id(name_or_id: &str) -> Option<&'static str> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(row.id)
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
    /// All of the viewer's, and [`OF_2022_06`].
    AllAndMade,
}

/// behaviour §4.9
const OF_2022_06: [ViewerHeader; 21] = [
    ViewerHeader::ForwardedProto,
    ViewerHeader::IsAndroid,
    ViewerHeader::IsDesktop,
    ViewerHeader::IsIos,
    ViewerHeader::IsMobile,
    ViewerHeader::IsSmartTv,
    ViewerHeader::IsTablet,
    ViewerHeader::Address,
    ViewerHeader::Asn,
    ViewerHeader::City,
    ViewerHeader::Country,
    ViewerHeader::CountryName,
    ViewerHeader::CountryRegion,
    ViewerHeader::CountryRegionName,
    ViewerHeader::HttpVersion,
    ViewerHeader::Latitude,
    ViewerHeader::Longitude,
    ViewerHeader::MetroCode,
    ViewerHeader::PostalCode,
    ViewerHeader::TimeZone,
    ViewerHeader::Tls,
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
            Headers::AllAndMade => OF_2022_06.to_vec(),
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
            let Some(policy) = managed(asked) else { panic!("{asked}") };
            let found = (&policy.headers, &policy.cookies, &policy.query_strings);
            assert_eq!(found, (&headers, &cookies, &query_strings), "{asked}");
        }
        let geo = managed("AllViewerAndCloudFrontHeaders-2022-06");
        assert_eq!(geo.map(|policy| policy.viewer_headers.len()), Some(21));
        assert_eq!(managed("allviewer"), None);
        assert_eq!(names().count(), 8);
    }
}

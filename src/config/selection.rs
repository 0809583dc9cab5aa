//! Which headers, cookies or parameters a policy names, and which of a viewer's headers this edge can make itself.

use std::sync::Arc;

use crate::semantics::wildcard;

/// CloudFront's four behaviours (behaviour §1.7, §1.8). At most 10 names; a `*` is a name like any other (behaviour
/// §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    #[default]
    None,
    Whitelist(Vec<Arc<str>>),
    AllExcept(Vec<Arc<str>>),
    All,
    /// A whitelist whose names have wildcards, `*` and `?`: of legacy cookies alone (behaviour §1.6).
    Matching(Vec<Arc<str>>),
}

impl Selection {
    /// Case-sensitive (behaviour §4.2); names of headers are in lower case.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Whitelist(_) => self.lists(name),
            Self::AllExcept(_) => !self.lists(name),
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| wildcard::matches(pattern, name)),
        }
    }

    /// It takes `name`, and says so by name.
    #[must_use]
    pub fn whitelists(&self, name: &str) -> bool {
        matches!(self, Self::Whitelist(_)) && self.lists(name)
    }

    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The names that were typed, whatever they are for.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        match self {
            Self::Whitelist(names) | Self::AllExcept(names) | Self::Matching(names) => names,
            Self::None | Self::All => &[],
        }
    }

    fn lists(&self, name: &str) -> bool {
        self.names().iter().any(|listed| **listed == *name)
    }
}

/// A header that the edge makes from what it knows of the viewer (behaviour §4.7). What a viewer sends under such a
/// name is never looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewerHeader {
    ForwardedProto,
    HttpVersion,
    IsAndroid,
    IsDesktop,
    IsIos,
    IsMobile,
    IsSmartTv,
    IsTablet,
    Address,
    Tls,
    HeaderCount,
    HeaderOrder,
    /// Of the request that failed, when an error page is fetched.
    ErrorUri,
    ErrorArgs,
    /// This and the rest: where the viewer is, which takes a database.
    Country,
    CountryName,
    CountryRegion,
    CountryRegionName,
    City,
    PostalCode,
    MetroCode,
    Latitude,
    Longitude,
    TimeZone,
    Asn,
}

impl ViewerHeader {
    const ALL: [Self; 25] = [
        Self::ForwardedProto,
        Self::HttpVersion,
        Self::IsAndroid,
        Self::IsDesktop,
        Self::IsIos,
        Self::IsMobile,
        Self::IsSmartTv,
        Self::IsTablet,
        Self::Address,
        Self::Tls,
        Self::HeaderCount,
        Self::HeaderOrder,
        Self::ErrorUri,
        Self::ErrorArgs,
        Self::Country,
        Self::CountryName,
        Self::CountryRegion,
        Self::CountryRegionName,
        Self::City,
        Self::PostalCode,
        Self::MetroCode,
        Self::Latitude,
        Self::Longitude,
        Self::TimeZone,
        Self::Asn,
    ];

    /// In lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ForwardedProto => "cloudfront-forwarded-proto",
            Self::HttpVersion => "cloudfront-viewer-http-version",
            Self::IsAndroid => "cloudfront-is-android-viewer",
            Self::IsDesktop => "cloudfront-is-desktop-viewer",
            Self::IsIos => "cloudfront-is-ios-viewer",
            Self::IsMobile => "cloudfront-is-mobile-viewer",
            Self::IsSmartTv => "cloudfront-is-smarttv-viewer",
            Self::IsTablet => "cloudfront-is-tablet-viewer",
            Self::Address => "cloudfront-viewer-address",
            Self::Tls => "cloudfront-viewer-tls",
            Self::HeaderCount => "cloudfront-viewer-header-count",
            Self::HeaderOrder => "cloudfront-viewer-header-order",
            Self::ErrorUri => "cloudfront-error-uri",
            Self::ErrorArgs => "cloudfront-error-args",
            Self::Country => "cloudfront-viewer-country",
            Self::CountryName => "cloudfront-viewer-country-name",
            Self::CountryRegion => "cloudfront-viewer-country-region",
            Self::CountryRegionName => "cloudfront-viewer-country-region-name",
            Self::City => "cloudfront-viewer-city",
            Self::PostalCode => "cloudfront-viewer-postal-code",
            Self::MetroCode => "cloudfront-viewer-metro-code",
            Self::Latitude => "cloudfront-viewer-latitude",
            Self::Longitude => "cloudfront-viewer-longitude",
            Self::TimeZone => "cloudfront-viewer-time-zone",
            Self::Asn => "cloudfront-viewer-asn",
        }
    }

    /// Others are forwarded only (behaviour §4.2, §4.7): they tell more of one connection or request than of an object.
    #[must_use]
    pub fn may_be_keyed(self) -> bool {
        !matches!(self, Self::Address | Self::Tls | Self::ErrorUri | Self::ErrorArgs | Self::Asn)
    }

    /// It says where the viewer is.
    #[must_use]
    pub fn is_of_place(self) -> bool {
        matches!(
            self,
            Self::Country
                | Self::CountryName
                | Self::CountryRegion
                | Self::CountryRegionName
                | Self::City
                | Self::PostalCode
                | Self::MetroCode
                | Self::Latitude
                | Self::Longitude
                | Self::TimeZone
                | Self::Asn
        )
    }

    /// `name` in lower case. `None`: this edge does not make it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|header| header.name() == name)
    }
}

//! What do the `CloudFront-*` headers say of this viewer (behaviour §4.7)?

use std::borrow::Cow;
use std::net::SocketAddr;

use http::Version;
use http::header::USER_AGENT;
use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::config::ViewerHeader;
use crate::semantics::fields::Fields;
use crate::semantics::place::Place;
use crate::semantics::view::{Begun, Session, View};

/// Longest `CloudFront-Viewer-Header-Order`.
const MAX_ORDER: usize = 7_680;

/// A header's value. `None`: the address, which is not the request's, or what is not known and so is not sent.
#[must_use]
pub fn of_request<'v>(header: ViewerHeader, view: &'v View<'_, impl Fields>) -> Option<Cow<'v, str>> {
    let agent = || Device::of(view.headers.first(&USER_AGENT).unwrap_or_default());
    let failed = view.viewer.failed;
    Some(Cow::Borrowed(match header {
        ViewerHeader::ForwardedProto if view.secure => "https",
        ViewerHeader::ForwardedProto => "http",
        ViewerHeader::HttpVersion => match view.version {
            Version::HTTP_3 => "3.0",
            Version::HTTP_2 => "2.0",
            Version::HTTP_11 => "1.1",
            _ => "1.0",
        },
        ViewerHeader::IsAndroid => said(agent().android),
        ViewerHeader::IsDesktop => said(agent().is_desktop()),
        ViewerHeader::IsIos => said(agent().ios),
        ViewerHeader::IsMobile => said(agent().mobile),
        ViewerHeader::IsSmartTv => said(agent().smart_tv),
        ViewerHeader::IsTablet => said(agent().tablet),
        ViewerHeader::Address => return None,
        ViewerHeader::Tls => return view.viewer.session.map(|session| Cow::Owned(tls(session))),
        ViewerHeader::HeaderCount => return Some(Cow::Owned(view.headers.lines().count().to_string())),
        ViewerHeader::HeaderOrder => return Some(Cow::Owned(order(view.headers))),
        ViewerHeader::ErrorUri => failed?.0,
        ViewerHeader::ErrorArgs => failed?.1?,
        _ => return of_place(header, view.viewer.place.as_deref()?),
    }))
}

fn of_place<'v>(header: ViewerHeader, place: &Place<'v>) -> Option<Cow<'v, str>> {
    let number = |number: Option<u32>| number.map(|number| Cow::Owned(number.to_string()));
    let degrees = |degrees: Option<f64>| degrees.map(|degrees| Cow::Owned(degrees.to_string()));
    let text = match header {
        ViewerHeader::Country => place.country,
        ViewerHeader::CountryName => place.country_name,
        ViewerHeader::CountryRegion => place.region,
        ViewerHeader::CountryRegionName => place.region_name,
        ViewerHeader::City => place.city,
        ViewerHeader::PostalCode => place.postal_code,
        ViewerHeader::TimeZone => place.time_zone,
        ViewerHeader::MetroCode => return number(place.metro_code),
        ViewerHeader::Asn => return number(place.asn),
        ViewerHeader::Latitude => return degrees(place.latitude),
        ViewerHeader::Longitude => return degrees(place.longitude),
        _ => None,
    };
    // Beyond ASCII: percent-encoded (behaviour §4.7).
    text.map(|text| utf8_percent_encode(text, CONTROLS).into())
}

/// A header's value; an IPv6 address stands without brackets, as CloudFront writes it.
#[must_use]
pub fn value<'v>(header: ViewerHeader, view: &'v View<'_>, viewer: SocketAddr) -> Option<Cow<'v, str>> {
    match header {
        ViewerHeader::Address => {
            Some(Cow::Owned(format!("{}:{}", viewer.ip().to_canonical(), viewer.port())))
        }
        _ => of_request(header, view),
    }
}

fn tls(Session { protocol, cipher, begun }: Session) -> String {
    let begun = match begun {
        Begun::FullHandshake => "fullHandshake",
        Begun::SessionResumed => "sessionResumed",
        Begun::ConnectionReused => "connectionReused",
    };
    format!("{protocol}:{cipher}:{begun}")
}

/// Names in lower case, in the order in which they first came; how often each came is not told.
fn order(headers: &impl Fields) -> String {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in headers.lines() {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.to_ascii_lowercase());
        }
    }
    let mut order = names.join(":");
    order.truncate(MAX_ORDER); // names are ASCII
    order
}

fn said(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// What a `User-Agent` says of the device. CloudFront's own rules are not public; these are the common ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Device {
    android: bool,
    ios: bool,
    mobile: bool,
    smart_tv: bool,
    tablet: bool,
}

impl Device {
    fn of(agent: &[u8]) -> Self {
        const TVS: [&str; 10] = [
            "SmartTV",
            "SMART-TV",
            "Smart-TV",
            "HbbTV",
            "AppleTV",
            "GoogleTV",
            "Android TV",
            "BRAVIA",
            "Web0S",
            "CrKey",
        ];
        let has = |word: &str| agent.windows(word.len()).any(|window| window == word.as_bytes());
        let smart_tv = TVS.into_iter().any(has);
        let android = has("Android");
        let ios = has("iPhone") || has("iPad") || has("iPod");
        let silent_android = android && !has("Mobile") && !smart_tv;
        let tablet = has("iPad") || has("Tablet") || has("Kindle") || has("Silk/") || silent_android;
        let mobile = !tablet && !smart_tv && (has("Mobi") || has("iPhone") || has("iPod"));
        Self { android, ios, mobile, smart_tv, tablet }
    }

    fn is_desktop(self) -> bool {
        !(self.mobile || self.smart_tv || self.tablet)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, Request};

    use super::*;
    use crate::semantics::view;

    #[test]
    fn devices_by_user_agent() {
        // Words: a android, i iOS, d desktop, m mobile, t tablet, v smart TV
        let table = [
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36", "d"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
                "im",
            ),
            ("Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Version/16.0 Mobile/15E148 Safari/604.1", "it"),
            ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/130.0 Mobile Safari/537.36", "am"),
            ("Mozilla/5.0 (Linux; Android 14; SM-X910) Chrome/130.0 Safari/537.36", "at"),
            ("Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) Version/7.0 TV Safari/538.1", "v"),
            ("Mozilla/5.0 (Linux; Android 12; BRAVIA 4K) Chrome/100.0 Safari/537.36", "av"),
            ("curl/8.10", "d"),
            ("", "d"),
        ];
        for (agent, expected) in table {
            let device = Device::of(agent.as_bytes());
            let said = [
                (device.android, 'a'),
                (device.ios, 'i'),
                (device.is_desktop(), 'd'),
                (device.mobile, 'm'),
                (device.tablet, 't'),
                (device.smart_tv, 'v'),
            ];
            let said: String = said.iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
            assert_eq!(said, expected, "{agent}");
        }
    }

    #[test]
    fn what_the_connection_tells() {
        let of = |secure, version, address: &str, header| {
            let request = Request::builder().uri("/a").version(version).header("host", "h").body(()).unwrap();
            let (parts, ()) = request.into_parts();
            let view = view::parse(&parts, secure).unwrap();
            value(header, &view, address.parse().unwrap()).unwrap().into_owned()
        };
        use ViewerHeader::*;
        for (secure, version, address, header, expected) in [
            (true, Version::HTTP_2, "192.0.2.1:5", ForwardedProto, "https"),
            (false, Version::HTTP_11, "192.0.2.1:5", ForwardedProto, "http"),
            (true, Version::HTTP_2, "192.0.2.1:5", HttpVersion, "2.0"),
            (true, Version::HTTP_11, "192.0.2.1:5", HttpVersion, "1.1"),
            (true, Version::HTTP_10, "192.0.2.1:5", HttpVersion, "1.0"),
            (true, Version::HTTP_11, "198.51.100.10:46532", Address, "198.51.100.10:46532"),
            (true, Version::HTTP_11, "[2001:db8::1]:46532", Address, "2001:db8::1:46532"),
            (true, Version::HTTP_11, "[::ffff:192.0.2.1]:5", Address, "192.0.2.1:5"),
        ] {
            assert_eq!(of(secure, version, address, header), expected, "{header:?} {address}");
        }
    }

    /// behaviour §4.7
    #[test]
    fn what_is_known_beside_the_request() {
        let request = Request::builder()
            .uri("/a")
            .header("host", "h")
            .header("X-B", "1")
            .header("accept", "*/*")
            .header("x-b", "2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut view = view::parse(&parts, true).unwrap();
        let of = |view: &View<'_>, header| of_request(header, view).map(Cow::into_owned);
        use ViewerHeader::*;
        assert_eq!(of(&view, HeaderCount).as_deref(), Some("4"));
        assert_eq!(of(&view, HeaderOrder).as_deref(), Some("host:x-b:accept"));
        for header in [Tls, ErrorUri, ErrorArgs, Address] {
            assert_eq!(of(&view, header), None, "{header:?}");
        }
        for (begun, expected) in [
            (Begun::FullHandshake, "TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake"),
            (Begun::SessionResumed, "TLSv1.3:TLS_AES_128_GCM_SHA256:sessionResumed"),
            (Begun::ConnectionReused, "TLSv1.3:TLS_AES_128_GCM_SHA256:connectionReused"),
        ] {
            view.viewer.session =
                Some(Session { protocol: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", begun });
            assert_eq!(of(&view, Tls).as_deref(), Some(expected));
        }
        for (failed, uri, args) in
            [(("/x", Some("y=1")), Some("/x"), Some("y=1")), (("/x", None), Some("/x"), None)]
        {
            view.viewer.failed = Some(failed);
            assert_eq!(of(&view, ErrorUri).as_deref(), uri);
            assert_eq!(of(&view, ErrorArgs).as_deref(), args);
        }
    }

    /// behaviour §4.7
    #[test]
    fn where_the_viewer_is() {
        use ViewerHeader::*;
        let place = Place {
            country: Some("BR"),
            country_name: Some("Brazil"),
            region: Some("SP"),
            region_name: Some("São Paulo"),
            city: Some("São Paulo"),
            postal_code: Some("01000"),
            metro_code: Some(501),
            latitude: Some(-23.5),
            longitude: Some(46.25),
            time_zone: Some("America/Sao_Paulo"),
            asn: Some(64_496),
        };
        for (header, expected) in [
            (Country, "BR"),
            (CountryName, "Brazil"),
            (CountryRegion, "SP"),
            (CountryRegionName, "S%C3%A3o Paulo"),
            (City, "S%C3%A3o Paulo"),
            (PostalCode, "01000"),
            (MetroCode, "501"),
            (Latitude, "-23.5"),
            (Longitude, "46.25"),
            (TimeZone, "America/Sao_Paulo"),
            (Asn, "64496"),
        ] {
            assert!(header.is_of_place(), "{header:?}");
            assert_eq!(of_place(header, &place).as_deref(), Some(expected), "{header:?}");
            assert_eq!(of_place(header, &Place::default()), None, "{header:?}");
        }
    }

    /// behaviour §4.7
    #[test]
    fn the_order_is_cut() {
        let mut headers = HeaderMap::new();
        for n in 0..1_000 {
            headers.insert(HeaderName::try_from(format!("x-{n:08}")).unwrap(), "v".parse().unwrap());
        }
        assert_eq!(order(&headers).len(), 7_680);
    }
}

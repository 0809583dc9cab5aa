//! What do the `CloudFront-*` headers say of this viewer (behaviour §4.7)?

use std::borrow::Cow;
use std::net::SocketAddr;

use http::Version;
use http::header::USER_AGENT;

use crate::config::ViewerHeader;
use crate::semantics::view::View;

/// A header's value, `None` for what the request alone does not tell: the address.
#[must_use]
pub fn of_request(header: ViewerHeader, view: &View<'_>) -> Option<&'static str> {
    let agent = || Device::of(view.headers.get(USER_AGENT).map_or(&[], |agent| agent.as_bytes()));
    Some(match header {
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
    })
}

/// A header's value; an IPv6 address stands without brackets, as CloudFront writes it.
#[must_use]
pub fn value(header: ViewerHeader, view: &View<'_>, viewer: SocketAddr) -> Cow<'static, str> {
    match of_request(header, view) {
        Some(value) => Cow::Borrowed(value),
        None => Cow::Owned(format!("{}:{}", viewer.ip().to_canonical(), viewer.port())),
    }
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
    use http::Request;

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
            value(header, &view, address.parse().unwrap()).into_owned()
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
}

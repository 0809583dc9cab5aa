//! May a viewer in this country have it (behaviour §12.1)?

use crate::config::GeoRestriction;

/// A viewer of whom nobody knows where it is may.
#[must_use]
pub fn blocks(restriction: &GeoRestriction, country: Option<&str>) -> bool {
    let Some(country) = country else { return false };
    let lists = |countries: &[[u8; 2]]| countries.iter().any(|listed| listed == country.as_bytes());
    match restriction {
        GeoRestriction::Blacklist(countries) => lists(countries),
        GeoRestriction::Whitelist(countries) => !lists(countries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_where_may() {
        use GeoRestriction::{Blacklist, Whitelist};
        let two = || vec![*b"DE", *b"FR"];
        // behaviour §12.1
        for (restriction, country, expected) in [
            (Blacklist(two()), Some("DE"), true),
            (Blacklist(two()), Some("US"), false),
            (Blacklist(two()), None, false),
            (Whitelist(two()), Some("FR"), false),
            (Whitelist(two()), Some("US"), true),
            (Whitelist(two()), Some("de"), true), // codes are in capitals
            (Whitelist(two()), None, false),
        ] {
            assert_eq!(blocks(&restriction, country), expected, "{restriction:?} {country:?}");
        }
    }
}

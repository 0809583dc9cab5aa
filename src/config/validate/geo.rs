//! Where places come from, who is let in, and whose policies need to know (behaviour §1.6, §4.7, §12.1).

use std::path::PathBuf;

use super::super::raw::{self, At, Field, List, Typed};
use super::super::{CachePolicy, GeoRestriction, OriginRequestPolicy, ViewerHeader};
use super::report::Report;

const NAME_ONE: &str =
    "name a MaxMind Country or City database: [geo] database = \"GeoLite2-City.mmdb\", or --geo-database";

/// ISO 3166-1 alpha-2, and XK, as databases write Kosovo.
const COUNTRIES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG \
UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// The database's file.
pub(super) fn database(report: &mut Report, raw: &raw::Geo) -> Option<PathBuf> {
    let Typed { value, at } = raw.database.given()?;
    if value.as_os_str().is_empty() {
        report.error(at, "is empty", NAME_ONE);
    }
    if !cfg!(feature = "geo") {
        let message = "this binary was built without the feature \"geo\"";
        report.error(at, message, "build it with the feature, or leave the database out");
    }
    Some(value.clone())
}

/// Who is let in. `None`: everybody.
pub(super) fn restriction(
    report: &mut Report,
    field: &Field<raw::GeoRestriction>,
    has_places: bool,
) -> Option<GeoRestriction> {
    const TYPES: &str = "\"none\", \"blacklist\" or \"whitelist\"";
    let Typed { value: raw, at } = field.given()?;
    let countries = locations(report, &raw.locations);
    let word = raw.restriction_type.given();
    let restriction = match word.map(|word| word.value.as_str()) {
        Some("blacklist") => Some(GeoRestriction::Blacklist(countries)),
        Some("whitelist") => Some(GeoRestriction::Whitelist(countries)),
        Some("none") => None,
        Some(other) => {
            let at = word.map_or(at, |word| &word.at);
            let message = format!("InvalidGeoRestrictionParameter: {other:?} is not {TYPES}");
            report.error(at, message, format!("write {TYPES}"));
            return None;
        }
        None => {
            if raw.restriction_type.is_absent() {
                let message = "InvalidGeoRestrictionParameter: is missing";
                report.error(&at.child("restriction_type"), message, format!("write {TYPES}"));
            }
            return None;
        }
    };
    let listed = raw.locations.given().filter(|listed| !listed.value.is_empty());
    match (&restriction, listed) {
        (None, Some(listed)) => {
            let message = "InvalidGeoRestrictionParameter: \"none\" takes no locations";
            report.error(&listed.at, message, "leave them out, or write \"blacklist\" or \"whitelist\"");
        }
        (Some(_), None) if !matches!(raw.locations, Field::Unreadable) => {
            let message = "InvalidGeoRestrictionParameter: no location is named";
            report.error(&at.child("locations"), message, "name at least one, such as \"DE\"");
        }
        _ => {}
    }
    if restriction.is_some() && !has_places {
        report.error(at, "nobody knows where viewers are: there is no database of places", NAME_ONE);
    }
    restriction
}

fn locations(report: &mut Report, list: &List<String>) -> Vec<[u8; 2]> {
    report.unique(list.items(), "the location");
    let mut countries = Vec::new();
    for typed in list.items() {
        match <[u8; 2]>::try_from(typed.value.as_bytes()) {
            Ok(code) if COUNTRIES.split(' ').any(|known| known == typed.value) => countries.push(code),
            _ => {
                let message = format!("InvalidLocationCode: {:?} is not the code of a country", typed.value);
                report.error(&typed.at, message, "write two capital letters of ISO 3166-1, such as \"DE\"");
            }
        }
    }
    countries
}

/// Without a database a key would be another one than the policy says; the origin would only be told less.
pub(super) fn require_places(
    report: &mut Report,
    behavior: &At,
    raw: &raw::Behavior,
    (cache, request): (&CachePolicy, Option<&OriginRequestPolicy>),
    has_places: bool,
) {
    if has_places {
        return;
    }
    let of_place = |headers: &[ViewerHeader]| {
        headers.iter().filter(|header| header.is_of_place()).map(|header| header.name()).collect::<Vec<_>>()
    };
    let keyed = of_place(&cache.viewer_headers);
    if !keyed.is_empty() {
        let (policy, legacy) = (raw.cache_policy.given(), raw.forwarded_values.given());
        let at = policy.map(|typed| &typed.at).or(legacy.map(|typed| &typed.at)).unwrap_or(behavior);
        let message = format!("the cache key has {}, and there is no database of places", keyed.join(", "));
        report.error(at, message, NAME_ONE);
    }
    let told = request.map(|policy| of_place(&policy.viewer_headers)).unwrap_or_default();
    if let Some(typed) = raw.origin_request_policy.given().filter(|_| !told.is_empty()) {
        let message =
            format!("there is no database of places, so the origin is not told {}", told.join(", "));
        report.warn(&typed.at, message, NAME_ONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_there_once() {
        let codes: Vec<_> = COUNTRIES.split(' ').collect();
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        assert!(codes.iter().all(|code| code.len() == 2));
        assert_eq!(codes.len(), 249 + 1); // ISO 3166-1, and XK
    }
}

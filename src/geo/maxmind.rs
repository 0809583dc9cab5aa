//! The format of MaxMind's Country, City and Enterprise databases, and of those that others make alike.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions, path};
use serde::Deserialize;

use super::OpenError;
use crate::semantics::place::Place;

/// Networks that are looked at until one has a country.
const PROBED: usize = 10_000;

/// Read once, and kept in memory whole.
#[derive(Debug)]
pub struct Database {
    reader: Reader<Vec<u8>>,
}

impl Database {
    /// Reads the whole file.
    ///
    /// # Errors
    /// [`OpenError`]; also for a database that knows no countries, such as one of autonomous systems alone.
    pub fn open(file: &Path) -> Result<Self, OpenError> {
        let bytes =
            std::fs::read(file).map_err(|source| OpenError::Unreadable { file: file.into(), source })?;
        let damaged =
            |error: MaxMindDbError| OpenError::Damaged { file: file.into(), reason: error.to_string() };
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        // So that a damaged tree comes to an end, too.
        let everything = WithinOptions::default().include_networks_without_data();
        let mut networks = reader.networks(everything).map_err(damaged)?.take(PROBED);
        let tells = networks.any(|network| network.is_ok_and(|network| country(&network).is_some()));
        if !tells {
            return Err(OpenError::NoCountries(file.into()));
        }
        Ok(Self { reader })
    }

    /// Where `address` is. Of a row that is damaged, or otherwise than MaxMind's, at least the country is told.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Place<'_> {
        let Ok(found) = self.reader.lookup(address.to_canonical()) else { return Place::default() };
        match found.decode::<Row<'_>>() {
            Ok(row) => row.map_or_else(Place::default, |row| row.place()),
            Err(_) => Place { country: country(&found), ..Place::default() },
        }
    }
}

fn country<'a>(found: &LookupResult<'a, Vec<u8>>) -> Option<&'a str> {
    found.decode_path(&path!["country", "iso_code"]).ok().flatten()
}

/// What of a row is of use here. Whole numbers are `i64`, which the reader takes from any of the format's kinds. Names in English.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Row<'a> {
    country: Named<'a>,
    /// From the largest to the smallest.
    subdivisions: Vec<Named<'a>>,
    city: Named<'a>,
    postal: Postal<'a>,
    location: Location<'a>,
    traits: Traits,
    autonomous_system_number: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Named<'a> {
    iso_code: Option<&'a str>,
    names: Names<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Postal<'a> {
    #[serde(borrow)]
    code: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    metro_code: Option<i64>,
    #[serde(borrow)]
    time_zone: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Traits {
    autonomous_system_number: Option<i64>,
}

impl<'a> Row<'a> {
    fn place(&self) -> Place<'a> {
        let whole = |number: i64| u32::try_from(number).ok();
        let region = self.subdivisions.first();
        Place {
            country: self.country.iso_code,
            country_name: self.country.names.en,
            region: region.and_then(|region| region.iso_code),
            region_name: region.and_then(|region| region.names.en),
            city: self.city.names.en,
            postal_code: self.postal.code,
            metro_code: self.location.metro_code.and_then(whole),
            latitude: self.location.latitude,
            longitude: self.location.longitude,
            time_zone: self.location.time_zone,
            asn: self.autonomous_system_number.or(self.traits.autonomous_system_number).and_then(whole),
        }
    }
}

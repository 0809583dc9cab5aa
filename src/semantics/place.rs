//! Where a viewer is, as far as a database tells (behaviour §4.7, §12.1). What it does not tell is `None`.

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Place<'a> {
    /// ISO 3166-1 alpha-2, such as `DE`.
    pub country: Option<&'a str>,
    pub country_name: Option<&'a str>,
    /// The country's largest division, by ISO 3166-2 without the country: at most three characters.
    pub region: Option<&'a str>,
    pub region_name: Option<&'a str>,
    pub city: Option<&'a str>,
    pub postal_code: Option<&'a str>,
    /// In the United States only.
    pub metro_code: Option<u32>,
    /// Degrees.
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    /// IANA's name, such as `Europe/Berlin`.
    pub time_zone: Option<&'a str>,
    /// Number of the autonomous system.
    pub asn: Option<u32>,
}

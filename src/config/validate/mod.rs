//! [`Raw`] → [`Config`]: every rule, every [`Finding`] at once.
//!
//! A check that fails reports and goes on with the default, so that one mistake does not hide the next. What was
//! built on a default is thrown away with the rest: an error anywhere means that there is no [`Config`].

mod admin;
mod behavior;
mod cache_policy;
mod custom_header;
mod custom_origin;
mod describe;
mod distribution;
mod endpoint;
mod error_response;
mod geo;
mod host;
mod legacy;
mod listen;
mod log;
mod origin;
mod origin_group;
mod origin_request_policy;
mod own;
mod report;
mod response_headers;
mod role;
mod selection;
mod settings;
#[cfg(test)]
mod tests;

use self::behavior::Named;
use self::report::Report;
use super::raw::Raw;
use super::{Config, Environment, Finding, Loaded, Reload, Severity};

/// Judges what was typed. `found` is what reading it found already.
///
/// Findings are sorted by source, line and key. `Err` when one of them is an error; it holds the warnings too.
pub fn validate(raw: &Raw, env: &Environment, found: Vec<Finding>) -> Result<Loaded, Vec<Finding>> {
    let mut report = Report::new(found);
    let named = Named {
        cache: cache_policy::read(&mut report, &raw.cache_policies),
        response_headers: response_headers::read(&mut report, &raw.response_headers_policies),
        requests: origin_request_policy::read(&mut report, &raw.origin_request_policies),
    };
    let mut config = Config {
        identity: settings::identity(&mut report, &raw.identity),
        geo_database: geo::database(&mut report, &raw.geo),
        listen: listen::listen(&mut report, &raw.listen, env, !raw.admin.keys.items().is_empty()),
        tls: settings::tls(&mut report, &raw.tls),
        cache: settings::cache(&mut report, &raw.cache),
        log: log::log(&mut report, raw, env),
        distributions: distribution::distributions(&mut report, raw, &named, env),
        admin: admin::admin(&mut report, &raw.admin),
        reload: Reload { watch: *raw.reload.watch.value().unwrap_or(&true) },
    };
    settings::caching(&raw.cache, &mut config.distributions);
    describe::describe(raw, &mut config);
    let findings = report.into_sorted();
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        Err(findings)
    } else {
        Ok(Loaded { config, warnings: findings })
    }
}

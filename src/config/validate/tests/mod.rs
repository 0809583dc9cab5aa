//! Tables of texts and the one finding that each must have.

mod behavior;
mod compress;
mod custom_origin;
mod distribution;
mod endpoint;
mod error_response;
mod geo;
mod load;
mod log;
mod origin;
mod origin_group;
mod policies;
mod response_headers;
mod role;
mod settings;

use std::path::PathBuf;

use super::super::{
    AccessLogTarget, AdminKey, Config, Environment, Finding, Loaded, LogFormat, Origin, Overrides,
    PayloadHash, SecretSource, SecurityPolicy, Severity, SigningBehavior, ViewerProtocolPolicy,
    from_bucket_url, load_toml,
};

/// A distribution that lacks nothing. Eight lines, so that what follows begins at line 9.
const SITE: &str = "\
[[distribution]]
id = \"site\"
[distribution.default_cache_behavior]
target_origin = \"site\"
[[distribution.origin]]
id = \"site\"
bucket = \"site\"
region = \"eu-west-1\"
";

/// What one text must be told, and nothing else.
struct Case {
    text: String,
    severity: Severity,
    /// `line: key`
    place: &'static str,
    /// Part of the message, and of the fix.
    says: &'static str,
    fix: &'static str,
}

fn error(text: impl Into<String>, place: &'static str, says: &'static str, fix: &'static str) -> Case {
    Case { text: text.into(), severity: Severity::Error, place, says, fix }
}

fn warning(text: impl Into<String>, place: &'static str, says: &'static str, fix: &'static str) -> Case {
    Case { severity: Severity::Warning, ..error(text, place, says, fix) }
}

/// More keys for [`SITE`]'s origin.
fn in_origin(keys: &str) -> String {
    format!("{SITE}{keys}")
}

/// Another table after [`SITE`].
fn with(table: &str) -> String {
    format!("{SITE}{table}")
}

fn env() -> Environment {
    Environment { s3_endpoint: None, region: None, parallelism: 2 }
}

fn load(text: &str) -> Result<Loaded, Vec<Finding>> {
    load_toml("edge.toml", text, &env(), &Overrides::default())
}

fn config(text: &str) -> Config {
    match load(text) {
        Ok(loaded) => loaded.config,
        Err(findings) => panic!("{text}\n{}", lines(&findings)),
    }
}

fn findings(loaded: Result<Loaded, Vec<Finding>>) -> Vec<Finding> {
    loaded.map_or_else(|findings| findings, |loaded| loaded.warnings)
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The text must have this one finding.
fn check(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let found = findings(load(&case.text));
        let [finding] = found.as_slice() else { panic!("{}\n{}", case.text, lines(&found)) };
        let line = finding.place.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        let fix = finding.fix.as_deref().unwrap_or_default();
        assert_eq!(format!("{line}: {}", finding.key), case.place, "{}\n{finding}", case.text);
        assert_eq!(finding.severity, case.severity, "{}\n{finding}", case.text);
        assert!(finding.message.contains(case.says), "{}\n{finding}", case.text);
        assert!(fix.contains(case.fix), "{}\n{finding}", case.text);
    }
}

/// The only origin, with these keys and no other.
fn alone(keys: &str) -> String {
    format!("[[distribution]]\n[[distribution.origin]]\n{keys}")
}

fn origin_in(text: &str, env: &Environment) -> Origin {
    match load_toml("edge.toml", text, env, &Overrides::default()) {
        Ok(loaded) => Origin::clone(&loaded.config.distributions[0].origins[0]),
        Err(findings) => panic!("{text}\n{}", lines(&findings)),
    }
}

fn origin(keys: &str) -> Origin {
    origin_in(&alone(keys), &env())
}

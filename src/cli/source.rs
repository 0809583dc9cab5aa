//! Where a configuration comes from: exactly one of the sources of interface.md.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::json_files;
use crate::config::{self, Environment, Finding, Loaded, Overrides, Place, Severity};

/// Exactly one source.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false, id = "source")]
pub(super) struct Source {
    /// A TOML file (config/edgeseal.toml lists every key)
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// A CloudFront distribution as the AWS CLI prints it: a JSON file, or a folder with its policies; may be repeated
    #[arg(long, value_name = "PATH")]
    distribution: Vec<PathBuf>,
    /// A bucket, or a part of one: s3://BUCKET[/PREFIX]
    #[arg(value_name = "s3://BUCKET[/PREFIX]")]
    bucket: Option<String>,
}

/// Flags that beat the file.
#[derive(Debug, Clone, Args)]
pub(super) struct Overriding {
    /// Region of the bucket, with s3://BUCKET [default: AWS_REGION]
    // Not clap's `env`: a variable that is set for other programs would then conflict with --config.
    #[arg(long, value_name = "REGION", conflicts_with_all = ["config", "distribution"])]
    region: Option<String>,
    /// Address of the HTTP listener; port 0 lets the system choose
    #[arg(long, env = "EDGESEAL_HTTP", value_name = "ADDR")]
    http: Option<String>,
    /// Address of the HTTPS listener
    #[arg(long, env = "EDGESEAL_HTTPS", value_name = "ADDR")]
    https: Option<String>,
    /// Address of the admin listener; loopback only, unless there are administrator keys
    #[arg(long, env = "EDGESEAL_ADMIN", value_name = "ADDR")]
    admin: Option<String>,
    /// Certificate chain, PEM; without one a self-signed certificate is made at start
    #[arg(long, env = "EDGESEAL_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, env = "EDGESEAL_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Bytes of objects kept in memory
    #[arg(long, env = "EDGESEAL_MEMORY", value_name = "SIZE")]
    memory: Option<String>,
    /// Form of the diagnostics: text or json
    #[arg(long, env = "EDGESEAL_LOG", value_name = "FORMAT")]
    log: Option<String>,
    /// MaxMind database of countries or cities
    #[arg(long, env = "EDGESEAL_GEO_DATABASE", value_name = "FILE")]
    geo_database: Option<PathBuf>,
    /// Folder for access logs as CloudFront writes them
    #[arg(long, env = "EDGESEAL_LOG_DIRECTORY", value_name = "DIR")]
    log_directory: Option<PathBuf>,
    /// An administrator's key and the file of its secret, in the place of the configuration's; may be repeated
    #[arg(long, env = "EDGESEAL_ADMIN_KEY", value_name = "ID=FILE", value_delimiter = ',')]
    admin_key: Vec<String>,
    #[command(flatten)]
    accepting: Accepting,
}

/// What an owner accepts.
#[derive(Debug, Clone, Args)]
pub(super) struct Accepting {
    /// A field of CloudFront's JSON that may be without effect, though it changes who is answered and how; may be
    /// repeated
    #[arg(
        long,
        value_name = "FIELD",
        value_parser = PossibleValuesParser::new(config::import::ACCEPTABLE),
        hide_possible_values = true
    )]
    accept_unsupported: Vec<String>,
}

impl Source {
    /// The files of which it is made now.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.config.iter().cloned().chain(json_files::list(&self.distribution)).collect()
    }
}

impl Accepting {
    pub(super) fn fields(&self) -> BTreeSet<String> {
        self.accept_unsupported.iter().cloned().collect()
    }
}

impl Overriding {
    pub(super) fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }
}

/// Reads the source, and everything that beats it.
pub(super) fn load(source: &Source, over: &Overriding) -> Result<Loaded, Vec<Finding>> {
    let environment = environment();
    let overrides = Overrides {
        http: over.http.clone(),
        https: over.https.clone(),
        admin: over.admin.clone(),
        tls_cert: over.tls_cert.clone(),
        tls_key: over.tls_key.clone(),
        memory: over.memory.clone(),
        log: over.log.clone(),
        geo_database: over.geo_database.clone(),
        log_directory: over.log_directory.clone(),
        admin_keys: over.admin_key.clone(),
    };
    if let Some(url) = &source.bucket {
        return config::from_bucket_url(url, over.region.as_deref(), &environment, &overrides);
    }
    if !source.distribution.is_empty() {
        let files = json_files::read(&source.distribution)?;
        return config::load_distributions(&files, &over.accepting.fields(), &environment, &overrides);
    }
    let path = source.config.clone().unwrap_or_default();
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => config::load_toml(&name, &text, &environment, &overrides),
        Err(error) => {
            Err(vec![finding(&name, &format!("cannot be read: {error}"), "give the path of a TOML file")])
        }
    }
}

pub(super) fn finding(source: &str, message: &str, fix: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        place: Place { source: source.into(), line: None },
        key: String::new(),
        message: message.to_owned(),
        fix: Some(fix.to_owned()),
    }
}

/// What the standard AWS variables and the machine say.
pub(super) fn environment() -> Environment {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value == "true");
    Environment {
        s3_endpoint: variable("AWS_ENDPOINT_URL_S3")
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .filter(|_| !ignored),
        region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
        parallelism: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

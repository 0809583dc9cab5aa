//! CloudFront's own JSON, unchanged: served, checked, and turned into TOML.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use edgeseal::config::{self, Environment, Overrides, import, writer};
use http::Method;
use serde_json::{Value, json};

use crate::support::command::{Running, edgeseal, finish};
use crate::support::viewer::{ask, plain};
use crate::support::{ACCESS_KEY, BUCKET, Bucket, SECRET_KEY};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/distributions")
}

fn fixture(name: &str) -> String {
    fixtures().join(name).display().to_string()
}

/// Those that are whole, and the code or the field of the error that keeps each of the others from starting.
const REFUSED: [(&str, &str); 3] = [
    ("firewall", "WebACLId is not supported"),
    ("lambda-edge", "LambdaFunctionAssociations is not supported"),
    ("signed-urls", "TrustedKeyGroups is not supported"),
];
const WHOLE: [&str; 10] = [
    "account",
    "api-and-site",
    "complete",
    "cors",
    "legacy",
    "origin-group",
    "policies",
    "spa",
    "website",
    "wrapped",
];

#[tokio::test]
async fn whole_distributions_pass_and_others_say_what_is_missing() {
    for name in WHOLE {
        let ended = finish(edgeseal(&["check", "--distribution", &fixture(name)])).await;
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.out);
        assert!(!ended.out.contains("unknown field"), "{name}: {}", ended.out);
    }
    for (name, says) in REFUSED {
        let ended = finish(edgeseal(&["check", "--distribution", &fixture(name)])).await;
        assert_eq!(ended.code, Some(1), "{name}: {}", ended.out);
        let errors: Vec<_> = ended.out.lines().filter(|line| line.contains(": error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(says), "{name}: {errors:#?}");
    }
}

#[tokio::test]
async fn findings_are_data_with_file_line_key_and_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.json");
    let text = std::fs::read_to_string(fixtures().join("complete/distribution-config.json")).unwrap();
    let text = text.replace("658327ea-f89d-4fab-a63d-7e88639e58f6", "00000000-0000-4000-8000-000000000000");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let ended = finish(edgeseal(&["check", "--json", "--distribution", &path])).await;
    let said: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &said["ok"]), (Some(1), &json!(false)));
    let errors: Vec<_> = said["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .collect();
    let [error] = errors.as_slice() else { panic!("{said:#}") };
    assert_eq!(
        (&error["code"], &error["source"], &error["line"], &error["key"]),
        (
            &json!("NoSuchCachePolicy"),
            &json!(path),
            &json!(28),
            &json!("DistributionConfig.DefaultCacheBehavior.CachePolicyId")
        )
    );
}

#[tokio::test]
async fn what_is_accepted_is_a_warning_and_nothing_else_may_be() {
    let firewall = fixture("firewall");
    let accepted =
        finish(edgeseal(&["check", "--distribution", &firewall, "--accept-unsupported", "WebACLId"])).await;
    assert_eq!(accepted.code, Some(0), "{}", accepted.out);
    assert!(
        accepted
            .out
            .contains("warning: DistributionConfig.WebACLId: WebACLId is not supported, and accepted")
    );
    let signed = fixture("signed-urls");
    let refused =
        finish(edgeseal(&["check", "--distribution", &signed, "--accept-unsupported", "TrustedKeyGroups"]))
            .await;
    assert_eq!(refused.code, Some(2), "{}", refused.err);
}

fn files(folder: &Path, files: &mut Vec<import::File>) {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            self::files(&path, files);
        } else {
            files.push(import::File {
                name: path.display().to_string(),
                stem: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                folder: path.parent().map(Path::to_owned),
                bytes: std::fs::read(&path).unwrap(),
            });
        }
    }
}

#[test]
fn the_toml_means_what_the_json_means() {
    let env = Environment { s3_endpoint: None, region: None, parallelism: 2 };
    let over = Overrides::default();
    for name in WHOLE {
        let mut all = Vec::new();
        files(&fixtures().join(name), &mut all);
        let accepted = BTreeSet::new();
        let from_json = config::load_distributions(&all, &accepted, &env, &over).unwrap().config;
        let toml = writer::write(&import::read(&all, &accepted).raw);
        let from_toml = config::load_toml("edge.toml", &toml, &env, &over);
        let from_toml = from_toml.unwrap_or_else(|findings| panic!("{name}: {findings:#?}\n{toml}")).config;
        assert_eq!(meaning(from_toml), meaning(from_json), "{name}\n{toml}");
    }
}

/// What the admin API says of a distribution that came by TOML (`config::validate::describe`), imported in its turn.
#[test]
fn what_is_told_of_a_toml_distribution_means_what_it_is() {
    let env = Environment { s3_endpoint: None, region: None, parallelism: 2 };
    // With CloudFront's own certificate nobody chooses a security policy.
    let (cert, key) = (Some("cert.pem".into()), Some("key.pem".into()));
    // Without a directory nothing is logged, and whither does not matter.
    let log_directory = Some("logs".into());
    let over = Overrides { tls_cert: cert, tls_key: key, log_directory, ..Overrides::default() };
    for name in WHOLE {
        let mut all = Vec::new();
        files(&fixtures().join(name), &mut all);
        let toml = writer::write(&import::read(&all, &BTreeSet::new()).raw);
        let expected = config::load_toml("edge.toml", &toml, &env, &over).unwrap().config;
        // The policies are another matter.
        all.retain(|file| !String::from_utf8_lossy(&file.bytes).contains("\"DefaultCacheBehavior\""));
        all.push(file("no-override", &json!({ "OriginAccessControl": { "Id": "edgeseal-no-override",
            "OriginAccessControlConfig": { "Name": "n", "SigningProtocol": "sigv4", "SigningBehavior": "no-override",
                "OriginAccessControlOriginType": "s3" } } })));
        for distribution in &expected.distributions {
            all.push(file(
                &distribution.id,
                &json!({ "Distribution": { "Id": *distribution.id,
                "DomainName": distribution.domain_name.as_deref(),
                "DistributionConfig": distribution.document.config() } }),
            ));
        }
        let told = config::load_distributions(&all, &BTreeSet::new(), &env, &over);
        let told = told.unwrap_or_else(|findings| panic!("{name}: {findings:#?}")).config;
        assert_eq!(meaning(told), meaning(expected), "{name}");
    }
}

fn file(stem: &str, value: &Value) -> import::File {
    let bytes = value.to_string().into_bytes();
    import::File { name: format!("{stem}.json"), stem: stem.to_owned(), folder: None, bytes }
}

/// Without the words that it came in, and with defaults filled in.
fn meaning(mut config: config::Config) -> config::Config {
    let minimum = config.tls.minimum_protocol_version;
    for distribution in &mut config.distributions {
        distribution.document = config::Document::default();
        distribution.minimum_protocol_version.get_or_insert(minimum);
    }
    config
}

#[tokio::test]
async fn import_prints_toml_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml").display().to_string();
    let import = finish(edgeseal(&["import", &fixture("policies")])).await;
    assert_eq!(import.code, Some(0), "{}", import.err);
    assert!(
        import.err.contains("warning: DistributionConfig.ViewerCertificate.ACMCertificateArn"),
        "{}",
        import.err
    );
    for line in ["id = \"policies\"", "name = \"by-language\"", "signing_behavior = \"no-override\""] {
        assert!(import.out.lines().any(|printed| printed == line), "{line}: {}", import.out);
    }
    std::fs::write(&path, &import.out).unwrap();
    let check = finish(edgeseal(&["check", "--config", &path])).await;
    assert_eq!(check.code, Some(0), "{}", check.out);
    // What would not start is not made to look as if it would.
    let refused = finish(edgeseal(&["import", &fixture("firewall")])).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(refused.err.contains("--accept-unsupported WebACLId"), "{}", refused.err);
    let missing = finish(edgeseal(&["import", "/nowhere/at/all"])).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("cannot be read"), "{}", missing.err);
}

#[tokio::test]
async fn a_folder_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixtures().join("policies/distribution.json")).unwrap();
    let text =
        text.replace("my-bucket.s3.eu-west-1.amazonaws.com", &format!("{BUCKET}.s3.eu-west-1.amazonaws.com"));
    std::fs::write(folder.path().join("distribution.json"), text).unwrap();
    for name in ["cp", "orp", "rhp", "site-oac"] {
        let name = format!("{name}.json");
        std::fs::copy(fixtures().join("policies/policies").join(&name), folder.path().join(&name)).unwrap();
    }
    let bucket = Bucket::start().await;
    bucket.put("index.html", "home");
    let folder = folder.path().display().to_string();
    let any = "127.0.0.1:0";
    let mut command =
        edgeseal(&["run", "--distribution", &folder, "--http", any, "--https", any, "--admin", any]);
    command
        .env("AWS_ENDPOINT_URL_S3", bucket.origin.url())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let mut edge = Running::spawn(command);
    let (http, https) = (edge.address("http").await, edge.address("https").await);
    let answer = ask(https, Method::GET, "/", &[("host", "policies.example.com")]).await;
    assert_eq!((answer.status, answer.text()), (200, "home"));
    // The response headers policy.
    assert_eq!(answer.header("x-variant"), "a");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    // The cache policy: the language is in the key, and of the query all but one parameter.
    for (target, language, x_cache) in [
        ("/?utm_source=mail", "", "Hit from edgeseal"),
        ("/?page=2", "", "Miss from edgeseal"),
        ("/", "de", "Miss from edgeseal"),
        ("/", "de", "Hit from edgeseal"),
    ] {
        let fields = [("host", "policies.example.com"), ("x-language", language)];
        let fields = if language.is_empty() { &fields[..1] } else { &fields[..] };
        let answer = ask(https, Method::GET, target, fields).await;
        assert_eq!(answer.header("x-cache"), x_cache, "{target} {language}");
    }
    let plain = plain(http, Method::GET, "/", &[("host", "policies.example.com")]).await;
    assert_eq!(plain.status, 301);
}

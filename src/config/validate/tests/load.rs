use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../../../config/edgeseal.toml");
const MINIMAL: &str = include_str!("../../../../config/minimal.toml");

#[test]
fn every_finding_at_once_sorted_by_line() {
    let text = "\
[cache]
memory = \"lots\"
size = 1
[[distribution]]
aliases = [\"WWW.example\", 5]
[[distribution.origin]]
bucket = 5
endpoint = \"ftp://x\"
[[distribution.cache_behavior]]
target_origin = \"x\"
[listen]
admin = \"0.0.0.0:1\"
";
    let found = findings(load(text));
    let places: Vec<String> = found.iter().map(|f| format!("{} {}", f.place, f.key)).collect();
    assert_eq!(
        places,
        [
            "edge.toml:2 cache.memory",
            "edge.toml:3 cache.size",
            "edge.toml:5 distribution.aliases",
            "edge.toml:6 distribution.origin.region",
            "edge.toml:7 distribution.origin.bucket",
            "edge.toml:8 distribution.origin.endpoint",
            "edge.toml:9 distribution.cache_behavior.path_pattern",
            "edge.toml:10 distribution.cache_behavior.target_origin",
            "edge.toml:12 listen.admin",
        ]
    );
    assert!(found.iter().all(|finding| finding.fix.is_some()), "{}", lines(&found));
}

/// What could not be read is not also said to be missing.
#[test]
fn one_mistake_is_one_finding() {
    check([
        error("distribution = 5", "1: distribution", "expected an array of tables", "[[distribution]]"),
        error("[[distribution]]\norigin = 5", "2: distribution.origin", "expected an array of tables", ""),
        error(
            "[[distribution]]\n[[distribution.origin]]\nbucket = 5\nregion = \"r\"",
            "3: distribution.origin.bucket",
            "expected a string",
            "",
        ),
        error(
            "[[distribution]]\n[[distribution.origin]]\nbucket = \"site\"\nregion = 5",
            "4: distribution.origin.region",
            "expected a string",
            "",
        ),
        error("not toml", "1: ", "not TOML", ""),
    ]);
}

#[test]
fn minimal_serves_a_bucket() {
    assert_eq!(MINIMAL.lines().count(), 5);
    let loaded = load(MINIMAL).unwrap();
    assert_eq!(loaded.warnings, []);
    let [distribution] = loaded.config.distributions.as_slice() else { panic!("one distribution") };
    assert_eq!((&*distribution.id, distribution.aliases.len()), ("default", 0));
    let [origin] = distribution.origins.as_slice() else { panic!("one origin") };
    assert_eq!((&*origin.id, &*origin.s3().unwrap().bucket), ("my-bucket", "my-bucket"));
    assert_eq!(origin.s3().unwrap().endpoint.authority(), "my-bucket.s3.eu-west-1.amazonaws.com");
    assert_eq!(distribution.behaviors[0].viewer_protocol_policy, ViewerProtocolPolicy::RedirectToHttps);
}

/// The sample and the minimal file name the same bucket, so whatever else the sample says must be the default.
#[test]
fn the_sample_shows_the_defaults() {
    let sample = load(SAMPLE).unwrap();
    assert_eq!(sample.warnings, []);
    assert_eq!(sample.config, config(MINIMAL));
}

#[test]
fn flags_beat_the_file() {
    let over = Overrides {
        http: Some(":81".to_owned()),
        https: Some("127.0.0.1:444".to_owned()),
        admin: Some("[::1]:91".to_owned()),
        tls_cert: Some(PathBuf::from("flag.pem")),
        tls_key: Some(PathBuf::from("flag.key")),
        memory: Some("16MiB".to_owned()),
        log: Some("json".to_owned()),
        admin_keys: vec!["FLAG=flag.secret".to_owned()],
        ..Overrides::default()
    };
    let text = with(
        "[listen]\nhttp = \"nonsense\"\n[[tls.certificate]]\ncert = \"a\"\nkey = \"b\"\n[[tls.certificate]]\ncert = \"c\"\n[[admin.key]]\naccess_key_id = \"FILE\"",
    );
    let config = load_toml("edge.toml", &text, &env(), &over).unwrap().config;
    assert_eq!(config.listen.http, "0.0.0.0:81".parse().unwrap());
    assert_eq!(config.listen.https, "127.0.0.1:444".parse().unwrap());
    assert_eq!(config.listen.admin, "[::1]:91".parse().unwrap());
    assert_eq!(config.tls.certificates.len(), 1);
    assert_eq!(config.tls.certificates[0].cert, PathBuf::from("flag.pem"));
    assert_eq!((config.cache.memory, config.cache.max_object), (16 << 20, 2 << 20));
    assert_eq!(config.log.format, LogFormat::Json);
    let key = AdminKey { access_key_id: "FLAG".into(), secret: SecretSource::File("flag.secret".into()) };
    assert_eq!(config.admin.keys, [key]);
}

#[test]
fn what_is_wrong_with_a_flag_names_the_flag() {
    let none = Overrides::default;
    let text = |text: &str| Some(text.to_owned());
    for (over, source, key) in [
        (Overrides { http: text("80"), ..none() }, "--http", "listen.http"),
        (Overrides { https: text("x"), ..none() }, "--https", "listen.https"),
        (Overrides { admin: text("0.0.0.0:1"), ..none() }, "--admin", "listen.admin"),
        (
            Overrides { admin_keys: vec!["FLAG".to_owned()], ..none() },
            "--admin-key",
            "admin.key.secret_access_key_file",
        ),
        (Overrides { memory: text("much"), ..none() }, "--memory", "cache.memory"),
        (Overrides { log: text("xml"), ..none() }, "--log", "log.format"),
        (Overrides { tls_cert: Some("c".into()), ..none() }, "--tls-cert", "tls.certificate.key"),
        (Overrides { tls_key: Some("k".into()), ..none() }, "--tls-key", "tls.certificate.cert"),
    ] {
        let found = findings(load_toml("edge.toml", SITE, &env(), &over));
        let [finding] = found.as_slice() else { panic!("{}", lines(&found)) };
        assert_eq!((&*finding.place.source, finding.place.line, &*finding.key), (source, None, key));
        assert_eq!(finding.severity, Severity::Error);
    }
}

#[test]
fn the_one_liner() {
    let over = Overrides::default();
    let abroad = Environment { region: Some("eu-west-3".to_owned()), ..env() };
    for (url, region, env, bucket, path, expected) in [
        ("s3://site", Some("eu-west-1"), &abroad, "site", "", "eu-west-1"),
        ("s3://site/", None, &abroad, "site", "", "eu-west-3"),
        ("s3://my.site/a/b/", Some("eu-west-1"), &env(), "my.site", "/a/b", "eu-west-1"),
    ] {
        let loaded = from_bucket_url(url, region, env, &over).unwrap();
        assert_eq!(loaded.warnings, []);
        let distribution = &loaded.config.distributions[0];
        assert_eq!((&*distribution.id, distribution.aliases.len()), (bucket, 0));
        assert_eq!(distribution.behaviors.len(), 1);
        let origin = &distribution.origins[0];
        assert_eq!(
            (&*origin.s3().unwrap().bucket, &*origin.origin_path, &*origin.s3().unwrap().region),
            (bucket, path, expected)
        );
    }
}

#[test]
fn what_is_wrong_with_the_one_liner() {
    let over = Overrides::default();
    for (url, region, place, key) in [
        ("s3://site", None, "s3://site", "distribution.origin.region"),
        ("s3://site", Some("EU"), "--region", "distribution.origin.region"),
        ("s3://Si", Some("r"), "s3://Si", "distribution.origin.bucket"),
        ("s3://site/a//b", Some("r"), "s3://site/a//b", "distribution.origin.origin_path"),
        ("https://site", Some("r"), "https://site", ""),
    ] {
        let found = from_bucket_url(url, region, &env(), &over).unwrap_err();
        let [finding] = found.as_slice() else { panic!("{url}\n{}", lines(&found)) };
        assert_eq!((finding.place.to_string().as_str(), &*finding.key), (place, key), "{url}");
    }
}

/// Pieces of what the parsers look for, so that chance reaches further than the first character.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("s3".to_owned()),
        Just("://".to_owned()),
        Just("arn:aws:kms:".to_owned()),
        Just("amazonaws.com".to_owned()),
        Just("999999999999".to_owned()),
        "[\\[\\].:/@*?%-]",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever is typed gets an answer, and each one says where.
    #[test]
    fn no_text_breaks_the_reader(text in text()) {
        let quoted = toml::Value::String(text.clone());
        for key in ["bucket", "region", "domain_name", "endpoint", "origin_path", "role_arn", "kms_keys"] {
            let value = if key == "kms_keys" { format!("[{quoted}]") } else { quoted.to_string() };
            let found = findings(load(&alone(&format!("id = \"a\"\n{key} = {value}"))));
            prop_assert!(found.iter().all(|finding| finding.place.line.is_some()));
        }
        for key in ["listen.http", "listen.admin", "listen.grace", "cache.memory", "log.access", "identity.name"] {
            let found = findings(load(&format!("{key} = {quoted}\n{SITE}")));
            prop_assert!(found.iter().all(|finding| finding.place.line == Some(1)));
        }
        let found = findings(load(&format!("[[distribution]]\naliases = [{quoted}]\n")));
        prop_assert!(!found.is_empty());
        if let Ok(loaded) = from_bucket_url(&text, Some(&text), &env(), &Overrides::default()) {
            prop_assert!(text.starts_with("s3://"), "{:?}", loaded.config);
        }
    }
}

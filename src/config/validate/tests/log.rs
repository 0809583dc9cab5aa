//! `[log]`, `[log.standard]` and `[distribution.logging]`.

use std::time::Duration;

use super::*;
use crate::config::log::LogField;

#[test]
fn diagnostics_and_target() {
    check([
        error(with("[log]\nformat = \"jsn\""), "10: log.format", "not one of", "did you mean \"json\"?"),
        error(with("[log]\naccess = \"\""), "10: log.access", "is not", "the path of a file"),
    ]);
    for (access, expected) in [
        ("stdout", AccessLogTarget::Stdout),
        ("off", AccessLogTarget::Off),
        ("/var/log/edge.log", AccessLogTarget::File(PathBuf::from("/var/log/edge.log"))),
    ] {
        let log = config(&with(&format!("[log]\nformat = \"json\"\naccess = \"{access}\""))).log;
        assert_eq!((log.format, log.access), (LogFormat::Json, expected));
    }
}

#[test]
fn fields() {
    let log = |keys: &str| with(&format!("[log]\n{keys}"));
    check([
        error(log("fields = []"), "10: log.fields", "is empty", "at least one"),
        error(
            log("fields = [\"cs-methd\"]"),
            "10: log.fields",
            "no field \"cs-methd\"",
            "did you mean \"cs-method\"?",
        ),
        error(log("fields = [\"time\", \"time\"]"), "10: log.fields", "taken already", ""),
        error(log("fields = [\"asn\"]"), "10: log.fields", "where viewers are", "[geo] database"),
        error(
            log("fields = [\"origin-lbl\"]"),
            "10: log.fields",
            "nothing here could fill it",
            "leave it out",
        ),
    ]);
    assert_eq!(config(SITE).log.fields, None);
    let fields = config(&log("fields = [\"sc-status\", \"cs(Host)\"]\n[geo]\ndatabase = \"x\"")).log.fields;
    assert_eq!(fields, Some(vec![LogField::ScStatus, LogField::CsHost]));
}

#[test]
fn standard() {
    let log = |keys: &str| with(&format!("[log.standard]\n{keys}"));
    let there = |keys: &str| log(&format!("directory = \"d\"\n{keys}"));
    check([
        error(log("directory = \"\""), "10: log.standard.directory", "is empty", "a folder"),
        error(there("interval = \"2h\""), "11: log.standard.interval", "outside 1s to 1h", ""),
        error(there("max_size = \"1GiB\""), "11: log.standard.max_size", "outside 4KiB to 256MiB", ""),
        error(
            log("upload = \"s3://logs\"\nupload_region = \"r\""),
            "10: log.standard.upload",
            "no files to send",
            "log.standard.directory",
        ),
        error(there("upload = \"logs\""), "11: log.standard.upload", "no place in a bucket", "s3://BUCKET"),
        error(there("upload = \"s3://logs\""), "11: log.standard.upload", "Region", "upload_region"),
        error(
            there("upload = \"s3://Logs\"\nupload_region = \"r\""),
            "11: log.standard.upload",
            "capital letters",
            "",
        ),
        error(there("upload_region = \"r\""), "11: log.standard.upload_region", "without a bucket", "upload"),
        error(
            there("upload = \"s3://logs\"\nupload_region = \"r\"\nupload_endpoint = \"http://store\""),
            "13: log.standard.upload_endpoint",
            "can be read on the way",
            "allow_plain_http",
        ),
    ]);
    assert_eq!(config(SITE).log.standard, None);
    let standard = config(&there("")).log.standard.unwrap();
    assert_eq!((standard.directory, standard.interval), (PathBuf::from("d"), Duration::from_secs(300)));
    assert_eq!((standard.max_size, standard.upload), (50_000_000, None));
    for (url, bucket, path) in
        [("s3://logs", "logs", ""), ("s3://logs/", "logs", ""), ("s3://logs/a/b/", "logs", "/a/b")]
    {
        let keys = format!("upload = \"{url}\"\nupload_region = \"eu-west-1\"\nupload_backlog = \"1MiB\"");
        let upload = config(&there(&keys)).log.standard.unwrap().upload.unwrap();
        assert_eq!((&*upload.bucket.s3().unwrap().bucket, &*upload.bucket.origin_path), (bucket, path));
        assert_eq!(upload.backlog, 1 << 20);
    }
}

/// behaviour §12.8: a slash is added after the prefix. It leads out of no folder.
#[test]
fn logging() {
    let logging = |keys: &str| {
        format!(
            "[[distribution]]\n[distribution.logging]\n{keys}\n[[distribution.origin]]\nbucket = \"site\"\nregion = \"r\"\n"
        )
    };
    for prefix in ["/", "/a", "a//b", "../a", "a/..", "a/./b", "a b", "a\\\\b", "\u{e9}"] {
        check([error(
            logging(&format!("prefix = \"{prefix}\"")),
            "3: distribution.logging.prefix",
            "is not folders",
            "",
        )]);
    }
    for (keys, enabled, cookies, prefix) in [
        ("", true, false, ""),
        ("prefix = \"cdn\"", true, false, "cdn/"),
        ("prefix = \"a/b/\"\ninclude_cookies = true\nenabled = false", false, true, "a/b/"),
    ] {
        let logging = config(&logging(keys)).distributions[0].logging.clone();
        assert_eq!((logging.enabled, logging.include_cookies, &*logging.prefix), (enabled, cookies, prefix));
    }
}

#[test]
fn a_flag_names_the_directory() {
    let over = Overrides { log_directory: Some("elsewhere".into()), ..Overrides::default() };
    let config =
        load_toml("edge.toml", &with("[log.standard]\ndirectory = \"d\""), &env(), &over).unwrap().config;
    assert_eq!(config.log.standard.unwrap().directory, PathBuf::from("elsewhere"));
}

use std::collections::BTreeSet;

use super::*;
use crate::config::raw::Amount;

const SAMPLE: &str = include_str!("../../../config/edgeseal.toml");

/// file:line, key, message and fix of each finding.
fn findings(text: &str) -> Vec<String> {
    read("edge.toml", text).unwrap().findings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_value_has_its_line_and_its_dotted_key() {
    let text = "[listen]\nhttp = \":80\"\n\n[[distribution]]\naliases = [\n  \"a.example\",\n  \"b.example\",\n]\n\
                [[distribution.origin]]\nread_timeout = 5\n[[distribution.origin]]\nregion = \"r\"\n";
    let raw = read("edge.toml", text).unwrap().raw;
    let distribution = &raw.distributions.items()[0];
    let [first, second] = distribution.value.origins.items() else { panic!("two origins") };
    let timeout = first.value.read_timeout.given().unwrap();
    assert_eq!(timeout.value, Amount::Number(5));
    let alias = &distribution.value.aliases.items()[1];
    for (at, key, line) in [
        (&raw.listen.http.given().unwrap().at, "listen.http", 2),
        (&distribution.at, "distribution", 4),
        (&alias.at, "distribution.aliases", 7),
        (&first.at, "distribution.origin", 9),
        (&timeout.at, "distribution.origin.read_timeout", 10),
        (&second.at, "distribution.origin", 11),
        (&second.value.region.given().unwrap().at, "distribution.origin.region", 12),
    ] {
        assert_eq!((at.key.as_str(), at.place.line), (key, Some(line)));
        assert_eq!(&*at.place.source, "edge.toml");
    }
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    for (text, expected) in [
        ("\n[listne]\n", "edge.toml:2: error: listne: unknown key; did you mean \"listen\"?"),
        ("[cache]\nmemry = 1", "edge.toml:2: error: cache.memry: unknown key; did you mean \"memory\"?"),
        (
            "[log]\ncolour = true",
            "edge.toml:2: error: log.colour: unknown key; known here: format, access, fields, standard",
        ),
        (
            "[[distribution]]\n[[distribution.origin]]\nbuckte = \"b\"",
            "edge.toml:3: error: distribution.origin.buckte: unknown key; did you mean \"bucket\"?",
        ),
        // A default behaviour has no pattern.
        (
            "[[distribution]]\n[distribution.default_cache_behavior]\npath_pattern = \"*\"",
            "edge.toml:3: error: distribution.default_cache_behavior.path_pattern: unknown key; known here: \
             target_origin, viewer_protocol_policy, allowed_methods, cached_methods, cache_policy, \
             response_headers_policy, origin_request_policy, compress, forwarded_values, min_ttl, default_ttl, max_ttl",
        ),
        (
            "\"a\\nb\" = 1",
            "edge.toml:1: error: a\\nb: unknown key; known here: identity, listen, tls, cache, log, cache_policy, distribution, \
             response_headers_policy, origin_request_policy, geo, admin, reload",
        ),
    ] {
        assert_eq!(findings(text), [expected], "{text}");
    }
}

#[test]
fn wrong_types_are_findings_and_the_rest_is_read() {
    let text = "[listen]\nhttp = 80\nworkers = 2\n[log]\nformat = [\"text\"]\n[[distribution]]\naliases = [1, \"a\", 2.5]\n";
    assert_eq!(
        findings(text),
        [
            "edge.toml:2: error: listen.http: expected a string, found a whole number; write a string",
            "edge.toml:5: error: log.format: expected a string, found an array; write a string",
            "edge.toml:7: error: distribution.aliases: expected a string, found a whole number; write a string",
            "edge.toml:7: error: distribution.aliases: expected a string, found a number with a fraction; write a string",
        ]
    );
    let raw = read("edge.toml", text).unwrap().raw;
    assert_eq!(raw.listen.workers.value(), Some(&2));
    assert_eq!(raw.listen.http, Field::Unreadable);
    assert_eq!(raw.distributions.items()[0].value.aliases, Field::Unreadable);
}

#[test]
fn tables_and_arrays_of_tables_are_not_confused() {
    for (text, expected) in [
        (
            "[distribution]\nid = \"a\"",
            "edge.toml:1: error: distribution: expected an array of tables, found a table; write [[distribution]]",
        ),
        ("listen = 1", "edge.toml:1: error: listen: expected a table, found a whole number; write a table"),
        (
            "cache_policy = [1]",
            "edge.toml:1: error: cache_policy: expected a table, found a whole number; write a table",
        ),
        (
            "[cache]\nmemory = 99999999999999999999",
            "edge.toml:2: error: cache.memory: expected a whole number, or a string with a number and a unit, \
             found a number that is too large; write a whole number, or a string with a number and a unit",
        ),
    ] {
        assert_eq!(findings(text), [expected], "{text}");
    }
}

#[test]
fn what_is_not_toml_is_one_finding_that_does_not_quote_the_line() {
    for (text, line) in [
        ("[listen]\nhttp = \"secret", 2),
        ("[listen]\nhttp = 1\nhttp = 2\n", 3),
        ("\n\n= 1", 3),
        ("[listen\n", 1),
    ] {
        let finding = read("edge.toml", text).unwrap_err();
        assert_eq!(finding.place.line, Some(line), "{text:?}: {finding}");
        assert!(finding.message.starts_with("not TOML: "), "{finding}");
        assert!(!finding.to_string().contains("secret"), "{finding}");
    }
}

#[test]
fn the_url_of_a_bucket() {
    for (url, bucket, origin_path) in [
        ("s3://site", "site", None),
        ("s3://site/", "site", None),
        ("s3://site/a/b", "site", Some("/a/b")),
        ("s3://site/a/", "site", Some("/a")),
        ("s3://site/a//", "site", Some("/a/")),
    ] {
        let reading = read_bucket_url(url, None);
        let origin = &reading.raw.distributions.items()[0].value.origins.items()[0].value;
        assert_eq!(origin.bucket.value().map(String::as_str), Some(bucket), "{url}");
        assert_eq!(origin.origin_path.value().map(String::as_str), origin_path, "{url}");
        assert_eq!(reading.findings, [], "{url}");
    }
    let found = read_bucket_url("https://site", None).findings;
    assert_eq!(found[0].message, "not the URL of a bucket");
}

/// The sample with its examples switched on.
fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(example) if !example.starts_with(' ') => example,
        _ => line,
    };
    SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Every key that has a value in `table`, dotted.
fn named(prefix: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = super::super::raw::join(prefix, name);
        match value {
            toml::Value::Table(table) => named(&key, table, keys),
            toml::Value::Array(items) => {
                items.iter().filter_map(toml::Value::as_table).for_each(|table| named(&key, table, keys));
            }
            _ => {}
        }
        keys.insert(key);
    }
}

/// A key that is read but not in the sample is asked for in vain and so is known, yet not named; a whole table that
/// is not in the sample is itself such a key.
#[test]
fn the_sample_names_every_key_that_is_read_and_no_other() {
    let text = uncommented();
    let document = Document::new("edgeseal.toml", &text);
    read_into(&document, &text).unwrap();
    let mut keys = BTreeSet::new();
    named("", &text.parse().unwrap(), &mut keys);
    assert_eq!(document.known(), keys);
    assert_eq!(document.into_findings(), []);
}

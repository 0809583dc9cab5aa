//! Our files as Athena reads them: by the columns and types of the statement in deploy/athena.

use std::collections::BTreeMap;

use super::*;
#[cfg(feature = "http3")]
use crate::support::quic;
use crate::support::viewer::{over_h2, plain};

const STATEMENT: &str = include_str!("../../../deploy/athena/cloudfront_standard_logs.sql");

const TOML: &str = "\
[[distribution]]
id = \"E2EXAMPLE\"
domain_name = \"d111111abcdef8.cloudfront.net\"
aliases = [\"cdn.example.com\"]
http_version = \"http2and3\"
$BUCKET
[distribution.logging]
include_cookies = true
[[distribution.custom_error_response]]
error_code = 404
response_page_path = \"/sorry.html\"
response_code = 200
";

/// Columns and types, in their order.
fn columns() -> Vec<(&'static str, &'static str)> {
    let start = STATEMENT.find("(\n").unwrap() + 2;
    let end = STATEMENT.find("\n)").unwrap();
    let column = |line: &'static str| line.trim().trim_end_matches(',').split_once(' ').unwrap();
    STATEMENT[start..end].lines().map(column).map(|(name, kind)| (name.trim_matches('`'), kind)).collect()
}

/// What LazySimpleSerDe makes of a field: NULL (`None`) of whatever is not of its type.
fn read(kind: &str, field: &str) -> Option<String> {
    match kind {
        "STRING" => Some(field.to_owned()),
        "BIGINT" => field.parse::<i64>().ok().map(|n| n.to_string()),
        "INT" => field.parse::<i32>().ok().map(|n| n.to_string()),
        "FLOAT" => field.parse::<f32>().ok().filter(|n| n.is_finite()).map(|n| format!("{n:.3}")),
        "DATE" => {
            let parts: Vec<u16> = field.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            let [year, month, day] = parts.as_slice() else { return None };
            let is_date =
                field.len() == 10 && *year > 2000 && (1..=12).contains(month) && (1..=31).contains(day);
            is_date.then(|| field.to_owned())
        }
        other => panic!("no type {other}"),
    }
}

/// All kinds of answers, over all protocols; hostile words wherever a viewer may put them.
async fn traffic(stage: &Stage) {
    let https = stage.https();
    for fields in [&[][..], &[("range", "bytes=2-4")], &[("range", "bytes=90-")], &[("if-none-match", "*")]] {
        ask(https, Method::GET, "/a", fields).await;
    }
    ask(https, Method::HEAD, "/a", &[]).await;
    ask(https, Method::GET, "/a", &[("range", "bytes=0-0, 3-4")]).await;
    ask(https, Method::POST, "/a", &[]).await;
    get(https, "/missing").await;
    plain(stage.server.http, Method::GET, "/a", &[]).await;
    over_h2(https, &["/a", "/a?b=c", "/missing"]).await;
    #[cfg(feature = "http3")]
    {
        let viewer = quic::Viewer::connect(https).await;
        viewer.get("/a").await;
        viewer.ask(Method::GET, "/a", &[("range", "bytes=1-")]).await;
    }
    for target in [
        "/%09%0A%0D%00?%09=%0A",
        "/a?q=\"'`{}|\\^~[]",
        "/a\u{e9}?\u{4e2d}\u{6587}",
        "/a?Signature=SECRET&Policy=SECRET",
        "/'%22%3Cscript%3E?--",
        "/a?-",
    ] {
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: cdn.example.com\r\nuser-agent: a\tb \"c\" \\ \u{e9}\r\n\
             referer: \t/x?y=\"\t\"\r\ncookie: c=\t1\r\nx-forwarded-for: 192.0.2.1,\t10.0.0.1\r\nconnection: close\r\n\r\n"
        );
        raw(https, head.as_bytes()).await;
    }
}

#[tokio::test]
async fn every_record_is_a_row_of_the_table() {
    let columns = columns();
    assert_eq!(columns.len(), LogField::STANDARD);
    assert!(
        STATEMENT.contains("FIELDS TERMINATED BY '\\t'")
            && STATEMENT.contains("'skip.header.line.count'='2'")
    );
    let bucket = Bucket::listable().await;
    bucket.put("a", "0123456789");
    bucket.put("sorry.html", "sorry");
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::start_tuned(TOML, &bucket.origin.url(), reader(), into(folder.path())).await;
    traffic(&stage).await;
    let log = stage.log.clone();
    stage.server.drain().await;

    // What JSON lines say of those that reached the distribution.
    let lines: Vec<Value> =
        fs::read_to_string(log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by_id: BTreeMap<&str, &Value> = lines
        .iter()
        .filter(|line| text(line, "cs(Host)") != "-")
        .map(|line| (text(line, "x-edge-request-id"), line))
        .collect();
    let files = files(folder.path());
    let mut kinds = BTreeMap::<String, usize>::new();
    let mut count = 0;
    for line in files.values().flat_map(|text| text.lines().skip(2)) {
        assert!(line.bytes().all(|byte| byte == b'\t' || byte.is_ascii_graphic()), "{line}");
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields.len(), columns.len(), "{line}");
        let row: BTreeMap<&str, Option<String>> =
            columns.iter().zip(&fields).map(|((name, kind), field)| (*name, read(kind, field))).collect();
        // behaviour §12.8: what may be missing is null or a dash, all else has a value of its type.
        for ((name, kind), field) in columns.iter().zip(&fields) {
            let may_be_null = matches!(
                *name,
                "fle_encrypted_fields" | "sc_content_len" | "sc_range_start" | "sc_range_end"
            );
            assert_eq!(row[name].is_none(), *kind != "STRING" && *field == "-", "{name}: {line}");
            assert!(row[name].is_some() || may_be_null, "{name} is {field}: {line}");
            assert!(!field.is_empty(), "{name}: {line}");
        }
        let json = by_id[row["x_edge_request_id"].as_deref().unwrap()];
        for (field, name) in fields.iter().zip(&LogField::ALL[..LogField::STANDARD]) {
            assert_eq!(*field, text(json, name.name()), "{}", name.name());
        }
        check(&row);
        *kinds.entry(format!("{} {}", fields[23], fields[13])).or_default() += 1;
        count += 1;
    }
    assert_eq!(count, by_id.len(), "each is there once");
    let mut expected = vec![
        "HTTP/1.1 Error",
        "HTTP/1.1 Hit",
        "HTTP/1.1 Miss",
        "HTTP/1.1 Redirect",
        "HTTP/2.0 Hit",
        "HTTP/2.0 Error",
    ];
    if cfg!(feature = "http3") {
        expected.push("HTTP/3.0 Hit");
    }
    for kind in expected {
        assert!(kinds.contains_key(kind), "{kind} is not among {kinds:?}");
    }
    let text: String = files.into_values().collect();
    assert!(!text.contains("SECRET"), "{text}");
    assert!(text.contains("\t301\t") && text.contains("\t206\t") && text.contains("\t416\t"), "{text}");
}

/// What the columns must say to each other.
fn check(row: &BTreeMap<&str, Option<String>>) {
    let value = |name: &str| row[name].as_deref().unwrap_or("NULL");
    let number = |name: &str| row[name].as_deref().map(|number| number.parse::<f64>().unwrap());
    assert_eq!(value("cs_host"), "d111111abcdef8.cloudfront.net");
    assert_eq!(value("c_ip"), "127.0.0.1");
    assert_eq!(value("x_edge_location"), "EDG1-C1");
    assert_eq!(value("x_host_header"), HOST);
    assert!(value("cs_uri_stem").starts_with('/'), "{row:?}");
    assert!(number("time_to_first_byte") <= number("time_taken"), "{row:?}");
    assert!((1.0..65_536.0).contains(&number("c_port").unwrap()));
    assert!(number("sc_bytes").unwrap() > 100.0 && number("cs_bytes").unwrap() > 30.0, "{row:?}");
    let is_tls = value("cs_protocol") == "https";
    assert_eq!(value("ssl_protocol") == "-", !is_tls);
    assert_eq!(value("ssl_cipher") == "-", !is_tls);
    let status = value("sc_status");
    assert_eq!(
        number("sc_range_start").is_some(),
        status == "206" && value("sc_content_type") == "text/plain",
        "{row:?}"
    );
    if status == "206" && number("sc_range_start").is_some() {
        let length = number("sc_range_end").unwrap() - number("sc_range_start").unwrap() + 1.0;
        assert_eq!(number("sc_content_len"), Some(length), "{row:?}");
    }
    // behaviour §8.3: the page's status, and still an error.
    if value("cs_uri_stem") == "/missing" {
        assert_eq!((status, value("x_edge_result_type")), ("200", "Error"), "{row:?}");
    }
}

//! Where viewers are: who is let in (behaviour §12.1), and what keys and origins learn of it (behaviour §4.7).

use std::net::SocketAddr;
use std::path::PathBuf;

use edgeseal::demo::viewer;
use edgeseal::geo::{Database, OpenError};
use edgeseal::semantics::place::Place;
use http::Request;
use http_body_util::Empty;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::support::command::{edgeseal, finish};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, Seen};
use crate::support::{Bucket, PLAIN, Stage, log_lines, mmdb};

/// Viewers at three loopback addresses; of a fourth nobody knows where it is.
const BERLIN: &str = "127.0.0.1";
const SAO_PAULO: &str = "127.0.0.2";
const SOMEWHERE_IN_US: &str = "127.0.0.3";
const NOWHERE: &str = "127.0.0.4";

fn places() -> Vec<u8> {
    mmdb::database(&[
        (
            BERLIN,
            32,
            json!({ "country": { "iso_code": "DE", "names": { "en": "Germany", "de": "Deutschland" } } }),
        ),
        (
            SAO_PAULO,
            32,
            json!({
                "country": { "iso_code": "BR", "names": { "en": "Brazil" } },
                "subdivisions": [{ "iso_code": "SP", "names": { "en": "São Paulo" } }, { "iso_code": "X" }],
                "city": { "names": { "en": "São Paulo" } },
                "postal": { "code": "01000" },
                "location": { "latitude": -23.5, "longitude": 46.25, "time_zone": "America/Sao_Paulo" },
                "autonomous_system_number": 64496,
            }),
        ),
        (
            SOMEWHERE_IN_US,
            32,
            json!({
                "country": { "iso_code": "US" }, "location": { "metro_code": 501 },
                "traits": { "autonomous_system_number": 64497 },
            }),
        ),
        // A time zone that is none: nothing but the country can be relied on.
        ("127.0.0.16", 32, json!({ "country": { "iso_code": "FR" }, "location": { "time_zone": 5 } })),
        ("2001:db8::", 32, json!({ "country": { "iso_code": "FR" } })),
        ("127.0.0.8", 29, json!({})),
    ])
}

fn file(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let file = folder.path().join("places.mmdb");
    std::fs::write(&file, bytes).unwrap();
    file
}

/// `toml` with `[geo]` before it.
async fn start(folder: &TempDir, toml: &str, endpoint: &str) -> Stage {
    let file = file(folder, &places());
    Stage::start(&format!("[geo]\ndatabase = {:?}\n{toml}", file.display().to_string()), endpoint).await
}

/// A GET over plain HTTP from this address.
async fn from(address: &str, edge: SocketAddr, target: &str) -> Seen {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    let stream = socket.connect(edge).await.unwrap();
    let request = Request::builder().uri(target).header("host", HOST).body(Empty::new()).unwrap();
    viewer::exchange(stream, request).await.unwrap()
}

#[test]
fn a_database_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&file(&folder, &places())).unwrap();
    let of = |address: &str| database.place(address.parse().unwrap());
    let brazil = Place {
        country: Some("BR"),
        country_name: Some("Brazil"),
        region: Some("SP"),
        region_name: Some("São Paulo"),
        city: Some("São Paulo"),
        postal_code: Some("01000"),
        metro_code: None,
        latitude: Some(-23.5),
        longitude: Some(46.25),
        time_zone: Some("America/Sao_Paulo"),
        asn: Some(64_496),
    };
    assert_eq!(of(SAO_PAULO), brazil);
    assert_eq!(of("::ffff:127.0.0.2"), brazil);
    assert_eq!(of(BERLIN), Place { country: Some("DE"), country_name: Some("Germany"), ..Place::default() });
    let us = of(SOMEWHERE_IN_US);
    assert_eq!((us.country, us.metro_code, us.asn), (Some("US"), Some(501), Some(64_497)));
    assert_eq!(of("2001:db8::1").country, Some("FR"));
    assert_eq!(of("127.0.0.16"), Place { country: Some("FR"), ..Place::default() });
    for nowhere in [NOWHERE, "192.0.2.1", "::1", "127.0.0.9"] {
        assert_eq!(of(nowhere), Place::default(), "{nowhere}");
    }
}

#[test]
fn what_is_no_database_of_places() {
    let folder = tempfile::tempdir().unwrap();
    let open = |bytes: &[u8]| Database::open(&file(&folder, bytes)).unwrap_err();
    assert!(matches!(open(b"not a database"), OpenError::Damaged { .. }));
    assert!(matches!(open(b""), OpenError::Damaged { .. }));
    let systems = mmdb::database(&[(BERLIN, 32, json!({ "autonomous_system_number": 64496 }))]);
    assert!(matches!(open(&systems), OpenError::NoCountries(_)));
    let missing = Database::open(&folder.path().join("none.mmdb")).unwrap_err();
    assert!(matches!(missing, OpenError::Unreadable { .. }));
    // Damage anywhere is no reason to end.
    let good = places();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0xff;
        if let Ok(database) = Database::open(&file(&folder, &bytes)) {
            let _ = database.place(SAO_PAULO.parse().unwrap());
        }
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_told_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("edge.toml");
    let database = folder.path().join("places.mmdb");
    let bucket = "[[distribution.origin]]\nbucket = \"site\"\nregion = \"eu-west-1\"\n";
    let geo = format!("[geo]\ndatabase = {:?}\n", database.display().to_string());
    std::fs::write(&config, geo + &PLAIN.replace("$BUCKET", bucket)).unwrap();
    let checked = || finish(edgeseal(&["check", "--config", config.to_str().unwrap()]));
    let ended = checked().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("places.mmdb: cannot be read"), "{ended:?}");
    let mut run = edgeseal(&["run", "--config", config.to_str().unwrap()]);
    run.args(["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let ended = finish(run).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("places.mmdb: cannot be read"), "{ended:?}");
    std::fs::write(&database, places()).unwrap();
    assert_eq!(checked().await.code, Some(0));
}

#[tokio::test]
async fn who_is_let_in() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    // behaviour §12.1
    for (restriction, expected) in [
        ("blacklist", [403, 403, 301, 301]),
        ("whitelist", [301, 301, 403, 301]), // whose country is not known is let in
    ] {
        let toml = format!(
            "{PLAIN}[distribution.geo_restriction]\nrestriction_type = \"{restriction}\"\n\
             locations = [\"DE\", \"BR\"]\n"
        );
        let stage = start(&folder, &toml, &bucket.origin.url()).await;
        for (address, status) in [BERLIN, SAO_PAULO, SOMEWHERE_IN_US, NOWHERE].into_iter().zip(expected) {
            // Before the redirect (behaviour §12.15).
            let seen = from(address, stage.server.http, "/a").await;
            assert_eq!(seen.status, status, "{restriction} {address}");
        }
        let lines = log_lines(&stage.log, 4).await;
        let blocked: Vec<_> = lines.iter().filter(|line| line["sc-status"] == "403").collect();
        assert_eq!(blocked.len(), expected.into_iter().filter(|status| *status == 403).count());
        for line in blocked {
            assert_eq!(line["x-edge-detailed-result-type"], "ClientGeoBlocked");
        }
    }
    assert!(bucket.origin.served().is_empty());
}

#[tokio::test]
async fn a_page_for_who_is_not() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    bucket.put("sorry.html", "sorry");
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "{PLAIN}[distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n\
         [distribution.geo_restriction]\nrestriction_type = \"whitelist\"\nlocations = [\"DE\"]\n\
         [[distribution.custom_error_response]]\nerror_code = 403\nresponse_page_path = \"/sorry.html\"\n\
         response_code = 404\n"
    );
    let stage = start(&folder, &toml, &bucket.origin.url()).await;
    // behaviour §8.3; what is in the cache makes no difference
    for _ in 0..2 {
        let seen = from(SAO_PAULO, stage.server.http, "/a").await;
        assert_eq!((seen.status, seen.text()), (404, "sorry"));
        let seen = from(BERLIN, stage.server.http, "/a").await;
        assert_eq!((seen.status, seen.text()), (200, "a"));
    }
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn a_key_by_country_and_an_origin_that_learns_it() {
    let origin = Scripted::start([Act::ok("one"), Act::ok("two"), Act::ok("three")]).await;
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "{PLAIN}[distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n\
         cache_policy = \"by-country\"\norigin_request_policy = \"AllViewerAndCloudFrontHeaders-2022-06\"\n\
         [[cache_policy]]\nname = \"by-country\"\nheaders = [\"CloudFront-Viewer-Country\"]\n"
    );
    let stage = start(&folder, &toml, &origin.url()).await;
    for (address, body, result) in [
        (BERLIN, "one", "Miss"),
        (SAO_PAULO, "two", "Miss"),
        (BERLIN, "one", "Hit"),
        (NOWHERE, "three", "Miss"),
        (SAO_PAULO, "two", "Hit"),
        (NOWHERE, "three", "Hit"),
    ] {
        let seen = from(address, stage.server.http, "/a").await;
        assert_eq!(seen.text(), body, "{address}");
        assert_eq!(seen.header("x-cache"), format!("{result} from edgeseal"), "{address}");
    }
    let heads: Vec<_> = origin.heads().iter().map(|head| head.to_ascii_lowercase()).collect();
    let [berlin, sao_paulo, nowhere] = heads.as_slice() else { panic!("{heads:#?}") };
    assert!(berlin.contains("\r\ncloudfront-viewer-country: de\r\n"), "{berlin}");
    // behaviour §4.7
    for line in [
        "country: br",
        "country-name: brazil",
        "country-region: sp",
        "country-region-name: s%c3%a3o paulo",
        "city: s%c3%a3o paulo",
        "postal-code: 01000",
        "latitude: -23.5",
        "longitude: 46.25",
        "time-zone: america/sao_paulo",
        "asn: 64496",
        "address: 127.0.0.2:",
    ] {
        assert!(sao_paulo.contains(&format!("\r\ncloudfront-viewer-{line}")), "{line}: {sao_paulo}");
    }
    assert!(!sao_paulo.contains("metro-code"), "{sao_paulo}");
    assert!(!nowhere.contains("country") && !nowhere.contains("asn"), "{nowhere}");
}

#[tokio::test]
async fn who_is_let_in_is_explained_for_an_address_by_a_database_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let database = file(&folder, &places()).display().to_string();
    let toml = folder.path().join("site.toml");
    let site = "[[distribution]]\n[distribution.geo_restriction]\nrestriction_type = \"blacklist\"\n\
                locations = [\"DE\"]\n[[distribution.origin]]\nbucket = \"private-assets\"\nregion = \"eu-west-1\"\n";
    std::fs::write(&toml, site).unwrap();
    let toml = toml.display().to_string();
    for (viewer, blocked) in [(BERLIN, true), (SAO_PAULO, false), (NOWHERE, false)] {
        let words = ["explain", "https://cdn.example.com/a", "--config", &toml, "--geo-database", &database];
        let ended = finish(edgeseal(&[&words[..], &["--viewer", viewer]].concat())).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert_eq!(ended.out.contains("answered by the edge    403: "), blocked, "{viewer}: {}", ended.out);
    }
}

//! What the origin is told of the viewer's connection and of the request that failed (behaviour §4.7).

use std::sync::Arc;

use edgeseal::demo::viewer::trusting;
use http::Method;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::Stage;
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, ask, get, plain};

/// Nothing is cached, and the origin is told these headers.
fn telling(headers: &str) -> String {
    format!(
        "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n\
         cache_policy = \"CachingDisabled\"\norigin_request_policy = \"told\"\n\
         [[distribution.custom_error_response]]\nerror_code = 404\nresponse_page_path = \"/404.html\"\n\
         response_code = 404\n[[origin_request_policy]]\nname = \"told\"\nheaders = [{headers}]\n"
    )
}

/// A header's value in each request that the origin got.
fn values(origin: &Scripted, name: &str) -> Vec<Option<String>> {
    let value = |head: &String| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    origin.heads().iter().map(value).collect()
}

#[tokio::test]
async fn how_the_session_began() {
    let origin = Scripted::start(["body"; 4].map(Act::ok)).await;
    let stage = Stage::start(&telling("\"CloudFront-Viewer-TLS\""), &origin.url()).await;
    let connector = TlsConnector::from(Arc::new(trusting(&[])));
    for requests in [2, 1] {
        let stream = TcpStream::connect(stage.https()).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap();
        for n in 1..=requests {
            let end = if n == requests { "connection: close\r\n" } else { "" };
            let request = format!("GET /{n} HTTP/1.1\r\nhost: {HOST}\r\n{end}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\nbody") {
                answer.push(stream.read_u8().await.unwrap());
            }
        }
        // To the end, for the ticket to be taken.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    let forged = [("cloudfront-viewer-tls", "TLSv1.3:x:fullHandshake")];
    assert_eq!(plain(stage.server.http, Method::GET, "/p", &forged).await.status, 200);
    let told = values(&origin, "cloudfront-viewer-tls");
    let told: Vec<_> = told.iter().map(Option::as_deref).collect();
    // behaviour §4.7; over plain HTTP there is nothing to tell
    assert_eq!(
        told,
        [
            Some("TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake"),
            Some("TLSv1.3:TLS_AES_128_GCM_SHA256:connectionReused"),
            Some("TLSv1.3:TLS_AES_128_GCM_SHA256:sessionResumed"),
            None,
        ]
    );
}

#[tokio::test]
async fn how_many_fields_and_in_which_order() {
    let origin = Scripted::start([Act::ok("a")]).await;
    let headers = "\"CloudFront-Viewer-Header-Count\", \"CloudFront-Viewer-Header-Order\"";
    let stage = Stage::start(&telling(headers), &origin.url()).await;
    ask(stage.https(), Method::GET, "/a", &[("X-B", "1"), ("Accept", "*/*"), ("x-a", "2")]).await;
    assert_eq!(values(&origin, "cloudfront-viewer-header-count"), [Some("4".to_owned())]);
    let order = Some("host:x-b:accept:x-a".to_owned());
    assert_eq!(values(&origin, "cloudfront-viewer-header-order"), [order]);
}

#[tokio::test]
async fn the_pages_origin_learns_what_failed() {
    let origin = Scripted::start([Act::error(404, ""), Act::ok("page")]).await;
    let headers = "\"CloudFront-Error-Uri\", \"CloudFront-Error-Args\"";
    let stage = Stage::start(&telling(headers), &origin.url()).await;
    let seen = get(stage.https(), "/gone%20away?a=b&c").await;
    assert_eq!((seen.status, seen.text()), (404, "page"));
    // behaviour §8.3
    assert_eq!(values(&origin, "cloudfront-error-uri"), [None, Some("/gone%20away".to_owned())]);
    assert_eq!(values(&origin, "cloudfront-error-args"), [None, Some("a=b&c".to_owned())]);
}

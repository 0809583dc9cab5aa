//! A service on loopback that says what it is told to, and remembers what it was asked. For tests.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub(crate) struct Scripted {
    pub(crate) url: String,
    /// Bodies of the requests, in order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

/// Serves until the runtime ends. `answer` gets a request's body and gives status, content type and body.
pub(crate) async fn serve(
    answer: impl Fn(&str) -> (u16, &'static str, String) + Send + Sync + 'static,
) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            let service = service_fn(move |request: Request<Incoming>| {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    let (status, content_type, text) = answer(&body);
                    log.lock().unwrap().push(body);
                    let response = Response::builder().status(status).header("content-type", content_type);
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(text))).unwrap())
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Scripted { url, asked }
}

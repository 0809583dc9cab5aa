//! Instructions of a hit, counted: wall times on a shared machine say nothing of a change of 3 %, these do.
//!
//! `run.py` beside this file runs it under callgrind, which counts what happens within [`measured`] only, and compares
//! with `expected.json`. No TLS and no sockets: what is counted is ours. To count something else, add a line to [`LINES`].

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use bytes::Bytes;
use edgeseal::config::{self, AccessLogTarget, Environment, Overrides, PayloadHash};
use edgeseal::edge::Edge;
use edgeseal::observe::access_log::AccessLog;
use edgeseal::observe::metrics::Metrics;
use edgeseal::origin::credentials::CredentialSource;
use edgeseal::origin::sigv4::{self, Scope};
use edgeseal::pipeline;
use edgeseal::pipeline::hit::{self, HeadWriter};
use edgeseal::pipeline::tx::Connection;
use edgeseal::semantics::fields::{Line, Lines};
use edgeseal::semantics::view::{self, Received};
use http::request::Parts;
use http::{Method, Request, StatusCode, Version};
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;

/// The program's own: it is part of what is counted.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Counted = (&'static str, fn(&Stage) -> Box<dyn FnMut() + '_>);

/// What can be counted: the name in `expected.json`, and what to do again and again.
const LINES: &[Counted] = &[
    ("hit 1 KB", |stage| stage.hit(&Method::GET, &[])),
    ("hit 1 KB, logged", |stage| stage.logged()),
    ("hit HEAD", |stage| stage.hit(&Method::HEAD, &[])),
    ("hit 304", |stage| stage.hit(&Method::GET, &[("if-none-match", ETAG.as_bytes())])),
    ("hit 206", |stage| stage.hit(&Method::GET, &[("range", b"bytes=100-199")])),
    ("view of a browser's request", |stage| stage.view()),
    ("serve 1 KB, the way that hyper takes", |stage| stage.serve()),
    ("sign a fetch", |_| sign()),
];

const BODY: usize = 1024;
const PATH: &str = "/assets/2025/summer%20sale/hero-1920x1080.jpg";
const ETAG: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";
const BROWSER: [Line<'static>; 9] = [
    ("host", b"www.example.com"),
    ("user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", b"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"),
    ("accept-language", b"en-GB,en;q=0.5"),
    ("accept-encoding", b"gzip, deflate, br, zstd"),
    ("referer", b"https://www.example.com/"),
    ("sec-fetch-dest", b"image"),
    ("sec-fetch-mode", b"no-cors"),
    ("sec-fetch-site", b"same-origin"),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(count)) = (arguments.next(), arguments.next()) else {
        let names: String = LINES.iter().map(|(name, _)| format!("{name}\n")).collect();
        return print(&names);
    };
    if name.starts_with("--") {
        return print("benches/instructions/run.py drives this\n");
    }
    let count = count.parse().expect("a number of repetitions");
    let (_, line) = LINES.iter().find(|(known, _)| *known == name).expect("one of the lines");
    let stage = Stage::new();
    let mut once = line(&stage);
    // Caches, lazy statics and the allocator's pages.
    (0..500).for_each(|_| once());
    measured(&mut once, count);
}

/// All that is counted. run.py knows it by its name.
#[inline(never)]
fn measured(once: &mut dyn FnMut(), count: u32) {
    for _ in 0..count {
        once();
    }
}

/// An edge with one object in its cache.
struct Stage {
    edge: Arc<Edge>,
    logging: Arc<Edge>,
    connection: Arc<Connection>,
    runtime: Runtime,
}

impl Stage {
    fn new() -> Self {
        let origin = origin();
        let viewer = SocketAddr::from(([192, 0, 2, 7], 50_123));
        let stage = Self {
            edge: edge(origin, AccessLogTarget::Off),
            logging: edge(origin, AccessLogTarget::File("/dev/null".into())),
            connection: Connection::new(viewer, None, None),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        };
        for edge in [&stage.edge, &stage.logging] {
            assert_eq!(stage.ask(edge, browser_request()), BODY, "the object is stored");
        }
        stage
    }

    /// By way of [`pipeline::serve`]. Returns the length of the body.
    fn ask(&self, edge: &Arc<Edge>, parts: Parts) -> usize {
        self.runtime.block_on(async {
            let response = pipeline::serve(Arc::clone(edge), Arc::clone(&self.connection), parts, None).await;
            assert_eq!(response.status(), StatusCode::OK);
            response.into_body().collect().await.map_or(0, |body| body.to_bytes().len())
        })
    }

    fn hit(&self, method: &'static Method, more: &[Line<'static>]) -> Box<dyn FnMut() + '_> {
        self.hit_of(&self.edge, method, more)
    }

    fn logged(&self) -> Box<dyn FnMut() + '_> {
        self.hit_of(&self.logging, &Method::GET, &[])
    }

    /// From a request as httparse leaves it to the bytes that a connection would write, and the log's line.
    fn hit_of<'s>(
        &'s self,
        edge: &'s Edge,
        method: &'static Method,
        more: &[Line<'static>],
    ) -> Box<dyn FnMut() + 's> {
        let lines = [&BROWSER, more].concat();
        let mut out = Writer(Vec::with_capacity(8 << 10));
        Box::new(move || {
            let received = received(method, black_box(&lines));
            out.0.clear();
            let mut hit = hit::answer(edge, &self.connection, &received).expect("it is stored");
            hit.tell(&mut out);
            let (site, facts) = (hit.site(), &hit.facts);
            let body = facts.bytes(0);
            out.0.extend_from_slice(body);
            facts.ended(edge, site, &self.connection, &received, body.len() as u64);
            black_box(&out.0);
        })
    }

    fn view(&self) -> Box<dyn FnMut() + '_> {
        Box::new(|| {
            let received = received(&Method::GET, black_box(&BROWSER));
            black_box(view::read(&received, true).is_ok());
        })
    }

    fn serve(&self) -> Box<dyn FnMut() + '_> {
        let parts = browser_request();
        Box::new(move || {
            black_box(self.ask(&self.edge, parts.clone()));
        })
    }
}

fn sign() -> Box<dyn FnMut()> {
    let token = "t".repeat(900); // s3 §1.15
    let credentials = credentials(Some(token));
    let scope = Scope { region: "eu-west-1", payload: PayloadHash::Empty };
    let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_764_000_000);
    let request = Request::builder().uri(PATH).header("host", "private-assets.s3.eu-west-1.amazonaws.com");
    let (mut parts, ()) = request.body(()).expect("a literal request").into_parts();
    Box::new(move || {
        black_box(sigv4::sign(&mut parts, &credentials, scope, at).is_ok());
    })
}

struct Writer(Vec<u8>);

impl HeadWriter for Writer {
    fn status(&mut self, status: StatusCode) {
        self.0.extend_from_slice(b"HTTP/1.1 ");
        self.0.extend_from_slice(status.as_str().as_bytes());
        self.0.extend_from_slice(b" \r\n");
    }

    fn lines(&mut self, lines: &[u8]) {
        self.0.extend_from_slice(lines);
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }
}

fn received<'a>(method: &'a Method, lines: &'a [Line<'a>]) -> Received<'a> {
    Received { method, version: Version::HTTP_11, authority: None, target: PATH, lines: Lines(lines) }
}

fn browser_request() -> Parts {
    let request = Request::builder().uri(PATH);
    let request = BROWSER.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("a literal request").into_parts().0
}

fn credentials(token: Option<String>) -> Credentials {
    Credentials::new(
        "ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        token,
        None,
        "instructions",
    )
}

fn edge(origin: SocketAddr, access: AccessLogTarget) -> Arc<Edge> {
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\nbucket = \"assets\"\nregion = \"eu-west-1\"\n\
         endpoint = \"http://{origin}\"\n[distribution.default_cache_behavior]\n\
         viewer_protocol_policy = \"allow-all\"\n"
    );
    let environment = Environment { s3_endpoint: None, region: None, parallelism: 1 };
    let loaded = config::load_toml("bench.toml", &toml, &environment, &Overrides::default());
    let config = loaded.expect("a literal configuration").config;
    let log = AccessLog::open(&access, Arc::clone(&config.identity.pop)).expect("the log opens");
    let source = CredentialSource::fixed(credentials(None));
    Edge::new(&config, Metrics::new(), log, |_| Arc::clone(&source)).expect("the edge can be built")
}

/// Answers two connections with the object. Ten fields, as S3 would send them.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let head = format!(
        "HTTP/1.1 200 OK\r\ndate: {}\r\nlast-modified: Sat, 29 Oct 1994 19:43:31 GMT\r\netag: {ETAG}\r\n\
         accept-ranges: bytes\r\ncontent-type: image/jpeg\r\ncontent-length: {BODY}\r\n\
         cache-control: public, max-age=86400\r\ncontent-language: en\r\nx-amz-meta-owner: marketing\r\n\
         x-amz-meta-revision: 2025-11-24T16:00:00Z\r\nx-amz-meta-checksum: 9f86d081884c7d659a2feaa0c55ad015\r\n\r\n",
        httpdate::fmt_http_date(SystemTime::now())
    );
    let answer: Bytes = [head.as_bytes(), &[b'x'; BODY]].concat().into();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.expect("the edge connects");
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut more = [0; 4096];
                let read = stream.read(&mut more).expect("the edge asks");
                asked.extend_from_slice(&more[..read]);
            }
            stream.write_all(&answer).expect("the edge reads");
        }
    });
    address
}

/// A reader that has gone is nobody's loss.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

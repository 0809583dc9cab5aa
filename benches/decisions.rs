//! The pure functions on the path of a request, one at a time: what each costs when nothing else is going on.
//!
//! `cargo bench --bench decisions` measures; benches/README.md has figures.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use edgeseal::cache::Key;
use edgeseal::cache::memory::{Entry, Memory};
use edgeseal::cache::object::{Content, Head, Object};
use edgeseal::clock::{self, Timestamp};
use edgeseal::config::{AccessLogTarget, CachePolicy, Encoding, PayloadHash, policies};
use edgeseal::observe::access_log::{AccessLog, json_line};
use edgeseal::observe::metrics::Metrics;
use edgeseal::observe::record::{DetailedResult, More, Record, ResultType, TlsFacts};
use edgeseal::origin::sigv4::{Scope, Signer};
use edgeseal::policy::encoding::{self, Normalized};
use edgeseal::policy::lookup::{self, Lookup};
use edgeseal::policy::{freshness, key};
use edgeseal::route::{Behaviors, Pattern};
use edgeseal::semantics::conditional::{self, Validators};
use edgeseal::semantics::{date, path, range, view};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};

/// The program's own: several of these functions allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Timestamp = Timestamp::from_secs(1_764_000_000);
const RAW_PATH: &str = "/assets/2025/summer%20sale/caf%C3%A9-hero-1920x1080.jpg";
const PATH: &str = "/assets/2025/summer sale/café-hero-1920x1080.jpg";
const ETAG: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";
const LAST_MODIFIED: &str = "Sat, 29 Oct 1994 19:43:31 GMT";

criterion_group! {
    name = decisions;
    config = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = reading, routing, keying, looking_up, living, matching, signing, recording
}
criterion_main!(decisions);

fn reading(c: &mut Criterion) {
    let request = browser_request();
    c.bench_function("view::parse, a browser's GET", |b| {
        b.iter(|| view::parse(black_box(&request), true).is_ok())
    });
    c.bench_function("path::decode, nothing to decode", |b| {
        b.iter(|| path::decode(black_box("/assets/2025/summer/hero-1920x1080.jpg")).is_ok());
    });
    c.bench_function("path::decode, three escapes", |b| b.iter(|| path::decode(black_box(RAW_PATH)).is_ok()));
    c.bench_function("path::encode, three escapes", |b| b.iter(|| path::encode(black_box(PATH))));
}

fn routing(c: &mut Criterion) {
    let pattern = Pattern::parse("/assets/*/*-hero-*.jpg").expect("a literal pattern");
    c.bench_function("Pattern::matches, three stars", |b| b.iter(|| pattern.matches(black_box(PATH))));
    let typed = ["api/*", "*.html", "static/*", "media/*.mp4", "img/??/*", "*.css", "*.js", "/favicon.ico"];
    let ordered = typed.iter().map(|text| (Pattern::parse(text).expect("a literal pattern"), *text));
    let behaviors = Behaviors::new(ordered.collect(), "default");
    c.bench_function("Behaviors::find, past eight patterns to the default", |b| {
        b.iter(|| *behaviors.find(&path::normalize(black_box(PATH))));
    });
}

fn keying(c: &mut Criterion) {
    let parts = browser_request();
    let view = view::parse(&parts, true).expect("a request of a browser");
    let policy = policies::optimized();
    let by_header = CachePolicy {
        headers: ["accept-language", "origin"].map(HeaderName::from_static).into(),
        ..CachePolicy::clone(&policy)
    };
    let encoding = Encoding { gzip: true, brotli: true, compress: true };
    c.bench_function("encoding::normalized, of a browser", |b| {
        b.iter(|| encoding::normalized(encoding, view.version, black_box(view.headers)));
    });
    for (name, policy) in [("no headers", &*policy), ("two headers", &by_header)] {
        c.bench_function(&format!("policy::key, {name}"), |b| {
            b.iter(|| key::key("E2EXAMPLE", &view, black_box(RAW_PATH), policy, Normalized::Untouched));
        });
    }
}

fn looking_up(c: &mut Criterion) {
    let max_ttl = policies::optimized().max_ttl;
    for (name, count) in [("16 hot keys", 16), ("100,000 keys at random", 100_000)] {
        let (memory, keys) = filled(count);
        let mut order = visits(count).into_iter().cycle();
        c.bench_function(&format!("Memory::get and lookup::decide, {name}"), |b| {
            b.iter(|| {
                let key = &keys[order.next().unwrap_or_default()];
                lookup::decide(memory.get(key), max_ttl, NOW)
            });
        });
        let (mut key, mut written) = (String::new(), Vec::with_capacity(4096));
        c.bench_function(&format!("the same with head and body copied, {name}"), |b| {
            b.iter(|| {
                key.clear();
                let _ = write!(key, "E2EXAMPLE\n/assets/{:06}/hero.jpg", order.next().unwrap_or_default());
                let Lookup::Serve(object) = lookup::decide(memory.get(&key), max_ttl, NOW) else {
                    panic!("every look-up is to be a hit");
                };
                written.clear();
                written.extend_from_slice(object.head.fields().as_bytes());
                if let Content::Whole(pieces) = object.content() {
                    written.extend_from_slice(pieces.at(0));
                }
                black_box(&written).len()
            });
        });
    }
}

fn living(c: &mut Criterion) {
    let policy = policies::optimized();
    let said = s3_answer();
    let silent = HeaderMap::new();
    for (name, headers) in [("max-age and two windows", &said), ("nothing said", &silent)] {
        c.bench_function(&format!("freshness::lifetime, {name}"), |b| {
            b.iter(|| freshness::lifetime(&policy, black_box(headers), NOW));
        });
    }
}

fn matching(c: &mut Criterion) {
    let object = Validators {
        etag: Some(ETAG),
        last_modified: date::parse(HeaderValue::from_static(LAST_MODIFIED)),
        date: None,
    };
    let plain = browser_request().headers;
    let known = fields(&[("if-none-match", ETAG), ("if-modified-since", LAST_MODIFIED)]);
    let part = fields(&[("range", "bytes=1048576-2097151"), ("if-range", ETAG)]);
    for (name, headers) in [("none asked", &plain), ("304", &known), ("If-Range and a part", &part)] {
        c.bench_function(&format!("conditions and range, {name}"), |b| {
            b.iter(|| {
                let headers = black_box(headers);
                let verdict = conditional::evaluate(headers, object);
                let asked = headers.get(http::header::RANGE).and_then(range::parse);
                let applies = conditional::range_applies(headers, object);
                (verdict, asked.filter(|_| applies).map(|spec| spec.select(10_000_000)))
            });
        });
    }
}

fn signing(c: &mut Criterion) {
    let token = "t".repeat(900); // s3 §1.15
    let key = ("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let credentials = Credentials::new(key.0, key.1, Some(token), None, "bench");
    let scope = Scope { region: "eu-west-1", payload: PayloadHash::Empty };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    let mut head = parts(&path::encode(PATH), &[("host", "private-assets.s3.eu-west-1.amazonaws.com")]);
    let signer = Signer::default();
    c.bench_function("sigv4::sign, a token of 900 bytes", |b| {
        b.iter(|| signer.sign(black_box(&mut head), &credentials, scope, at).is_ok());
    });
}

fn recording(c: &mut Criterion) {
    let record = record();
    let mut line = Vec::new();
    c.bench_function("access_log::json_line", |b| {
        b.iter(|| {
            line.clear();
            json_line(black_box(&record), "EDG1-C1", &mut line);
        });
    });
    let null = AccessLogTarget::File("/dev/null".into());
    let log = AccessLog::open(&null, "EDG1-C1".into()).expect("/dev/null is there");
    let metrics = Metrics::new().distribution("E2EXAMPLE");
    for threads in [1, 2] {
        c.bench_function(&format!("access_log write, {threads} at once"), |b| {
            b.iter_custom(|times| at_once(threads, times, || log.write(black_box(&record))));
        });
        c.bench_function(&format!("metrics observe, {threads} at once"), |b| {
            b.iter_custom(|times| at_once(threads, times, || metrics.observe(black_box(&record))));
        });
    }
    c.bench_function("clock::read", |b| b.iter(clock::read));
    c.bench_function("clock::date_value", |b| b.iter(|| clock::date_value(black_box(NOW))));
    assert_eq!(log.dropped(), 0, "every line is to be written");
}

/// How long `threads` take that each do it so many times, all at once.
fn at_once(threads: usize, times: u64, act: impl Fn() + Sync) -> Duration {
    let all_started = Barrier::new(threads);
    std::thread::scope(|scope| {
        let one = || {
            all_started.wait();
            let start = Instant::now();
            (0..times).for_each(|_| act());
            start.elapsed()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).max().unwrap_or_default()
    })
}

/// As many objects as `count`, and their keys.
fn filled(count: usize) -> (Memory, Vec<Key>) {
    let memory = Memory::new(4 << 30, |_| ());
    let policy = policies::optimized();
    let headers = s3_answer();
    let lifetime = freshness::lifetime(&policy, &headers, NOW);
    let keys: Vec<Key> = (0..count).map(|n| format!("E2EXAMPLE\n/assets/{n:06}/hero.jpg").into()).collect();
    for key in &keys {
        let head = Head::new(StatusCode::OK, &headers);
        let object = Object::new(head, lifetime, NOW, [Bytes::from(vec![0; 1024])].into()).under(key);
        memory.insert(Key::clone(key), Entry::Object(Arc::new(object)), 0);
    }
    assert_eq!(memory.stats().entries, count as u64, "every look-up is to be a hit");
    (memory, keys)
}

/// Indices below `count` in an order that no prefetcher guesses; the same ones every time.
fn visits(count: usize) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..1 << 17).map(|_| random.usize(..count)).collect()
}

fn browser_request() -> Parts {
    parts(
        RAW_PATH,
        &[
            ("host", "www.example.com"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"),
            ("accept-language", "en-GB,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("referer", "https://www.example.com/"),
            ("sec-fetch-dest", "image"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-site", "same-origin"),
        ],
    )
}

fn parts(target: &str, with: &[(&'static str, &'static str)]) -> Parts {
    let request = Request::builder().uri(target).body(()).expect("a literal target");
    let (mut parts, ()) = request.into_parts();
    parts.headers = fields(with);
    parts
}

fn s3_answer() -> HeaderMap {
    fields(&[
        ("etag", ETAG),
        ("last-modified", LAST_MODIFIED),
        ("cache-control", "public, max-age=86400, stale-while-revalidate=60, stale-if-error=600"),
        ("content-type", "image/jpeg"),
        ("content-length", "1024"),
        ("accept-ranges", "bytes"),
        ("date", "Mon, 24 Nov 2025 16:00:00 GMT"),
        ("x-amz-meta-owner", "marketing"),
    ])
}

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

fn record() -> Record<'static> {
    Record {
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_250),
        time_taken: Duration::from_micros(300),
        time_to_first_byte: Duration::from_micros(100),
        viewer: SocketAddr::from(([192, 0, 2, 7], 50_123)),
        distribution: Some("E2EXAMPLE"),
        request_id: "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==",
        method: "GET",
        version: Version::HTTP_2,
        host_header: b"www.example.com",
        uri_stem: RAW_PATH.as_bytes(),
        uri_query: Some(b"v=1"),
        referer: Some(b"https://www.example.com/"),
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        x_forwarded_for: None,
        tls: Some(TlsFacts { protocol: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" }),
        status: 200,
        result: ResultType::Hit,
        response_result: ResultType::Hit,
        detailed: DetailedResult::Same,
        origin_code: None,
        bytes_from_viewer: 480,
        bytes_to_viewer: 1_600,
        content_type: Some(b"image/jpeg"),
        content_length: Some(1_024),
        range: None,
        more: More::default(),
    }
}

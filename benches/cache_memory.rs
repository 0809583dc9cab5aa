//! What a stored object takes beyond its body, part by part: resident memory of a fresh process for each part, over the
//! number of objects. Ten headers, as S3 sends them.
//!
//! `cargo bench --profile release --bench cache_memory [-- COUNT]`; benches/README.md has figures.
#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use edgeseal::cache::Key;
use edgeseal::cache::memory::{Entry, Memory};
use edgeseal::cache::object::{Head, Object};
use edgeseal::clock::Timestamp;
use edgeseal::policy::freshness::Lifetime;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTS: [&str; 3] = ["objects", "moka", "all"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let count = words.first().map_or(200_000, |word| word.parse().expect("a number of objects"));
    if let Some(part) = words.get(1) {
        println!("{}", measure(part, count));
        return;
    }
    let this = std::env::current_exe().expect("the bench itself");
    let [objects, moka, all] = PARTS.map(|part| {
        let told = Command::new(&this).args([&count.to_string(), part]).output().expect("runs once more");
        let told = String::from_utf8_lossy(&told.stdout).trim().parse::<f64>().expect("a number");
        told / count as f64
    });
    let memory = filled(1000);
    let weighed = memory.stats().bytes as f64 / 1000.0;
    println!("bytes an object, of {count}, bodies empty");
    println!(
        "| object with its head and its key | moka | index | all | weighed |\n| --: | --: | --: | --: | --: |"
    );
    let index = all - objects - moka;
    println!("| {objects:.0} | {moka:.0} | {index:.0} | {all:.0} | {weighed:.0} |");
}

/// Bytes that so many of a part take.
fn measure(part: &str, count: usize) -> u64 {
    let before = resident();
    let kept: Box<dyn std::any::Any> = match part {
        "objects" => Box::new((0..count).map(|n| object(&key(n))).collect::<Vec<_>>()),
        "moka" => {
            let cache = moka::sync::Cache::builder()
                .max_capacity(1 << 40)
                .weigher(|_: &u64, _: &(u64, u32)| 16)
                .eviction_listener(|_, _, _| ())
                .build();
            (0..count as u64).for_each(|n| cache.insert(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), (n, 16)));
            cache.run_pending_tasks();
            Box::new(cache)
        }
        _ => Box::new(filled(count)),
    };
    let after = resident();
    drop(kept);
    after.saturating_sub(before)
}

fn filled(count: usize) -> Memory {
    let memory = Memory::new(64 << 30, |_| ());
    for n in 0..count {
        memory.insert(key(n), Entry::Object(object(&key(n))), 0);
    }
    assert_eq!(memory.stats().entries, count as u64);
    memory
}

fn key(n: usize) -> Key {
    format!("E2EXAMPLE\n/assets/2025/{n:07}/hero.jpg").into()
}

fn object(key: &str) -> Arc<Object> {
    let head = Head::new(StatusCode::OK, &headers());
    Arc::new(Object::new(head, Lifetime::default(), Timestamp::default(), [Bytes::new()].into()).under(key))
}

fn headers() -> HeaderMap {
    [
        ("etag", "\"d41d8cd98f00b204e9800998ecf8427e\""),
        ("last-modified", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("cache-control", "public, max-age=86400, stale-while-revalidate=60"),
        ("content-type", "image/jpeg"),
        ("content-length", "1024"),
        ("accept-ranges", "bytes"),
        ("date", "Mon, 24 Nov 2025 16:00:00 GMT"),
        ("x-amz-meta-owner", "marketing"),
        ("x-amz-version-id", "3HL4kqtJvjVBH40Nrjfkd"),
        ("content-disposition", "inline"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("pages");
    pages * 4096
}

//! What is kept, for how long, and what happens afterwards (behaviour §4, §5, §8.1).

mod cache_status;
mod disabled;
mod errors;
mod freshness;
mod keys;
mod never_fresh;
mod policies;
mod preflight;
mod private;
mod sizes;
mod stale;
mod variants;

use std::time::Duration;

use crate::support::viewer::Seen;

/// One bucket under a cache policy of the test's own, which is `fields`.
fn under(fields: &str) -> String {
    format!(
        "[[cache_policy]]\nname = \"test\"\n{fields}\n[[distribution]]\n$BUCKET\n\
         [distribution.default_cache_behavior]\ncache_policy = \"test\"\n"
    )
}

/// Objects that say nothing of their time live for 100 ms; the origin's word counts from 0 s on.
fn brief() -> String {
    under("min_ttl = \"0s\"\ndefault_ttl = \"100ms\"\nmax_ttl = \"1d\"")
}

const BRIEF: Duration = Duration::from_millis(100);

/// Everything that was fetched before now is older than `ttl` after this. It waits for the very thing that it is
/// about, so nothing is left to luck.
async fn outlive(ttl: Duration) {
    tokio::time::sleep(ttl).await;
}

/// `Hit`, `Miss`, `RefreshHit` or `Error` (behaviour §8.5).
fn result(seen: &Seen) -> &str {
    seen.header("x-cache").trim_end_matches(" from edgeseal")
}

/// Status, result and body.
fn told(seen: &Seen) -> (u16, &str, &str) {
    (seen.status, result(seen), seen.text())
}

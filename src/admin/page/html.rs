//! The document. Whatever comes from outside passes [`escape`]: there is no other way into it than [`Page::text`].

use super::status::{Expiry, Status};

pub(super) const SCRIPT: &str = include_str!("page.js");
pub(super) const STYLE: &str = include_str!("page.css");

const DAY: i64 = 86_400;

pub(super) fn render(status: &Status) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    let title = if status.ready { "edgeseal" } else { "not ready · edgeseal" };
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\n<title>");
    page.text(title);
    page.raw("</title>\n<style>");
    page.raw(STYLE);
    page.raw("</style>\n</head>\n<body>\n<main>\n");
    head(&mut page, status);
    readiness(&mut page, status);
    traffic(&mut page, status);
    runs_out(&mut page, status);
    invalidations(&mut page, status);
    page.raw("<footer>Counts are since the start. <a href=\"/metrics\">metrics</a> · <a href=\"/readyz\">readiness</a> · ");
    page.raw("<a href=\"/status.json\">this page as JSON</a></footer>\n</main>\n<script>");
    page.raw(SCRIPT);
    page.raw("</script>\n</body>\n</html>\n");
    page.0
}

fn head(page: &mut Page, status: &Status) {
    let (class, word) = if status.ready { ("good", "ready") } else { ("bad", "not ready") };
    page.raw("<h1>edgeseal <span id=\"ready\" class=\"");
    page.raw(class);
    page.raw("\">");
    page.text(word);
    page.raw("</span></h1>\n<div>");
    let uptime =
        status.uptime_seconds.map(|secs| format!(", up for {}", span(signed(secs)))).unwrap_or_default();
    page.text(&format!("version {}{uptime}", status.version));
    page.raw(" · <span id=\"now\"></span></div>\n<div class=\"tiles\">\n");
    page.tile("Requests", &grouped(status.requests), &[("requests", status.requests)]);
    let share = percent(status.hits, status.cacheable);
    page.tile("From the cache", &share, &[("hits", status.hits), ("cacheable", status.cacheable)]);
    page.tile("Sent", &size(status.bytes_sent), &[("bytes", status.bytes_sent)]);
    let cache = &status.cache;
    page.tile("Cache", &format!("{} of {}", size(cache.bytes), size(cache.max_bytes)), &[]);
    page.tile("Objects", &grouped(cache.entries), &[]);
    let open: u64 = status.connections.values().sum();
    page.tile("Connections", &grouped(open), &[]);
    if let Some(resident) = status.memory.resident_bytes {
        let limit = status.memory.limit_bytes.map(|limit| format!(" of {}", size(limit))).unwrap_or_default();
        page.tile("Memory", &format!("{}{limit}", size(resident)), &[]);
    }
    page.raw("</div>\n");
}

fn readiness(page: &mut Page, status: &Status) {
    let mut rows: Vec<_> = (status.checks.iter())
        .map(|check| {
            vec![Cell::text(check.name), Cell::verdict(check.ok, "ok", "fails"), Cell::text(&check.detail)]
        })
        .collect();
    let configuration = &status.configuration;
    if !configuration.in_force {
        let since = format!("the one of {} is in force", date(configuration.since));
        rows.push(vec![Cell::text("last reload"), Cell::new("refused", "bad"), Cell::text(&since)]);
    }
    page.table("Readiness", &["", "", ""], rows);
}

fn traffic(page: &mut Page, status: &Status) {
    let rows = status.results.iter().filter(|line| line.requests > 0).map(|line| {
        let times = [line.first_byte_p50, line.first_byte_p99, line.last_byte_p99];
        let counts = [grouped(line.requests), percent(line.requests, status.requests)];
        let numbers = counts.into_iter().chain(times.map(duration)).map(|text| Cell::new(&text, "number"));
        std::iter::once(Cell::text(line.result)).chain(numbers).collect()
    });
    let heads = ["Answers", "#requests", "#share", "#first byte, p50", "#first byte, p99", "#last byte, p99"];
    page.table("Latency", &heads, rows.collect());

    let rows = status.distributions.iter().map(|one| {
        let id = if one.id.is_empty() { "(none of ours)" } else { &one.id };
        let bad = if one.errors_5xx > 0 { "number warn" } else { "number" };
        vec![
            Cell::text(id),
            Cell::text(one.name.as_deref().unwrap_or_default()),
            Cell::new(&grouped(one.requests), "number"),
            Cell::new(&percent(one.hits, one.cacheable), "number"),
            Cell::new(&grouped(one.errors_4xx), "number"),
            Cell::new(&grouped(one.errors_5xx), bad),
            Cell::new(&size(one.bytes_sent), "number"),
        ]
    });
    let heads = ["Distribution", "name", "#requests", "#from the cache", "#4xx", "#5xx", "#sent"];
    page.table("Distributions", &heads, rows.collect());

    let rows = status.origins.iter().map(|one| {
        let mut row = vec![Cell::text(&one.id), Cell::new(&grouped(one.requests), "number")];
        for count in [one.failed, one.denied] {
            row.push(Cell::new(&grouped(count), if count > 0 { "number warn" } else { "number" }));
        }
        row.extend(
            [duration(one.p50), duration(one.p99), size(one.bytes)].map(|text| Cell::new(&text, "number")),
        );
        row
    });
    let heads = ["Origin", "#answers", "#no answer", "#refusals", "#p50", "#p99", "#received"];
    page.table("Origins", &heads, rows.collect());

    let rows = status.errors.iter().map(|line| {
        vec![
            Cell::text(line.kind),
            Cell::text(&line.what),
            Cell::text(&line.of),
            Cell::new(&grouped(line.count), "number"),
        ]
    });
    page.table("Top errors", &["To or from", "what", "of", "#count"], rows.collect());
}

fn runs_out(page: &mut Page, status: &Status) {
    let row = |expiry: &Expiry, (warn, bad): (i64, i64)| {
        let class = match expiry.seconds_left {
            left if left < bad => "bad",
            left if left < warn => "warn",
            _ => "good",
        };
        vec![
            Cell::text(&expiry.of),
            Cell::new(&left(expiry.seconds_left), class),
            Cell::text(&date(expiry.at)),
        ]
    };
    let heads = ["For", "expires", "at"];
    let rows = status.certificates.iter().map(|expiry| row(expiry, (14 * DAY, 2 * DAY)));
    page.table("Certificates", &heads, rows.collect());
    let rows = status.credentials.iter().map(|expiry| row(expiry, (300, 120)));
    page.table("Credentials", &heads, rows.collect());
    let rows = status
        .keys
        .iter()
        .map(|key| vec![Cell::text(&key.key), Cell::verdict(key.usable, "can decrypt", "cannot decrypt")]);
    page.table("Keys", &["KMS key", ""], rows.collect());
}

fn invalidations(page: &mut Page, status: &Status) {
    let Some(recent) = &status.recent_invalidations else { return };
    let rows = recent.iter().map(|one| {
        let more = one.count.saturating_sub(one.paths.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        vec![
            Cell::text(&one.created),
            Cell::text(&one.distribution),
            Cell::text(&one.id),
            Cell::text(one.status),
            Cell::text(&format!("{}{more}", one.paths.join(" "))),
        ]
    });
    page.table("Recent invalidations", &["When", "distribution", "id", "status", "paths"], rows.collect());
}

/// HTML in the making.
struct Page(String);

struct Cell {
    text: String,
    class: &'static str,
}

impl Cell {
    fn new(text: &str, class: &'static str) -> Self {
        Self { text: text.to_owned(), class }
    }

    fn text(text: &str) -> Self {
        Self::new(text, "")
    }

    fn verdict(is_good: bool, good: &str, bad: &str) -> Self {
        if is_good { Self::new(good, "good") } else { Self::new(bad, "bad") }
    }
}

impl Page {
    /// Ours: `&'static`, so nothing that was ever received.
    fn raw(&mut self, html: &'static str) {
        self.0.push_str(html);
    }

    fn text(&mut self, text: &str) {
        escape(&mut self.0, text);
    }

    /// `counters`: what the script compares with the next page's.
    fn tile(&mut self, title: &'static str, text: &str, counters: &[(&'static str, u64)]) {
        self.raw("<div>");
        self.text(title);
        self.raw("<b>");
        self.text(text);
        self.raw("</b>");
        for (name, value) in counters {
            self.raw("<span hidden data-counter=\"");
            self.raw(name);
            self.raw("\" data-value=\"");
            self.text(&value.to_string());
            self.raw("\"></span>");
        }
        self.raw("</div>\n");
    }

    /// Nothing, where there are no rows. A head that begins with `#` is over numbers.
    fn table(&mut self, title: &'static str, heads: &[&'static str], rows: Vec<Vec<Cell>>) {
        if rows.is_empty() {
            return;
        }
        self.raw("<h2>");
        self.text(title);
        self.raw("</h2>\n<div class=\"scroll\"><table>\n");
        if heads.iter().any(|head| !head.is_empty()) {
            self.raw("<tr>");
            for head in heads {
                self.raw(if head.starts_with('#') { "<th class=\"number\">" } else { "<th>" });
                self.text(head.trim_start_matches('#'));
                self.raw("</th>");
            }
            self.raw("</tr>\n");
        }
        for row in rows {
            self.raw("<tr>");
            for cell in row {
                self.raw("<td class=\"");
                self.raw(cell.class);
                self.raw("\">");
                self.text(&cell.text);
                self.raw("</td>");
            }
            self.raw("</tr>\n");
        }
        self.raw("</table></div>\n");
    }
}

/// For text and for quoted attributes.
fn escape(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn percent(some: u64, all: u64) -> String {
    if all == 0 { "–".to_owned() } else { format!("{:.1} %", some as f64 * 100.0 / all as f64) }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

/// The two largest units.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / DAY, seconds % DAY / 3600, seconds % 3600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn left(seconds: i64) -> String {
    if seconds > 0 {
        format!("in {}", span(seconds))
    } else {
        format!("{} ago", span(seconds.saturating_neg()))
    }
}

fn date(at: u64) -> String {
    let bytes = crate::clock::date(crate::clock::Timestamp::from_secs(at.min(crate::clock::END_OF_9999)));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::Recent;
    use crate::admin::page::status::Private;
    use crate::admin::{Check, Readiness};
    use crate::clock::Timestamp;
    use crate::observe::metrics::Metrics;

    /// What somebody might get into a name, a path or a reason.
    const EVIL: &str = "</script><script>alert(1)</script><img src=x onerror='a' b=\"c\"> & co";

    fn page(ready: bool, private: Option<Private>) -> String {
        let metrics = Metrics::new();
        metrics.cert_not_after(EVIL, 1_000 + 3 * DAY);
        metrics.credentials_expiry(EVIL, Some(900.0));
        metrics.kms_key_usable(EVIL, Some(false));
        let origin = metrics.origin(EVIL);
        origin.denied("kms_key_disabled");
        drop(metrics.distribution(EVIL));
        let checks = vec![Check { name: "origin", ok: ready, detail: EVIL.to_owned() }];
        let now = Timestamp::from_secs(1_000);
        render(&Status::of(&metrics.gather(), Readiness { ready, checks }, private, now))
    }

    fn private() -> Private {
        let recent = Recent {
            id: "I1".into(),
            distribution: EVIL.into(),
            created: "2026-01-01T00:00:00.000Z".into(),
            status: "Completed",
            count: 7,
            paths: vec![EVIL.into(), "/b".into()],
        };
        Private { names: [(EVIL.to_owned(), EVIL.to_owned())].into(), invalidations: vec![recent] }
    }

    #[test]
    fn nothing_that_comes_from_outside_is_markup() {
        let page = page(false, Some(private()));
        let (before, after) = page.split_once("<script>").unwrap();
        assert!(
            !before.contains("<img") && !before.contains("</script") && !before.contains("onerror='"),
            "{before}"
        );
        assert_eq!(after.matches("<script").count(), 0, "the one script is ours");
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"), "they would end where they should not");
        let escaped = "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39; \
                       b=&quot;c&quot;&gt; &amp; co";
        // Check, distribution and its name, origin, error, certificate, credentials, key, invalidation and its path.
        assert_eq!(before.matches(escaped).count(), 10, "{before}");
    }

    #[test]
    fn it_says_what_is_wrong() {
        let page = page(false, Some(private()));
        for said in [
            "<title>not ready · edgeseal</title>",
            "class=\"bad\">not ready<",
            "<td class=\"warn\">in 3 d 0 h</td>",
            "<td class=\"bad\">1 min 40 s ago</td>",
            "<td class=\"bad\">cannot decrypt</td>",
            "kms_key_disabled",
            " /b and 5 more",
        ] {
            assert!(page.contains(said), "no {said:?} in {page}");
        }
    }

    #[test]
    fn invalidations_are_for_those_who_may_see_them() {
        assert!(page(true, Some(private())).contains("Recent invalidations"));
        assert!(!page(true, None).contains("Recent invalidations"));
        assert!(page(true, None).contains("class=\"good\">ready<"));
    }

    #[test]
    fn it_needs_nothing_else() {
        let page = page(true, Some(private()));
        for outside in [" src=", "url(", "@import", "<link", " style=", " onclick", "http://", "https://"] {
            let without_evil = page.replace("&lt;img src=x", "");
            assert!(!without_evil.contains(outside), "{outside}");
        }
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1_023, 1_536, 5 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!((percent(0, 0), percent(1, 3)), ("–".to_owned(), "33.3 %".to_owned()));
        let durations = [None, Some(0.000_12), Some(0.034), Some(2.5)].map(duration);
        assert_eq!(durations, ["–", "120 µs", "34.0 ms", "2.5 s"]);
        assert_eq!([5, 65, 3_700, 90_000].map(span), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!((left(60), left(-60)), ("in 1 min 0 s".to_owned(), "1 min 0 s ago".to_owned()));
        assert_eq!(date(u64::MAX), date(crate::clock::END_OF_9999));
    }
}

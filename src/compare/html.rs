//! The report as one page that needs nothing else: no script, no asset, no network.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::report::{Endpoint, Outcome, Page, Pair, Report};
use super::statistics::Summary;
use super::{Probe, Verdict, Weight, plot};

/// The whole document. `when`: what a person reads as its date.
#[must_use]
pub fn page(report: &Report, when: &str) -> String {
    let mut out = String::from(HEAD);
    // Writing to a String does not fail.
    let word = if report.agree { "good" } else { "bad" };
    let _ = write!(
        out,
        "<h1>edgeseal compare</h1><p class=\"{word}\">{}</p><p>{}</p>",
        escape(report.summary()),
        escape(when)
    );
    endpoints(&mut out, report);
    latency(&mut out, report);
    verdicts(&mut out, report);
    ignored(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\">\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
<title>edgeseal compare</title><style>\
:root{color-scheme:light dark;--edge:#0a6;--reference:#c60;--line:#8886;--bad:#c22;--good:#0a6}\
body{font:15px/1.5 system-ui,sans-serif;margin:0}main{max-width:72rem;margin:auto;padding:1rem}\
table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.2rem .6rem;border-bottom:1px solid var(--line);text-align:left;\
vertical-align:top;overflow-wrap:anywhere}.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
.scroll{overflow-x:auto}.bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}.quiet{opacity:.7}\
svg{width:100%;max-width:40rem;display:block;font-size:12px;fill:currentColor}svg .axis,svg .median{stroke:currentColor}\
svg .grid{stroke:var(--line)}svg .median{stroke-width:2}svg .end{text-anchor:end}svg .middle{text-anchor:middle}\
svg g.edge{stroke:var(--edge);fill:var(--edge)}svg g.reference{stroke:var(--reference);fill:var(--reference)}\
svg polyline{fill:none;stroke-width:2}svg polyline.edge{stroke:var(--edge)}svg polyline.reference{stroke:var(--reference)}\
.edge{color:var(--edge)}.reference{color:var(--reference)}\
</style></head><body><main>";

fn endpoints(out: &mut String, report: &Report) {
    out.push_str(
        "<h2>Connections</h2><div class=\"scroll\"><table><tr><th><th>URL<th>Host<th>HTTP<th>TLS\
        <th>name<th>TCP<th>TLS handshake</tr>",
    );
    for (side, Endpoint { url, host, http, tls, name, connect, handshake }) in
        [("edge", &report.edge), ("reference", &report.reference)]
    {
        let word = |of: &Option<&'static str>| of.unwrap_or("-");
        let time = |of: &Option<Summary>| of.map_or_else(|| "-".to_owned(), |of| format!("{:.2} ms", of.p50));
        let _ = write!(
            out,
            "<tr><th class=\"{side}\">{side}<td>{}<td>{}<td>{}<td>{}<td class=\"number\">{}<td class=\"number\">{}<td class=\"number\">{}</tr>",
            escape(url),
            escape(host),
            word(http),
            word(tls),
            time(name),
            time(connect),
            time(handshake)
        );
    }
    out.push_str("</table></div><p class=\"quiet\">Medians of new connections, made in turn.</p>");
}

fn latency(out: &mut String, report: &Report) {
    if report.latency.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<h2>Latency</h2><p class=\"quiet\">GETs of whole objects on a connection that was there, edge and reference in turn; {} \
         URLs at a time, {} warm samples of each, seed {}. The box is the 95 % confidence interval of the median (bootstrap), the tick \
         p90, the dot p99. It holds the way to each endpoint: mostly that is what differs.</p>",
        report.settings.concurrency, report.settings.samples, report.settings.seed
    );
    for of in &report.latency {
        let result = of.result.as_str();
        let _ = write!(out, "<h3>{result}</h3>");
        for (what, pair) in [("first byte", &of.first_byte), ("last byte", &of.last_byte)] {
            numbers(out, what, pair);
            // What can be seen of a few is in the table.
            if [pair.edge, pair.reference].iter().flatten().all(|of| of.interval.is_none()) {
                continue;
            }
            out.push_str(&plot::intervals(pair, &format!("{result}: time to {what}")));
            out.push_str(&plot::shares(pair, &format!("{result}: share of answers within a time to {what}")));
        }
    }
}

fn numbers(out: &mut String, what: &str, pair: &Pair) {
    let _ = write!(
        out,
        "<div class=\"scroll\"><table><tr><th>to {what}, ms<th>n<th>p50<th>95 % of p50<th>p90<th>p99</tr>"
    );
    for (side, summary) in [("edge", pair.edge), ("reference", pair.reference)] {
        if let Some(Summary { n, p50, p90, p99, interval }) = summary {
            let interval =
                interval.map_or_else(|| "too few".to_owned(), |of| format!("{:.2} to {:.2}", of.from, of.to));
            let _ = write!(
                out,
                "<tr><th class=\"{side}\">{side}<td class=\"number\">{n}<td class=\"number\">{p50:.2}\
                 <td class=\"number\">{interval}<td class=\"number\">{p90:.2}<td class=\"number\">{p99:.2}</tr>"
            );
        }
    }
    out.push_str("</table></div>");
    if let Some(of) = pair.difference {
        let sure = if of.is_sure() { "" } else { "; no difference to be seen" };
        let _ = write!(
            out,
            "<p>Edge less reference: {:+.2} ms (95 %: {:+.2} to {:+.2}){sure}</p>",
            of.of_medians, of.from, of.to
        );
    }
}

fn verdicts(out: &mut String, report: &Report) {
    out.push_str("<h2>Verdicts</h2><div class=\"scroll\"><table><tr><th>URL");
    for probe in Probe::ALL {
        let _ = write!(out, "<th title=\"{}\">{}", probe.meaning(), probe.word());
    }
    out.push_str("</tr>");
    for page in &report.urls {
        let _ = write!(out, "<tr><td>{}", escape(&page.path));
        for probe in Probe::ALL {
            out.push_str(cell(page.probes.iter().find(|outcome| outcome.probe == probe)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
    if report.settings.left_out > 0 {
        let _ = write!(out, "<p>{} URLs of the lists were left out.</p>", report.settings.left_out);
    }
    report.urls.iter().for_each(|page| details(out, page));
}

fn cell(outcome: Option<&Outcome>) -> &'static str {
    match outcome.map(|outcome| (&outcome.verdict, outcome.points.is_empty())) {
        Some((Verdict::Agree, true)) => "<td class=\"good\">alike",
        Some((Verdict::Agree, false)) => "<td class=\"good\">alike*",
        Some((Verdict::Differ, _)) => "<td class=\"bad\">differ",
        Some((Verdict::Failed(_), _)) => "<td class=\"bad\">failed",
        Some((Verdict::Skipped(_), _)) | None => "<td class=\"quiet\">-",
    }
}

fn details(out: &mut String, page: &Page) {
    let told =
        |outcome: &&Outcome| !outcome.points.is_empty() || matches!(outcome.verdict, Verdict::Failed(_));
    if !page.probes.iter().any(|outcome| told(&outcome)) {
        return;
    }
    let open = if page.probes.iter().any(|outcome| outcome.verdict.is_bad()) { " open" } else { "" };
    let _ =
        write!(out, "<details{open}><summary>{}</summary><div class=\"scroll\"><table>", escape(&page.path));
    out.push_str("<tr><th>asked<th>what<th class=\"edge\">edge<th class=\"reference\">reference<th></tr>");
    for outcome in page.probes.iter().filter(told) {
        if let Verdict::Failed(why) = &outcome.verdict {
            let _ = write!(
                out,
                "<tr><td>{}<td class=\"bad\" colspan=\"4\">{}</tr>",
                outcome.probe.word(),
                escape(why)
            );
        }
        for point in &outcome.points {
            let class = if point.weight == Weight::Difference { "bad" } else { "quiet" };
            let _ = write!(
                out,
                "<tr><td>{}<td class=\"{class}\">{}<td>{}<td>{}<td class=\"quiet\">{}</tr>",
                outcome.probe.word(),
                escape(&point.what),
                escape(&point.edge),
                escape(&point.reference),
                point.why.unwrap_or_default()
            );
        }
    }
    out.push_str("</table></div></details>");
}

fn ignored(out: &mut String, report: &Report) {
    out.push_str("<details><summary>Fields that are not compared</summary><table>");
    for of in &report.ignored {
        let _ = write!(out, "<tr><td>{}<td>{}</tr>", escape(&of.name), escape(&of.reason));
    }
    out.push_str("</table></details>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::report::tests::differing;

    #[test]
    fn what_answers_say_stays_text() {
        let html = page(&differing(), "2026-11-24 12:00 UTC");
        assert!(!html.contains("<script") && !html.contains("<i>"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
        assert!(html.contains("/b?&quot;&gt;&lt;i&gt;"), "{html}");
    }

    #[test]
    fn it_needs_nothing_else_and_has_all() {
        let html = page(&differing(), "2026-11-24 12:00 UTC");
        for asset in ["src=", "href=", "url(", "@import", "<link"] {
            assert!(!html.contains(asset), "{asset}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        assert_eq!(html.matches("<svg").count(), 4, "two plots of two times of hits; of one miss none");
        for part in [
            "they do not agree",
            "Hit: time to first byte",
            "edge: cannot connect",
            "x-amz-cf-*",
            "-100.00 ms",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }
}

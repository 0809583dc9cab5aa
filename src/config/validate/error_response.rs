//! Custom error responses: how long an error is kept, and which page takes its place (behaviour §1.6, §8.3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::super::raw::{self, At, Field, List, Typed};
use super::super::{ErrorPage, ErrorResponse};
use super::cache_policy::FOREVER;
use super::report::Report;
use crate::semantics::path;

const DEFAULT_MIN_TTL: Duration = Duration::from_secs(10);

pub(super) fn error_responses(
    report: &mut Report,
    list: &List<raw::CustomErrorResponse>,
) -> BTreeMap<u16, ErrorResponse> {
    let mut responses = BTreeMap::new();
    for typed in list.items() {
        let raw = &typed.value;
        let min_ttl = report.duration(&raw.error_caching_min_ttl, Duration::ZERO..=FOREVER, DEFAULT_MIN_TTL);
        let page = page(report, typed);
        if let Some((code, at)) = error_code(report, typed)
            && responses.insert(code, ErrorResponse { min_ttl, page }).is_some()
        {
            report.error(at, format!("{code} was given before"), "one entry for each code");
        }
    }
    responses
}

fn error_code<'t>(report: &mut Report, typed: &'t Typed<raw::CustomErrorResponse>) -> Option<(u16, &'t At)> {
    const CODES: [u16; 11] = [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504];
    let field = &typed.value.error_code;
    if field.is_absent() {
        report.error(&typed.at.child("error_code"), "is missing", "such as error_code = 404");
    }
    let code = code(report, field, &CODES, "InvalidErrorCode")?;
    field.given().map(|typed| (code, &typed.at))
}

/// Both of path and code, or neither.
fn page(report: &mut Report, typed: &Typed<raw::CustomErrorResponse>) -> Option<ErrorPage> {
    const CODES: [u16; 12] = [200, 400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504];
    let raw = &typed.value;
    let path = page_path(report, &raw.response_page_path);
    let code = code(report, &raw.response_code, &CODES, "InvalidResponseCode");
    match (&raw.response_page_path, &raw.response_code) {
        (Field::Given(path), Field::Absent) => {
            let message = "InvalidArgument: a page without the code that it is sent with";
            report.error(&path.at, message, "add response_code");
        }
        (Field::Absent, Field::Given(code)) => {
            let message = "InvalidArgument: a code without the page that is sent with it";
            report.error(&code.at, message, "add response_page_path");
        }
        _ => {}
    }
    Some(ErrorPage { path: path?, status: StatusCode::from_u16(code?).ok()? })
}

fn page_path(report: &mut Report, field: &Field<String>) -> Option<Arc<str>> {
    let typed = field.given()?;
    if let Some((problem, fix)) = path_problem(&typed.value) {
        report.error(&typed.at, format!("InvalidRelativePath: {:?} {problem}", typed.value), fix);
    }
    Some(Arc::from(typed.value.as_str()))
}

/// It must be a path that a viewer could ask for, so that it fails now and not beside the first error.
fn path_problem(text: &str) -> Option<(&'static str, String)> {
    if !text.starts_with('/') {
        return Some(("does not begin with a slash", format!("write {:?}", format!("/{text}"))));
    }
    if text.len() > 4096 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let fix = "at most 4096 visible ASCII characters; percent-encode what is not";
        return Some(("is too long or has characters that may not be in a URL", fix.to_owned()));
    }
    if text.contains(['?', '#']) {
        return Some(("has a query or a fragment", "write the path alone".to_owned()));
    }
    match path::decode(text) {
        Err(error) => Some(("has an invalid escape", error.to_string())),
        Ok(decoded) if decoded.split('/').any(|segment| matches!(segment, "." | "..")) => {
            Some(("has dot segments", format!("write {:?}", path::normalize(&decoded))))
        }
        Ok(_) => None,
    }
}

/// One of `codes`; another is the error that CloudFront calls `name`.
fn code(report: &mut Report, field: &Field<i64>, codes: &[u16], name: &str) -> Option<u16> {
    let typed = field.given()?;
    let known = u16::try_from(typed.value).ok().filter(|code| codes.contains(code));
    if known.is_none() {
        let all = codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        report.error(&typed.at, format!("{name}: {}", typed.value), format!("one of {all}"));
    }
    known
}

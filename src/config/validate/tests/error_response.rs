use std::time::Duration;

use http::StatusCode;

use super::super::super::ErrorPage;
use super::*;

fn response(keys: &str) -> String {
    with(&format!("[[distribution.custom_error_response]]\n{keys}"))
}

/// behaviour §1.6, §8.1, §8.3
#[test]
fn what_is_wrong_with_a_custom_error_response() {
    const CODE: &str = "10: distribution.custom_error_response.error_code";
    const PATH: &str = "11: distribution.custom_error_response.response_page_path";
    const REPLACED: &str = "12: distribution.custom_error_response.response_code";
    let page = |path: &str, code: &str| {
        response(&format!("error_code = 404\nresponse_page_path = '{path}'\nresponse_code = {code}"))
    };
    check([
        error(
            response(""),
            "9: distribution.custom_error_response.error_code",
            "is missing",
            "error_code = 404",
        ),
        error(response("error_code = 412"), CODE, "InvalidErrorCode: 412", "400, 403, 404, 405, 414, 416"),
        error(response("error_code = 70000"), CODE, "InvalidErrorCode: 70000", "400, 403"),
        error(response("error_code = -1"), CODE, "InvalidErrorCode: -1", "400, 403"),
        error(
            response("error_code = 404\n[[distribution.custom_error_response]]\nerror_code = 404"),
            "12: distribution.custom_error_response.error_code",
            "was given before",
            "one entry",
        ),
        error(
            response("error_code = 404\nerror_caching_min_ttl = \"soon\""),
            "11: distribution.custom_error_response.error_caching_min_ttl",
            "does not begin with a number",
            "10s",
        ),
        error(
            response("error_code = 404\nresponse_page_path = \"/404.html\""),
            PATH,
            "InvalidArgument: a page without the code",
            "add response_code",
        ),
        error(
            response("error_code = 404\nresponse_code = 200"),
            "11: distribution.custom_error_response.response_code",
            "InvalidArgument: a code without the page",
            "add response_page_path",
        ),
        error(page("/e", "302"), REPLACED, "InvalidResponseCode: 302", "200, 400, 403"),
        error(page("/e", "201"), REPLACED, "InvalidResponseCode: 201", "200, 400, 403"),
        error(page("404.html", "404"), PATH, "does not begin with a slash", "write \"/404.html\""),
        error(page("", "404"), PATH, "does not begin with a slash", "write \"/\""),
        error(page("/a b", "404"), PATH, "may not be in a URL", "percent-encode"),
        error(page("/e?a=b", "404"), PATH, "has a query or a fragment", "path alone"),
        error(page("/%zz", "404"), PATH, "invalid escape", "hexadecimal"),
        error(page("/a/../e", "404"), PATH, "has dot segments", "write \"/e\""),
    ]);
}

#[test]
fn custom_error_responses() {
    let text = response(
        "error_code = 404\nerror_caching_min_ttl = \"5m\"\nresponse_page_path = \"/e%20/404.html\"\nresponse_code = 200\n\
         [[distribution.custom_error_response]]\nerror_code = 503",
    );
    let responses = config(&text).distributions.remove(0).error_responses;
    let page = ErrorPage { path: "/e%20/404.html".into(), status: StatusCode::OK };
    assert_eq!(responses.len(), 2);
    assert_eq!((responses[&404].min_ttl, &responses[&404].page), (Duration::from_secs(300), &Some(page)));
    assert_eq!((responses[&503].min_ttl, &responses[&503].page), (Duration::from_secs(10), &None));
}

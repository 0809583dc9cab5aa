use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const LOG: &str = "#Version: 1.0\n#Fields: date time cs-method cs-uri-stem sc-status cs-uri-query\n\
    2026-11-24\t12:00:00\tGET\t/a\t200\t-\n\
    2026-11-24\t12:00:00\tGET\t/b%2520c\t304\tx=1&y=%257E\n\
    2026-11-24\t12:00:01\tGET\t/b%2520c\t206\tx=1&y=%257E\r\n\
    2026-11-24\t12:00:01\tPOST\t/form\t200\t-\n\
    2026-11-24\t12:00:02\tGET\t/gone\t404\t-\n\
    2026-11-24\t12:00:02\tHEAD\t/c\t200\t-\n\
    2026-11-24\t12:00:02\tGET\t/%C3%A9\t200\t-\n\
    2026-11-24\t12:00:02\tGET\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_list_is_known_by_its_beginning() {
    let asked_most_first = ["/b%20c?x=1&y=%7E", "/a", "/c", "/%C3%A9"];
    let sitemap = r#"<?xml version="1.0"?><!-- a --><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
        <url><loc> https://www.example.com/a?b=1&amp;c=2&#38;d </loc><image:loc>https://other/</image:loc></url>
        <url><lastmod>2026-11-24</lastmod><loc><![CDATA[http://www.example.com/é b]]></loc></url></urlset>"#;
    let prefixed = "<s:urlset><s:url><s:loc>https://a/b</s:loc><loc>https://a/c</loc></s:url></s:urlset>";
    let table: &[(Vec<u8>, &[&str])] = &[
        (prefixed.into(), &["/b"]),
        (b"/a\n\n# all of them\nhttps://www.example.com/b?c#d\r\n /a \n/\n".to_vec(), &["/a", "/b?c", "/"]),
        (b"\xef\xbb\xbf/a\n".to_vec(), &["/a"]),
        (b"".to_vec(), &[]),
        (LOG.into(), &asked_most_first),
        (gzip(LOG), &asked_most_first),
        ([gzip("/a\n"), gzip("/b\n")].concat(), &["/a", "/b"]),
        (sitemap.into(), &["/a?b=1&c=2&d", "/%C3%A9%20b"]),
        (gzip(sitemap), &["/a?b=1&c=2&d", "/%C3%A9%20b"]),
    ];
    for (bytes, expected) in table {
        assert_eq!(
            read(bytes).as_deref(),
            Ok(&expected.iter().map(|of| (*of).to_owned()).collect::<Vec<_>>()[..])
        );
    }
}

#[test]
fn what_cannot_be_used_says_why() {
    let sitemap = |inner: &str| format!("<urlset>{inner}</urlset>").into_bytes();
    let loc = "<url><loc>https://a/</loc></url>";
    let hostile = format!("<!DOCTYPE u [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><urlset>{loc}</urlset>");
    let deep = "<a>".repeat(100_000);
    let mut cut = gzip(LOG);
    cut.truncate(cut.len() - 12);
    let table: &[(Vec<u8>, ListError)] = &[
        (b"/a\nftp://b/c\n".to_vec(), ListError::Line(2, "ftp://b/c".into())),
        (b"a".to_vec(), ListError::Line(1, "a".into())),
        (b"\xff/a".to_vec(), ListError::NotText),
        (cut, ListError::Gzip),
        (b"#Version: 1.0\n".to_vec(), ListError::Fields),
        (b"#Fields: date time\na\tb\n".to_vec(), ListError::Fields),
        (hostile.into(), ListError::Sitemap("it has a document type")),
        (sitemap("<url><loc>https://a/&b;</loc></url>"), ListError::Sitemap("an entity of its own")),
        (sitemap("<url><loc>file:///etc/passwd</loc></url>"), ListError::Sitemap("a loc is no http(s) URL")),
        (sitemap(&deep), ListError::Sitemap("elements are nested too deeply")),
        (sitemap(""), ListError::Sitemap("it holds no URL")),
        (b"<urlset><url>".to_vec(), ListError::Sitemap("it is cut off")),
        (b"<urlset></b>".to_vec(), ListError::Sitemap("it is not well-formed")),
        (b"<html></html>".to_vec(), ListError::Sitemap("its root is not urlset")),
        (b"<sitemapindex/>".to_vec(), ListError::Sitemap("it holds no URL")),
        (
            b"<sitemapindex></sitemapindex>".to_vec(),
            ListError::Sitemap("an index of other sitemaps; name one of those"),
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(
            read(bytes),
            Err(expected.clone()),
            "{:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
        );
    }
}

#[test]
fn a_bomb_does_not_fill_the_memory() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let block = vec![b'\n'; 1 << 20];
    for _ in 0..257 {
        encoder.write_all(&block).unwrap();
    }
    assert_eq!(read(&encoder.finish().unwrap()), Err(ListError::TooLarge));
}

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use http::Version;
use proptest::prelude::*;
use serde_json::Value;

use super::queue::{GATHER, MAX_BYTES};
use super::*;
use crate::observe::record::{DetailedResult, LoggedAs, More, ResultType, TlsFacts};

fn record() -> Record<'static> {
    Record {
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_250),
        time_taken: Duration::from_micros(1_250_600),
        time_to_first_byte: Duration::from_micros(400),
        viewer: SocketAddr::from(([192, 0, 2, 7], 50123)),
        distribution: Some("E2EXAMPLE"),
        request_id: "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==",
        method: "GET",
        version: Version::HTTP_2,
        host_header: b"www.example.com",
        uri_stem: "/a%20b/\u{e9}'.png".as_bytes(),
        uri_query: Some(b"v=1&w"),
        referer: Some(b"https://www.example.com/"),
        user_agent: Some(b"Mozilla/5.0 (X11; \"x\") [y]"),
        x_forwarded_for: None,
        tls: Some(TlsFacts { protocol: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" }),
        status: 206,
        result: ResultType::Hit,
        response_result: ResultType::Hit,
        detailed: DetailedResult::Same,
        origin_code: None,
        bytes_from_viewer: 150,
        bytes_to_viewer: 1300,
        content_type: Some(b"image/png"),
        content_length: Some(1000),
        range: Some((0, 999)),
        more: More::default(),
    }
}

fn line(record: &Record<'_>, pop: &str) -> String {
    let mut line = Vec::new();
    json_line(record, pop, &mut line);
    String::from_utf8(line).unwrap()
}

fn parsed(record: &Record<'_>) -> Value {
    serde_json::from_str(&line(record, "EDG1-C1")).unwrap()
}

/// behaviour §12.8: names, order, `-`, encoding; §12.9: values are strings.
#[test]
fn a_line_looks_like_cloudfronts() {
    let expected = concat!(
        r#"{"date":"2025-11-24","time":"16:00:01","x-edge-location":"EDG1-C1","sc-bytes":"1300","#,
        r#""c-ip":"192.0.2.7","cs-method":"GET","cs(Host)":"E2EXAMPLE","#,
        r#""cs-uri-stem":"/a%2520b/%C3%A9%27.png","sc-status":"206","#,
        r#""cs(Referer)":"https://www.example.com/","#,
        r#""cs(User-Agent)":"Mozilla/5.0%20(X11;%20%22x%22)%20%5By%5D","cs-uri-query":"v=1&w","#,
        r#""cs(Cookie)":"-","x-edge-result-type":"Hit","#,
        r#""x-edge-request-id":"SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==","#,
        r#""x-host-header":"www.example.com","cs-protocol":"https","cs-bytes":"150","time-taken":"1.251","#,
        r#""x-forwarded-for":"-","ssl-protocol":"TLSv1.3","ssl-cipher":"TLS_AES_128_GCM_SHA256","#,
        r#""x-edge-response-result-type":"Hit","cs-protocol-version":"HTTP/2.0","fle-status":"-","#,
        r#""fle-encrypted-fields":"-","c-port":"50123","time-to-first-byte":"0.000","#,
        r#""x-edge-detailed-result-type":"Hit","sc-content-type":"image/png","sc-content-len":"1000","#,
        r#""sc-range-start":"0","sc-range-end":"999","timestamp(ms)":"1764000001500","#,
        r#""x-edgeseal-origin-code":"-"}"#,
    );
    assert_eq!(line(&record(), "EDG1-C1"), expected);
}

fn selected(fields: &[LogField], record: &Record<'_>) -> String {
    let mut line = Vec::new();
    line::json_line_of(fields, record, "EDG1-C1", &mut line);
    String::from_utf8(line).unwrap()
}

fn tabs(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    line::standard_line(record, "EDG1-C1", &mut line);
    String::from_utf8(line).unwrap()
}

/// One list of fields, written in three ways.
#[test]
fn all_forms_say_the_same() {
    let cookie = Some(&b"a=1"[..]);
    let record = Record { more: More { cookie, ..More::default() }, ..record() };
    let usual = &LogField::ALL[..LogField::USUAL];
    assert_eq!(selected(usual, &record), line(&record, "EDG1-C1"));
    let json: Value = serde_json::from_str(&line(&record, "EDG1-C1")).unwrap();
    let values: Vec<_> = LogField::ALL[..LogField::STANDARD]
        .iter()
        .map(|field| json[field.name()].as_str().unwrap())
        .collect();
    assert_eq!(tabs(&record), values.join("\t"));
}

/// behaviour §12.9
#[test]
fn a_line_says_what_it_was_told_to() {
    let site = LoggedAs { host: "d111111abcdef8.cloudfront.net".into(), shelf: None, cookies: true };
    let more = More {
        logged_as: Some(&site),
        cookie: Some(b"a=\"1\"; CloudFront-Signature=SECRET; b; CloudFront-Policy=SECRET"),
        origin_first_byte: Some(Duration::from_millis(12)),
        path_pattern: Some("images/*.jpg"),
        country: Some("DE"),
        asn: Some(64_500),
    };
    let fields: Vec<_> = LogField::ALL[LogField::USUAL..].iter().copied().chain([LogField::Time]).collect();
    assert_eq!(
        selected(&fields, &Record { more, ..record() }),
        concat!(
            r#"{"origin-fbl":"0.012","asn":"64500","c-country":"DE","cache-behavior-path-pattern":"images/*.jpg","#,
            r#""primary-distribution-id":"E2EXAMPLE","time":"16:00:01"}"#
        )
    );
    let none = selected(&fields, &Record { distribution: None, ..record() });
    assert_eq!(none.matches(":\"-\"").count(), fields.len() - 1, "{none}");
    let line = parsed(&Record { more, ..record() });
    assert_eq!(line["cs(Host)"], "d111111abcdef8.cloudfront.net");
    let cookies = "a=%221%22;%20CloudFront-Signature=REDACTED;%20b;%20CloudFront-Policy=REDACTED";
    assert_eq!(line["cs(Cookie)"], cookies);
}

#[test]
fn what_is_missing_is_a_dash() {
    let bare = Record {
        viewer: "[::ffff:192.0.2.7]:1".parse().unwrap(),
        distribution: None,
        host_header: b"",
        uri_query: Some(b""),
        referer: None,
        user_agent: None,
        tls: None,
        status: 0,
        result: ResultType::Error,
        detailed: DetailedResult::ClientHungUpRequest,
        origin_code: Some("KMS.DisabledException"),
        content_type: None,
        content_length: None,
        range: None,
        ..record()
    };
    let line = parsed(&bare);
    for (field, value) in [
        ("c-ip", "192.0.2.7"),
        ("cs(Host)", "-"),
        ("sc-status", "000"),
        ("cs(Referer)", "-"),
        ("cs(User-Agent)", "-"),
        ("cs-uri-query", "-"),
        ("x-host-header", "-"),
        ("cs-protocol", "http"),
        ("ssl-protocol", "-"),
        ("ssl-cipher", "-"),
        ("x-edge-result-type", "Error"),
        ("x-edge-response-result-type", "Hit"),
        ("x-edge-detailed-result-type", "ClientHungUpRequest"),
        ("sc-content-type", "-"),
        ("sc-content-len", "-"),
        ("sc-range-start", "-"),
        ("sc-range-end", "-"),
        ("x-edgeseal-origin-code", "KMS.DisabledException"),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
}

/// behaviour §11.2, s3 §1.10: these grant access to whoever has them.
#[test]
fn signatures_are_not_logged() {
    for (query, logged) in [
        ("Expires=1&Signature=SECRET&Key-Pair-Id=K1", "Expires=1&Signature=REDACTED&Key-Pair-Id=K1"),
        ("Policy=SECRET=SECRET&Signature=", "Policy=REDACTED&Signature=REDACTED"),
        ("X-Amz-Signature=SECRET", "X-Amz-Signature=REDACTED"),
        ("X-Amz-Security-Token=SECRET&a=b", "X-Amz-Security-Token=REDACTED&a=b"),
        ("X-Amz-Credential=SECRET", "X-Amz-Credential=REDACTED"),
        ("%53ignature=SECRET&signature=SECRET", "%2553ignature=REDACTED&signature=REDACTED"),
        ("Signatures=kept&Signature", "Signatures=kept&Signature"),
        ("&&=&", "&&=&"),
    ] {
        let referer = format!("https://www.example.com/page?{query}");
        let record =
            Record { uri_query: Some(query.as_bytes()), referer: Some(referer.as_bytes()), ..record() };
        let line = parsed(&record);
        assert_eq!(line["cs-uri-query"], logged);
        assert_eq!(line["cs(Referer)"], format!("https://www.example.com/page?{logged}"));
    }
}

/// What is not UTF-8 in it becomes U+FFFD first, one for each maximal run, as `String::from_utf8_lossy` has it.
#[test]
fn a_host_is_written_as_text() {
    for host in
        [&b"a.example"[..], b"\xe9.example", b"\xe2\x82.example\xff\xfe", "caf\u{e9}.example".as_bytes()]
    {
        let text = String::from_utf8_lossy(host).into_owned();
        let (raw, lossy) =
            (Record { host_header: host, ..record() }, Record { host_header: text.as_bytes(), ..record() });
        assert_eq!(line(&raw, "EDG1-C1"), line(&lossy, "EDG1-C1"));
    }
}

#[test]
fn seconds_have_three_decimals() {
    for (micros, written) in [
        (0, "0.000"),
        (499, "0.000"),
        (500, "0.001"),
        (999_499, "0.999"),
        (999_500, "1.000"),
        (61_000_000, "61.000"),
    ] {
        let record = Record { time_taken: Duration::from_micros(micros), ..record() };
        assert_eq!(parsed(&record)["time-taken"], written);
    }
}

#[test]
fn addresses_and_statuses_are_written_as_the_standard_library_would() {
    for (address, status) in [
        ("0.0.0.0:0", 7),
        ("255.100.9.10:65535", 42),
        ("[2001:db8::1:0:0:1]:443", 999),
        ("[::1]:443", 1000),
        ("[::ffff:10.0.0.1]:443", 100),
    ] {
        let viewer: SocketAddr = address.parse().unwrap();
        let line = parsed(&Record { viewer, status, ..record() });
        assert_eq!(line["c-ip"], viewer.ip().to_canonical().to_string());
        assert_eq!(line["c-port"], viewer.port().to_string());
        assert_eq!(line["sc-status"], format!("{status:03}"));
    }
}

/// A second's text is kept for the next line of the same thread.
#[test]
fn each_line_has_its_own_second() {
    for secs in [1_764_000_000, 1_764_000_001, 951_782_400, 951_782_400, 1_764_000_000] {
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        let line = parsed(&Record { started, time_taken: Duration::ZERO, ..record() });
        let at = time::OffsetDateTime::from(started);
        let (date, time) = (at.date().to_string(), at.time());
        assert_eq!(line["date"], date);
        assert_eq!(line["time"], format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()));
    }
}

#[test]
fn times_out_of_range_are_written_somehow() {
    let before = Record { started: SystemTime::UNIX_EPOCH - Duration::from_secs(9), ..record() };
    assert_eq!(parsed(&before)["date"], "1970-01-01");
    let forever = Record { time_taken: Duration::MAX, ..record() };
    assert_eq!(parsed(&forever)["date"], "1970-01-01");
}

fn field() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(any::<Vec<u8>>())
}

proptest! {
    /// Whatever the viewer sends: one line, one object, all fields, all strings, only ASCII.
    #[test]
    fn a_line_is_json_whatever_the_viewer_sends(
        (stem, host) in (any::<Vec<u8>>(), any::<Vec<u8>>()),
        (query, referer, agent) in (field(), field(), field()),
        (forwarded, content) in (field(), field()),
    ) {
        let record = Record {
            uri_stem: &stem,
            uri_query: query.as_deref(),
            host_header: &host,
            referer: referer.as_deref(),
            user_agent: agent.as_deref(),
            x_forwarded_for: forwarded.as_deref(),
            content_type: content.as_deref(),
            method: "A'%^|~`",
            ..record()
        };
        let line = line(&record, "EDG1\"-C1\n");
        prop_assert!(line.bytes().all(|b| (b'!'..=b'~').contains(&b)), "{line}");
        let tabs = tabs(&record);
        prop_assert_eq!(tabs.split('\t').count(), LogField::STANDARD);
        prop_assert!(tabs.bytes().all(|b| b == b'\t' || (b'!'..=b'~').contains(&b)), "{tabs}");
        let value: Value = serde_json::from_str(&line).unwrap();
        let fields = value.as_object().unwrap();
        prop_assert_eq!(fields.len(), 35);
        prop_assert!(fields.values().all(|v| v.as_str().is_some_and(|v| !v.is_empty())));
    }
}

/// Stands for a pipe that nobody reads: every write waits until `open` is dropped.
struct Stuck {
    open: mpsc::Receiver<()>,
    entered: mpsc::Sender<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.open.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log_to(out: impl Write + Send + 'static) -> AccessLog {
    let mut log = AccessLog::open(&AccessLogTarget::Off, "EDG1-C1".into()).unwrap();
    log.lines = Some(Arc::new(Queue::start("access", Sheet::new(out)).unwrap()));
    log
}

#[test]
fn a_stuck_reader_holds_up_no_request_and_loses_no_accepted_line() {
    let ((open_now, open), (entered, inside)) = (channel(), channel());
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::new(log_to(Stuck { open, entered, written: Arc::clone(&written) }));
    log.write(&record());
    inside.recv().unwrap();
    // The writer holds the first line and will take no other.
    const MORE: usize = MAX_BYTES / 500;
    let (done, all_written) = channel();
    let requests = thread::spawn({
        let log = Arc::clone(&log);
        move || {
            (0..MORE).for_each(|_| log.write(&record()));
            done.send(()).unwrap();
        }
    });
    all_written.recv_timeout(Duration::from_secs(60)).expect("write() does not wait for the writer");
    requests.join().unwrap();
    let dropped = usize::try_from(log.dropped()).unwrap();
    drop(open_now);
    log.close();
    let line = line(&record(), "EDG1-C1") + "\n";
    let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert_eq!(written.matches(&line).count(), 1 + MORE - dropped);
    assert_eq!(written.len(), line.len() * (1 + MORE - dropped));
    // A piece claims some bytes more than it has.
    assert!((MAX_BYTES / 10 * 9..=MAX_BYTES).contains(&written.len()), "{}", written.len());
    log.write(&record());
    assert_eq!(usize::try_from(log.dropped()).unwrap(), dropped + 1);
}

/// Viewers choose how long a line is, so lines alone bound nothing.
#[test]
fn queued_bytes_are_bounded() {
    let ((open_now, open), (entered, inside)) = (channel(), channel());
    let log = log_to(Stuck { open, entered, written: Arc::default() });
    log.write(&record());
    inside.recv().unwrap();
    let path = vec![b'x'; MAX_BYTES / 4];
    let long = Record { uri_stem: &path, ..record() };
    (0..4).for_each(|_| log.write(&long));
    assert_eq!(log.dropped(), 1);
    // What a refused line had claimed is there for others.
    log.write(&record());
    assert_eq!(log.dropped(), 1);
    drop(open_now);
}

/// Those of one thread in their order, and every one, although the writer empties the buffers all the time.
#[test]
fn lines_of_many_threads_are_all_written_whole() {
    const THREADS: u64 = 150;
    // With what 150 threads claim at once, all of it may wait for a starved writer.
    const EACH: u64 = 100;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog::open(&AccessLogTarget::File(path.clone()), "EDG1-C1".into()).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = &log;
            scope.spawn(move || {
                for n in 0..EACH {
                    let id = thread.to_string();
                    log.write(&Record { request_id: &id, bytes_to_viewer: n, ..record() });
                }
            });
        }
    });
    log.close();
    assert_eq!(log.dropped(), 0);
    let mut next = std::collections::BTreeMap::<String, u64>::new();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let next = next.entry(line["x-edge-request-id"].as_str().unwrap().to_owned()).or_default();
        assert_eq!(line["sc-bytes"], next.to_string());
        *next += 1;
    }
    assert_eq!(next.len() as u64, THREADS);
    assert!(next.into_values().all(|count| count == EACH));
}

/// It sleeps when there is nothing to do for a while: a line wakes it.
#[test]
fn a_sleeping_writer_wakes_for_a_line() {
    let (open_now, open) = channel();
    let (entered, inside) = channel();
    drop(open_now);
    let log = log_to(Stuck { open, entered, written: Arc::default() });
    let buffers = &log.lines.as_ref().unwrap().buffers;
    let begun = std::time::Instant::now();
    while !buffers.asleep.load(Ordering::Relaxed) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never sleeps");
        thread::sleep(GATHER);
    }
    for _ in 0..2 {
        log.write(&record());
        inside.recv_timeout(Duration::from_secs(60)).expect("the line is written");
    }
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = log_to(Full);
    (0..3).for_each(|_| log.write(&record()));
    log.close();
    assert_eq!(log.dropped(), 3);
}

/// A disk that takes so many bytes more, a few at a time.
struct Disk {
    room: Arc<AtomicUsize>,
    written: Arc<Mutex<Vec<u8>>>,
    interrupted: bool,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let taken = self.room.load(Ordering::SeqCst).min(bytes.len()).min(100);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.fetch_sub(taken, Ordering::SeqCst);
        self.written.lock().unwrap().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Room for two lines of five and a bit: what is out is counted as out, and what comes later stands on lines of its own.
#[test]
fn a_torn_line_spoils_and_counts_no_other() {
    let line = line(&record(), "EDG1-C1");
    let whole = format!("{line}\n");
    for (bit, kept, dropped) in [
        ("", whole.repeat(2), 3),
        (&line[..1], format!("{whole}{whole}{}\n", &line[..1]), 3),
        (&line[..250], format!("{whole}{whole}{}\n", &line[..250]), 3),
        // It lacks nothing but its newline, which comes later.
        (&line, whole.repeat(3), 2),
    ] {
        let room = Arc::new(AtomicUsize::new(2 * whole.len() + bit.len()));
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = log_to(Disk { room: Arc::clone(&room), written: Arc::clone(&written), interrupted: false });
        (0..5).for_each(|_| log.write(&record()));
        until_dropped(&log, dropped);
        log.write(&record());
        until_dropped(&log, dropped + 1);
        room.store(usize::MAX, Ordering::SeqCst);
        (0..2).for_each(|_| log.write(&record()));
        log.close();
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written, format!("{kept}{whole}{whole}"), "after {} bytes", bit.len());
        assert_eq!(log.dropped(), dropped + 1, "after {} bytes", bit.len());
    }
}

fn until_dropped(log: &AccessLog, lines: u64) {
    let begun = std::time::Instant::now();
    while log.dropped() < lines {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {lines}", log.dropped());
        thread::sleep(GATHER);
    }
    assert_eq!(log.dropped(), lines);
}

#[test]
fn a_file_is_appended_to_and_complete_when_the_log_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    for _ in 0..2 {
        let log = AccessLog::open(&AccessLogTarget::File(path.clone()), "EDG1-C1".into()).unwrap();
        log.write(&record());
    }
    let line = line(&record(), "EDG1-C1");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{line}\n{line}\n"));
    assert!(AccessLog::open(&AccessLogTarget::File(folder.path().into()), "EDG1-C1".into()).is_err());
}

#[test]
fn off_is_nothing() {
    let log = AccessLog::open(&AccessLogTarget::Off, "EDG1-C1".into()).unwrap();
    log.write(&record());
    log.close();
    assert!(!log.is_on());
    assert_eq!(log.dropped(), 0);
}

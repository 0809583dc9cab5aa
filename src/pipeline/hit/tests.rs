use super::line;

#[test]
fn lines_are_taken_apart() {
    let lines = b"etag: \"1\"\r\nvary: \r\nx-a: b: c\r\n";
    let (name, value, rest) = line(lines).unwrap();
    assert_eq!((name, value), (&b"etag"[..], &b"\"1\""[..]));
    let (name, value, rest) = line(rest).unwrap();
    assert_eq!((name, value), (&b"vary"[..], &b""[..]));
    let (name, value, rest) = line(rest).unwrap();
    assert_eq!((name, value, line(rest)), (&b"x-a"[..], &b"b: c"[..], None));
}

use std::time::Duration;

use super::*;

#[test]
fn identity() {
    const RULE: &str = "1 to 64 letters, digits";
    check([
        error(with("[identity]\nname = \"a b\""), "10: identity.name", "\"a b\" is not", RULE),
        error(with("[identity]\npop = \"x\\r\\nSet-Cookie: a\""), "10: identity.pop", "\\r\\n", RULE),
        error(with("[identity]\nname = \"\""), "10: identity.name", "\"\" is not", RULE),
    ]);
}

#[test]
fn administrators() {
    let key = |lines: &str| with(&format!("[[admin.key]]\n{lines}"));
    const ID: &str = "access_key_id = \"ADMIN1\"";
    check([
        error(
            key("secret_access_key_file = \"f\""),
            "9: admin.key.access_key_id",
            "is missing",
            "name the key",
        ),
        error(key(ID), "9: admin.key.secret_access_key_file", "is missing", "name one of"),
        error(
            key("access_key_id = \"a/b,c\"\nsecret_access_key_file = \"f\""),
            "10: admin.key.access_key_id",
            "is not 4 to 128 letters",
            "access key id",
        ),
        error(
            key(&format!("{ID}\nsecret_access_key_file = \"f\"\nsecret_access_key_variable = \"V\"")),
            "12: admin.key.secret_access_key_variable",
            "beside a file",
            "name one of",
        ),
        error(
            key(&format!("{ID}\nsecret_access_key_file = \"\"")),
            "11: admin.key.secret_access_key_file",
            "is empty",
            "name one of",
        ),
        error(
            key(&format!("{ID}\nsecret_access_key_variable = \"s3cret/pasted+here\"")),
            "11: admin.key.secret_access_key_variable",
            "is not the name of an environment variable",
            "name one of",
        ),
        error(
            with(&format!(
                "[[admin.key]]\n{ID}\nsecret_access_key_file = \"f\"\n[[admin.key]]\n{ID}\nsecret_access_key_file = \"g\""
            )),
            "13: admin.key.access_key_id",
            "taken already",
            "name of its own",
        ),
        // No key is none: a listener that anybody reaches must not be open to anybody.
        error(
            with("[listen]\nadmin = \"0.0.0.0:9090\"\n[admin]\nkey = []"),
            "10: listen.admin",
            "and without administrator keys by anybody",
            "add an [[admin.key]]",
        ),
    ]);
    let pasted =
        load(&key(&format!("{ID}\nsecret_access_key_variable = \"s3cret/pasted+here\""))).unwrap_err();
    assert!(!pasted[0].to_string().contains("s3cret"), "{}", pasted[0]);
    let text = format!(
        "[listen]\nadmin = \"0.0.0.0:9090\"\n[[admin.key]]\n{ID}\nsecret_access_key_file = \"f\"\n\
         [[admin.key]]\naccess_key_id = \"ADMIN2\"\nsecret_access_key_variable = \"V\""
    );
    let config = config(&with(&text));
    assert_eq!(config.listen.admin, "0.0.0.0:9090".parse().unwrap());
    let secrets: Vec<_> =
        config.admin.keys.iter().map(|key| (&*key.access_key_id, key.secret.clone())).collect();
    let expected =
        [("ADMIN1", SecretSource::File("f".into())), ("ADMIN2", SecretSource::Variable("V".into()))];
    assert_eq!(secrets, expected);
}

#[test]
fn listen() {
    const FORMS: &str = "IP:port, [IPv6]:port, localhost:port or :port";
    check([
        error(with("[listen]\nhttp = \"8080\""), "10: listen.http", "not an address", FORMS),
        error(with("[listen]\nhttps = \"example.com:443\""), "10: listen.https", "not an address", FORMS),
        error(
            with("[listen]\nadmin = \"0.0.0.0:9090\""),
            "10: listen.admin",
            "and without administrator keys by anybody",
            "127.0.0.1:9090",
        ),
        error(
            with("[listen]\nhttp = \"127.0.0.1:443\"\nhttps = \"127.0.0.1:443\""),
            "11: listen.https",
            "listen.http",
            "port of its own",
        ),
        error(with("[listen]\nhttp = \":8443\""), "10: listen.http", "listen.https", "port of its own"),
        error(with("[listen]\nadmin = \":8080\""), "10: listen.admin", "listen.http", "port of its own"),
        error(
            with("[listen]\npublic_https_port = 0"),
            "10: listen.public_https_port",
            "0 is outside",
            "1 to 65535",
        ),
        error(
            with("[listen]\nunproven_handshakes = -1"),
            "10: listen.unproven_handshakes",
            "-1 is outside",
            "0 to 65536",
        ),
        error(
            with("[listen]\nproxy_protocol = [\"10.0.0.1/8\"]"),
            "10: listen.proxy_protocol",
            "not a network",
            "10.0.0.0/8",
        ),
        error(with("[listen]\nworkers = -1"), "10: listen.workers", "-1 is outside", "0 to 1024"),
        error(with("[listen]\nhandshakes = 0"), "10: listen.handshakes", "0 is outside", "1 to 1000000"),
        error(with("[listen]\ngrace = \"2d\""), "10: listen.grace", "2d is outside 0s to 1d", "0s to 1d"),
        error(with("[listen]\ngrace = \"30 sec\""), "10: listen.grace", "not a unit of time", "10s"),
        error(with("[listen]\ndrain_delay = -5"), "10: listen.drain_delay", "-5 is negative", "10s"),
    ]);
}

#[test]
fn addresses_that_are_taken_as_they_are_meant() {
    let listen = |keys: &str| config(&with(&format!("[listen]\n{keys}"))).listen;
    let given = listen(
        "http = \":80\"\nhttps = \"[::]:443\"\nadmin = \":9000\"\nworkers = 0\npublic_https_port = 443",
    );
    assert_eq!(given.http, "0.0.0.0:80".parse().unwrap());
    assert_eq!(given.https, "[::]:443".parse().unwrap());
    assert_eq!(given.admin, "127.0.0.1:9000".parse().unwrap());
    assert_eq!((given.workers, given.public_https_port), (2, Some(443)));
    // The system chooses: equal, and no clash.
    let chosen =
        listen("http = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"\nadmin = \"localhost:0\"\nworkers = 7");
    assert_eq!((chosen.http.port(), chosen.https, chosen.workers), (0, chosen.http, 7));
}

/// behaviour §2.3
#[test]
fn http_versions() {
    let text = |version: &str| {
        SITE.replace("[[distribution]]\n", &format!("[[distribution]]\nhttp_version = \"{version}\"\n"))
    };
    for (version, http2, http3) in
        [("http1.1", false, false), ("HTTP2", true, false), ("http3", false, true), ("http2and3", true, true)]
    {
        let config = config(&text(version));
        // Where it is left out, there is HTTP/2 in its stead, and a warning.
        let has = cfg!(feature = "http3");
        let expected = (http2 || (http3 && !has), http3 && has);
        assert_eq!((config.distributions[0].http2, config.distributions[0].http3), expected, "{version}");
        assert_eq!(config.has_http3(), http3 && has);
    }
}

/// behaviour §3.1
#[test]
fn security_policies() {
    for (name, expected) in [
        ("TLSv1.2_2021", SecurityPolicy::Tls12_2021),
        ("TLSv1.2_2025", SecurityPolicy::Tls12_2025),
        ("TLSv1.3_2025", SecurityPolicy::Tls13_2025),
    ] {
        let config = config(&with(&format!("[tls]\nminimum_protocol_version = \"{name}\"")));
        assert_eq!(config.tls.minimum_protocol_version, expected);
    }
    let older = ["SSLv3", "TLSv1", "TLSv1_2016", "TLSv1.1_2016", "TLSv1.2_2018", "TLSv1.2_2019"];
    check(older.map(|name| {
        warning(
            with(&format!("[tls]\nminimum_protocol_version = \"{name}\"")),
            "10: tls.minimum_protocol_version",
            "offered is TLSv1.2_2021: TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20",
            "write TLSv1.2_2021",
        )
    }));
    for name in older {
        let config = config(&with(&format!("[tls]\nminimum_protocol_version = \"{name}\"")));
        assert_eq!(config.tls.minimum_protocol_version, SecurityPolicy::Tls12_2021, "{name}");
    }
    check([error(
        with("[tls]\nminimum_protocol_version = \"TLSv1.3_2026\""),
        "10: tls.minimum_protocol_version",
        "InvalidMinimumProtocolVersion",
        "did you mean \"TLSv1.3_2025\"?",
    )]);
    let site = |name| {
        SITE.replace(
            "id = \"site\"\n[d",
            &format!("id = \"site\"\nminimum_protocol_version = \"{name}\"\n[d"),
        )
    };
    let own = |text: &str| config(text).distributions[0].minimum_protocol_version;
    assert_eq!(own(SITE), None);
    assert_eq!(own(&site("TLSv1.3_2025")), Some(SecurityPolicy::Tls13_2025));
    check([
        warning(site("TLSv1"), "3: distribution.minimum_protocol_version", "offered is TLSv1.2_2021", ""),
        error(
            site("TLSv1.4"),
            "3: distribution.minimum_protocol_version",
            "InvalidMinimumProtocolVersion",
            "",
        ),
    ]);
}

#[test]
fn ticket_keys_come_from_a_file() {
    let none = error(
        with("[tls]\nticket_key_file = \"\""),
        "10: tls.ticket_key_file",
        "is empty",
        "80 random bytes",
    );
    check([none]);
    let config = config(&with("[tls]\nticket_key_file = \"/etc/tickets.key\""));
    assert_eq!(config.tls.ticket_key_file, Some(PathBuf::from("/etc/tickets.key")));
}

#[test]
fn certificates_are_pairs() {
    const FIX: &str = "both files";
    check([
        error(with("[[tls.certificate]]\ncert = \"c.pem\""), "9: tls.certificate.key", "is missing", FIX),
        error(with("[[tls.certificate]]\nkey = \"k.pem\""), "9: tls.certificate.cert", "is missing", FIX),
        error(
            with("[[tls.certificate]]\ncert = \"\"\nkey = \"k.pem\""),
            "10: tls.certificate.cert",
            "is empty",
            FIX,
        ),
    ]);
    let config = config(&with("[[tls.certificate]]\ncert = \"../c.pem\"\nkey = \"k.pem\""));
    assert_eq!(config.tls.certificates[0].cert, PathBuf::from("../c.pem"));
    assert_eq!(config.tls.certificates[0].key, PathBuf::from("k.pem"));
}

#[test]
fn cache() {
    check([
        error(
            with("[cache]\nmemory = \"100MiB\"\nmax_object = \"51MiB\""),
            "11: cache.max_object",
            "51MiB is more than half of cache.memory, 100MiB",
            "at most 50MiB",
        ),
        error(with("[cache]\nmemory = \"512M\""), "10: cache.memory", "not a unit of size", "512MiB"),
        error(with("[cache]\nmemory = 0"), "10: cache.memory", "is zero", "CachingDisabled"),
    ]);
    for (keys, memory, max_object) in [
        ("", 512 << 20, 64 << 20),
        ("memory = \"80MiB\"", 80 << 20, 10 << 20),
        ("memory = \"80MiB\"\nmax_object = \"40MiB\"", 80 << 20, 40 << 20),
        ("memory = 8000", 8000, 1000),
    ] {
        let cache = config(&with(&format!("[cache]\n{keys}"))).cache;
        assert_eq!((cache.memory, cache.max_object), (memory, max_object), "{keys}");
    }
}

#[test]
fn cache_policies() {
    let policy = |keys: &str| with(&format!("[[cache_policy]]\nname = \"mine\"\n{keys}"));
    check([
        error(with("[[cache_policy]]\nmin_ttl = 1"), "9: cache_policy.name", "is missing", "a name"),
        error(with("[[cache_policy]]\nname = \"a b\""), "10: cache_policy.name", "is not", "letters"),
        error(
            with("[[cache_policy]]\nname = \"Amplify\""),
            "10: cache_policy.name",
            "managed policy",
            "another name",
        ),
        error(
            policy("[[cache_policy]]\nname = \"mine\""),
            "12: cache_policy.name",
            "\"mine\" is taken already, at edge.toml:10",
            "name of its own",
        ),
        error(
            policy("min_ttl = \"1h\"\ndefault_ttl = \"10m\""),
            "12: cache_policy.default_ttl",
            "InvalidTTLOrder: min_ttl 1h, default_ttl 10m, max_ttl 365d",
            "no smaller",
        ),
        error(policy("max_ttl = \"1h\""), "11: cache_policy.max_ttl", "InvalidTTLOrder", "no smaller"),
        error(policy("min_ttl = \"36501d\""), "11: cache_policy.min_ttl", "outside 0s to 36500d", "36500d"),
    ]);
}

/// A default gives way to what was typed (behaviour §1.7).
#[test]
fn ttls_that_were_not_typed() {
    for (keys, expected) in [
        ("", [0, 86_400, 31_536_000]),
        ("min_ttl = 100000", [100_000, 100_000, 31_536_000]),
        ("default_ttl = 40000000", [0, 40_000_000, 40_000_000]),
        ("min_ttl = 40000000", [40_000_000, 40_000_000, 40_000_000]),
        ("min_ttl = 0\ndefault_ttl = 0\nmax_ttl = 0", [0, 0, 0]),
    ] {
        let text = format!(
            "[[cache_policy]]\nname = \"mine\"\n{keys}\n{SITE}[[distribution.cache_behavior]]\n\
             path_pattern = \"a\"\ntarget_origin = \"site\"\ncache_policy = \"mine\"\n"
        );
        let config = config(&text);
        let policy = &config.distributions[0].behaviors[0].cache_policy;
        let ttls = [policy.min_ttl, policy.default_ttl, policy.max_ttl];
        assert_eq!(ttls, expected.map(Duration::from_secs), "{keys}");
    }
}

/// behaviour §4.5: CloudFront takes them, and here they make no difference.
#[test]
fn headers_that_need_not_be_keyed_on() {
    let with_header =
        |name: &str| with(&format!("[[cache_policy]]\nname = \"mine\"\nheaders = [\"X-A\", \"{name}\"]"));
    let place = "11: cache_policy.headers";
    check([
        warning(with_header("Range"), place, "cuts ranges", "nothing need be done"),
        warning(with_header("If-None-Match"), place, "conditional", "nothing need be done"),
        warning(with_header("If-Range"), place, "conditional", "nothing need be done"),
        warning(with_header("Expect"), place, "hop by hop", "nothing need be done"),
    ]);
}

/// behaviour §4.2, §4.5
#[test]
fn headers_that_cannot_be_keyed_on() {
    let with_header =
        |name: &str| with(&format!("[[cache_policy]]\nname = \"mine\"\nheaders = [\"{name}\"]"));
    let place = "11: cache_policy.headers";
    check([
        error(with_header("cookie"), place, "named one by one, in cookies", "take it out"),
        error(with_header("Connection"), place, "one connection", "take it out"),
        error(with_header("Keep-Alive"), place, "one connection", "take it out"),
        error(with_header("TE"), place, "one connection", "take it out"),
        error(with_header("Trailer"), place, "one connection", "take it out"),
        error(with_header("Transfer-Encoding"), place, "one connection", "take it out"),
        error(with_header("Upgrade"), place, "one connection", "take it out"),
        error(with_header("Proxy-Authorization"), place, "meant for a proxy", "take it out"),
        error(
            with_header("Accept-Encoding") + "\nenable_accept_encoding_gzip = true",
            place,
            "normalises",
            "take it out",
        ),
        error(with_header("CloudFront-Viewer-Address"), place, "does not key on it", "take it out"),
        error(with_header("X-Edge-Location"), place, "X-Edge-*", "take it out"),
        error(with_header("X-Amz-Date"), place, "signature", "take it out"),
        error(with_header("CloudFront-Viewer-Cert-Present"), place, "forge", "take it out"),
        error(with_header("CloudFront-Viewer-ASN"), place, "does not key on it", "take it out"),
        error(with_header("CloudFront-Viewer-TLS"), place, "does not key on it", "take it out"),
        error(with_header("CloudFront-Error-Uri"), place, "does not key on it", "take it out"),
        error(with_header("Content-Length"), place, "does not key on it", "take it out"),
        error(with_header("X Variant"), place, "not the name of a header", "X-Variant"),
    ]);
    let many: Vec<String> = (0..11).map(|n| format!("\"X-{n}\"")).collect();
    let text = with(&format!("[[cache_policy]]\nname = \"mine\"\nheaders = [{}]", many.join(", ")));
    check([error(text, place, "11 headers", "at most 10")]);
}

#[test]
fn headers_are_lower_case_sorted_and_unique() {
    let text = format!(
        "[[cache_policy]]\nname = \"mine\"\nheaders = [\"X-Variant\", \"Origin\", \"x-variant\"]\n{}",
        SITE.replace("[[distribution.origin]]", "cache_policy = \"mine\"\n[[distribution.origin]]")
    );
    let config = config(&text);
    assert_eq!(config.distributions[0].behaviors[0].cache_policy.headers, ["origin", "x-variant"]);
}

#[test]
fn what_the_whole_edge_caches_by_is_known_to_each_policy() {
    for (option, expected) in [
        ("cdn_cache_control = true", [true, false, false]),
        ("keep_uncacheable_for_errors = true", [false, true, false]),
        ("cache_status = true", [false, false, true]),
        ("", [false; 3]),
    ] {
        let config = config(&with(&format!("[cache]\n{option}")));
        let policy = &config.distributions[0].behaviors[0].cache_policy;
        let found = [policy.cdn_cache_control, policy.keep_uncacheable_for_errors, config.cache.cache_status];
        assert_eq!(found, expected, "{option}");
    }
}

//! What is measured.

/// One kind of request, over and over.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What it is called on the command line and in the table.
    pub(crate) name: &'static str,
    pub(crate) by: By,
    /// One of the objects of [`OBJECTS`], with the slash in front.
    pub(crate) target: &'static str,
    /// What `X-Cache` begins with in every answer.
    pub(crate) expected: Expected,
    /// The edge writes its access log, to `/dev/null`.
    pub(crate) access_log: bool,
}

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// HTTP/1.1 over TLS, connections kept.
    Tls,
    /// The same without TLS.
    Plain,
    /// HTTP/2 over TLS, with so many requests at a time on each connection.
    H2 { streams: u16 },
    /// HTTP/1.1 over TLS, a connection and a full handshake for each request.
    NewTls,
}

/// Where answers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// From memory; the first request, before all others, has brought the object.
    Hit,
    /// From the origin: each request has an `X-Variant` of its own, which `stored/*` keys on.
    Miss,
}

impl Expected {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Hit => "Hit",
            Self::Miss => "Miss",
        }
    }
}

/// Keys and sizes in bytes.
pub(crate) const OBJECTS: [(&str, usize); 6] = [
    ("1k", 1 << 10),
    ("100k", 100 << 10),
    ("10m", 10 << 20),
    ("plain/1k", 1 << 10),
    ("stored/10k", 10 << 10),
    ("passed/10k", 10 << 10),
];

const HIT: Scenario =
    Scenario { name: "", by: By::Tls, target: "/1k", expected: Expected::Hit, access_log: false };
const MISS: Scenario = Scenario { expected: Expected::Miss, ..HIT };

pub(crate) static SCENARIOS: [Scenario; 9] = [
    Scenario { name: "hit-1k", ..HIT },
    Scenario { name: "hit-1k-logged", access_log: true, ..HIT },
    Scenario { name: "hit-100k", target: "/100k", ..HIT },
    Scenario { name: "hit-10m", target: "/10m", ..HIT },
    Scenario { name: "hit-1k-h2", by: By::H2 { streams: 16 }, ..HIT },
    Scenario { name: "hit-1k-plain", by: By::Plain, target: "/plain/1k", ..HIT },
    Scenario { name: "miss-10k-stored", target: "/stored/10k", ..MISS },
    Scenario { name: "miss-10k-passed", target: "/passed/10k", ..MISS },
    Scenario { name: "handshake", by: By::NewTls, ..HIT },
];

impl Scenario {
    /// Bytes of each body.
    pub(crate) fn size(&self) -> usize {
        let key = self.target.trim_start_matches('/');
        OBJECTS.iter().find(|(name, _)| *name == key).map_or(0, |(_, size)| *size)
    }
}

//! What is kept of a response: a head that can be sent again, and a body in few large pieces.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Key;
use super::pieces::Pieces;
use super::text::Text;
use crate::clock::Timestamp;
use crate::config::Behavior;
use crate::policy::compression;
use crate::policy::freshness::Lifetime;
use crate::semantics::coding::Coding;
use crate::semantics::conditional::Validators;
use crate::semantics::date;

/// Status and headers, as the viewer gets them before the edge adds its own.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: StatusCode,
    fields: Text,
    last_modified: Option<Timestamp>,
    date: Option<Timestamp>,
    made: Made,
}

/// What the edge has made of the origin's response.
#[derive(Debug, Clone)]
enum Made {
    Nothing,
    /// Others would get it compressed.
    Varying,
    /// The body is compressed, and `etag` is what the origin calls its own.
    Compressed {
        coding: Coding,
        etag: Option<HeaderValue>,
    },
}

impl Head {
    /// Copies `headers`.
    #[must_use]
    pub fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let date = |name| headers.get(name).and_then(date::parse);
        let (last_modified, date) = (date(LAST_MODIFIED), date(DATE));
        Self { status, fields: Text::of(headers), last_modified, date, made: Made::Nothing }
    }

    /// Of a response that others would get compressed.
    #[must_use]
    pub fn varying(status: StatusCode, headers: &HeaderMap) -> Self {
        let mut headers = headers.clone();
        compression::add_vary(&mut headers);
        Self { made: Made::Varying, ..Self::new(status, &headers) }
    }

    /// Of a response that the edge compresses (behaviour §7.1, §7.3). `headers` are the origin's.
    #[must_use]
    pub fn compressed(status: StatusCode, headers: &HeaderMap, coding: Coding) -> Self {
        let mut headers = headers.clone();
        let etag = compression::rewrite(&mut headers, coding)
            .and_then(|etag| HeaderValue::from_bytes(etag.as_bytes()).ok());
        Self { made: Made::Compressed { coding, etag }, ..Self::new(status, &headers) }
    }

    /// The same head with the fields of a 304 in place of its own (RFC 9111 §3.2), except those that describe the
    /// body, which has not been sent again.
    #[must_use]
    pub fn updated(&self, fields: &HeaderMap) -> Self {
        let mut headers = self.to_map();
        if let Made::Compressed { etag: Some(etag), .. } = &self.made {
            headers.insert(ETAG, etag.clone());
        }
        for name in fields.keys().filter(|name| !describes_body(name)) {
            headers.remove(name);
            for value in fields.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        match &self.made {
            Made::Nothing => Self::new(self.status, &headers),
            Made::Varying => Self::varying(self.status, &headers),
            Made::Compressed { coding, .. } => Self::compressed(self.status, &headers, *coding),
        }
    }

    /// The edge has compressed the body.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        matches!(self.made, Made::Compressed { .. })
    }

    /// By which the origin knows this version; viewers may know it by another (behaviour §7.3).
    #[must_use]
    pub fn origin_etag(&self) -> Option<HeaderValue> {
        match &self.made {
            Made::Compressed { etag, .. } => etag.clone(),
            Made::Nothing | Made::Varying => self.get(&ETAG),
        }
    }

    /// Without fields that are not for later viewers.
    #[must_use]
    pub fn without(self, names: &[HeaderName]) -> Self {
        let concerned = self.fields.iter().any(|(name, _)| names.iter().any(|withheld| *withheld == name));
        if !concerned {
            return self;
        }
        let mut headers = self.to_map();
        for name in names {
            headers.remove(name);
        }
        Self { made: self.made, ..Self::new(self.status, &headers) }
    }

    #[must_use]
    pub fn fields(&self) -> &Text {
        &self.fields
    }

    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.fields.get(name)
    }

    #[must_use]
    pub fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.fields.etag().and_then(|etag| std::str::from_utf8(etag).ok()),
            last_modified: self.last_modified,
            date: self.date,
        }
    }

    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        self.fields.to_map()
    }

    /// Bytes in memory.
    fn weight(&self) -> u64 {
        let hidden = match &self.made {
            Made::Compressed { etag: Some(etag), .. } => etag.len(),
            _ => 0,
        };
        (self.fields.as_bytes().len() + hidden) as u64
    }
}

fn describes_body(name: &HeaderName) -> bool {
    const NAMES: [&str; 5] =
        ["content-length", "content-encoding", "content-range", "content-type", "transfer-encoding"];
    NAMES.contains(&name.as_str())
}

/// Which of several variants under one key an answer is (RFC 9111 §4.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Variant {
    /// What the answers under the key vary by.
    pub names: Arc<[HeaderName]>,
    /// Its own key, as made by [`crate::policy::vary`].
    pub key: Key,
}

/// A whole response: all of its bytes are here, and there are as many as its origin said; or its head, and where its
/// bytes are.
#[derive(Debug, Clone)]
pub struct Object {
    pub head: Head,
    pub lifetime: Lifetime,
    /// When the head had arrived, or had last been confirmed.
    pub stored_at: Timestamp,
    /// The origin failed when asked about it: until then it is served as it is (behaviour §5.3).
    pub served_stale_until: Option<Timestamp>,
    /// Lower-case; under each it can be invalidated (behaviour §12.14).
    pub tags: Arc<[Box<str>]>,
    /// `None`: it is the only one under its key.
    pub variant: Option<Arc<Variant>>,
    content: Content,
    worn: Worn,
    /// Bytes that may be kept of [`Self::worn`]; they are weighed from the beginning.
    room: u32,
}

/// The fields as the behaviour that serves the object makes them for every viewer.
#[derive(Debug, Default)]
struct Worn(ArcSwapOption<(Arc<Behavior>, Text)>);

/// Another object's are made anew.
impl Clone for Worn {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[derive(Debug, Clone)]
pub enum Content {
    Whole(Pieces),
    /// Too large to be kept in one: see [`super::slices`].
    Sliced(Layout),
}

/// How a large object is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Bytes in all. Not 0.
    pub length: u64,
    /// Bytes of each slice but the last. Not 0.
    pub slice: u64,
    /// Strong, with its quotes: which bytes these are.
    pub etag: Arc<str>,
}

impl Layout {
    /// The slice in which a byte lies.
    #[must_use]
    pub fn index(&self, position: u64) -> u64 {
        position / self.slice
    }

    /// First and last byte of a slice, both included.
    #[must_use]
    pub fn bounds(&self, index: u64) -> (u64, u64) {
        let first = index.saturating_mul(self.slice);
        (first, first.saturating_add(self.slice).min(self.length).saturating_sub(1))
    }
}

impl Object {
    #[must_use]
    pub fn new(head: Head, lifetime: Lifetime, stored_at: Timestamp, body: Box<[Bytes]>) -> Self {
        Self::of(head, lifetime, stored_at, Content::Whole(Pieces::new(body)))
    }

    #[must_use]
    pub fn sliced(head: Head, lifetime: Lifetime, stored_at: Timestamp, layout: Layout) -> Self {
        Self::of(head, lifetime, stored_at, Content::Sliced(layout))
    }

    fn of(head: Head, lifetime: Lifetime, stored_at: Timestamp, content: Content) -> Self {
        let tags = Arc::default();
        Self {
            head,
            lifetime,
            stored_at,
            served_stale_until: None,
            tags,
            variant: None,
            content,
            worn: Worn::default(),
            room: 0,
        }
    }

    #[must_use]
    pub fn tagged(self, tags: Box<[Box<str>]>) -> Self {
        Self { tags: tags.into(), ..self }
    }

    /// After a 304: the same body, fresh again (behaviour §5.4).
    #[must_use]
    pub fn confirmed(&self, fields: &HeaderMap, lifetime: Lifetime, at: Timestamp) -> Self {
        Self {
            head: self.head.updated(fields),
            lifetime,
            stored_at: at,
            served_stale_until: None,
            tags: Arc::clone(&self.tags),
            variant: None,
            content: self.content.clone(),
            worn: Worn::default(),
            room: 0,
        }
    }

    /// After a failure of the origin: as old as it was, but not asked about again before `until`.
    #[must_use]
    pub fn stale_until(&self, until: Timestamp) -> Self {
        Self { served_stale_until: Some(until), ..self.clone() }
    }

    /// The same, knowing where it is kept.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        self.head.fields = self.head.fields.behind(key);
        self
    }

    /// Where it is kept; empty, if nobody has said so.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.head.fields.key()
    }

    /// How long it is fresh yet, in seconds; negative: since when it is not.
    #[must_use]
    pub fn fresh_for(&self, now: Timestamp) -> i64 {
        let secs = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        secs(self.lifetime.ttl).saturating_sub(secs(self.age(now)))
    }

    /// With room for `bytes` of fields as a behaviour makes them.
    #[must_use]
    pub fn with_room(self, bytes: usize) -> Self {
        Self { room: u32::try_from(bytes).unwrap_or(u32::MAX), ..self }
    }

    /// Lets `read` have the fields as `behavior` makes them; `make` is asked for the first viewer only, if there is room to
    /// keep what it makes.
    pub fn worn<T>(
        &self,
        behavior: &Arc<Behavior>,
        make: impl FnOnce() -> Text,
        read: impl FnOnce(&Text) -> T,
    ) -> T {
        match &*self.worn.0.load() {
            Some(worn) if Arc::ptr_eq(&worn.0, behavior) => read(&worn.1),
            _ => {
                let text = make();
                let told = read(&text);
                if text.as_bytes().len() <= self.room as usize {
                    self.worn.0.store(Some(Arc::new((Arc::clone(behavior), text))));
                }
                told
            }
        }
    }

    /// Bytes of the body.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Whole(pieces) => pieces.len(),
            Content::Sliced(layout) => layout.length,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// `None`: all of it is here.
    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        match &self.content {
            Content::Whole(_) => None,
            Content::Sliced(layout) => Some(layout),
        }
    }

    /// Seconds since the origin made or confirmed it (RFC 9111 §4.2.3).
    #[must_use]
    pub fn age(&self, now: Timestamp) -> std::time::Duration {
        self.lifetime.initial_age.saturating_add(now.since(self.stored_at))
    }

    /// Bytes in memory, body, head and bookkeeping.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let content = match &self.content {
            Content::Whole(pieces) => pieces.weight(),
            Content::Sliced(layout) => layout.etag.len() as u64,
        };
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<Box<str>>()).sum();
        // Of what is worn, the text and what holds it.
        let worn =
            if self.room == 0 { 0 } else { self.room as usize + size_of::<(Arc<Behavior>, Text)>() + 64 };
        content + self.head.weight() + (tags + worn + size_of::<Self>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: HeaderValue) -> String {
        value.to_str().unwrap().to_owned()
    }

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_304_updates_fields_but_not_those_of_the_body() {
        let head =
            Head::new(StatusCode::OK, &map(&[("etag", "\"1\""), ("content-length", "5"), ("x-a", "old")]));
        let updated =
            head.updated(&map(&[("x-a", "new"), ("content-length", "0"), ("cache-control", "max-age=5")]));
        let get = |name| updated.get(&HeaderName::from_static(name)).map(text);
        assert_eq!(get("x-a").as_deref(), Some("new"));
        assert_eq!(get("content-length").as_deref(), Some("5"));
        assert_eq!(get("cache-control").as_deref(), Some("max-age=5"));
        assert_eq!(get("etag").as_deref(), Some("\"1\""));
    }

    /// behaviour §7.3
    #[test]
    fn a_compressed_head_stays_one_when_it_is_confirmed() {
        let own = map(&[("etag", "\"1\""), ("content-type", "text/css")]);
        let head = Head::compressed(StatusCode::OK, &own, Coding::Brotli);
        let table: [(&[(&'static str, &'static str)], _, _); 4] = [
            (&[], Some("\"1\""), Some("W/\"1\"")),
            (&[("etag", "\"2\"")], Some("\"2\""), Some("W/\"2\"")),
            (&[("etag", "bare"), ("vary", "Origin")], Some("bare"), None),
            (&[("content-encoding", "identity"), ("vary", "Origin")], Some("\"1\""), Some("W/\"1\"")),
        ];
        for (fields, known, told) in table {
            let updated = head.updated(&map(fields));
            assert!(updated.is_compressed());
            assert_eq!(updated.origin_etag().map(text).as_deref(), known, "{fields:?}");
            assert_eq!(updated.get(&ETAG).map(text).as_deref(), told, "{fields:?}");
            let headers = updated.to_map();
            assert_eq!(headers["content-encoding"], "br", "{fields:?}");
            let vary: Vec<_> = headers.get_all("vary").iter().collect();
            assert!(vary.iter().any(|value| *value == "Accept-Encoding"), "{fields:?} {vary:?}");
        }
        let updated = head.updated(&map(&[("etag", "bare")])).updated(&HeaderMap::new());
        assert_eq!(updated.origin_etag().unwrap(), "bare");
    }

    #[test]
    fn what_is_withheld_takes_nothing_along_that_the_edge_has_made() {
        let own = map(&[("etag", "\"1\""), ("content-type", "text/css"), ("x-a", "1")]);
        let withheld = [HeaderName::from_static("x-a")];
        let head = Head::compressed(StatusCode::OK, &own, Coding::Gzip).without(&withheld);
        assert_eq!(head.get(&withheld[0]), None);
        let confirmed = head.updated(&map(&[("etag", "\"1\""), ("vary", "Origin")]));
        for head in [head, confirmed] {
            assert!(head.is_compressed());
            assert_eq!(head.origin_etag().unwrap(), "\"1\"");
            assert_eq!(
                head.get(&ETAG).unwrap(),
                "W/\"1\"",
                "two codings, two strong tags (RFC 9110 §8.8.3.3)"
            );
        }
        let head =
            Head::varying(StatusCode::OK, &own).without(&withheld).updated(&map(&[("vary", "Origin")]));
        assert!(head.fields().iter().any(|field| field == ("vary", b"Accept-Encoding")));
    }

    #[test]
    fn a_head_that_varies_stays_one_when_it_is_confirmed() {
        let head = Head::varying(StatusCode::OK, &map(&[("etag", "\"1\"")]));
        let updated = head.updated(&map(&[("vary", "Origin")])).to_map();
        let vary: Vec<_> = updated.get_all("vary").iter().collect();
        assert_eq!(vary, ["Origin", "Accept-Encoding"]);
        assert_eq!(updated["etag"], "\"1\"");
    }

    #[test]
    fn values_do_not_keep_the_read_buffer_alive() {
        let buffer = Bytes::from(vec![b'v'; 8192]);
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_maybe_shared(buffer.slice(..3)).unwrap());
        let head = Head::new(StatusCode::OK, &headers);
        drop(headers);
        assert_eq!(head.get(&HeaderName::from_static("x-a")).unwrap(), "vvv");
        assert!(buffer.is_unique(), "the head still refers to the buffer");
    }
}

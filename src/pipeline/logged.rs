//! What a record says that not every log wants, and that nobody else pays for.

use std::borrow::Cow;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::COOKIE;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::edge::{Edge, Site};
use crate::observe::record::More;
use crate::origin::upload::Incoming;
use crate::semantics::fields::Fields;

/// All of a request's cookies as one; viewers may send them in several lines (RFC 9113 §8.2.3).
pub(super) fn cookie<F: Fields>(fields: &F) -> Option<Cow<'_, [u8]>> {
    let mut all = fields.all(&COOKIE);
    let first = all.next()?;
    let Some(second) = all.next() else { return Some(Cow::Borrowed(first)) };
    let rest = std::iter::once(second).chain(all);
    Some(Cow::Owned(rest.fold(first.to_vec(), |joined, more| [&joined, &b"; "[..], more].concat())))
}

/// Looks up what the log wants of a request for `path`, as the viewer wrote it.
pub(super) fn looked_up<'a>(
    edge: &'a Edge,
    site: Option<&'a Arc<Site>>,
    viewer: IpAddr,
    path: &str,
) -> More<'a> {
    let wants = edge.log.wants();
    let mut more = More { logged_as: site.map(|site| &site.logged_as), ..More::default() };
    if wants.path_pattern
        && let Some(site) = site
    {
        let chosen = super::choose(site, &site.substitute_root(path)).ok().map(|(_, behavior)| behavior);
        more.path_pattern = chosen.map(|behavior| &*behavior.path_pattern);
    }
    if wants.place
        && let Some(places) = &edge.places
    {
        let place = places.place(viewer);
        (more.country, more.asn) = (place.country, place.asn);
    }
    more
}

/// Bytes of a body, counted in `count` as they come (behaviour §12.8 field 18).
pub(super) fn counted(body: Incoming, count: Arc<AtomicU64>) -> Incoming {
    Counted { body, count }.boxed_unsync()
}

struct Counted {
    body: Incoming,
    count: Arc<AtomicU64>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = <Incoming as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.count.fetch_add(length, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::fields::Lines;

    #[test]
    fn cookies_in_several_lines_are_one() {
        let lines = |values: &[&'static str]| -> Vec<(&str, &[u8])> {
            values.iter().map(|value| ("Cookie", value.as_bytes())).collect()
        };
        for (values, expected) in [
            (&[][..], None),
            (&["a=1; b=2"], Some("a=1; b=2")),
            (&["a=1", "b=2", "c=3"], Some("a=1; b=2; c=3")),
        ] {
            let lines = lines(values);
            assert_eq!(cookie(&Lines(&lines)).as_deref(), expected.map(str::as_bytes));
        }
    }
}

//! Requests whose answer is out although their body is not at its end.
//!
//! RST_STREAM with NO_ERROR asks a peer to send no more of it (RFC 9113 §8.1). But a viewer that has just sent its head may
//! take that for a failure of the answer: curl 7.88 does when the reset overtakes its first DATA. So a peer gets the chance
//! to end by itself, as with the lingering close of HTTP/1.1, and is asked to stop only when there is too much of it or it
//! takes too long.

/// Those at a time on one connection.
const MANY: usize = 32;
/// Octets of a body, heads of frames aside, that are thrown away before the peer is asked to stop.
pub(super) const OCTETS: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Lingering {
    /// The oldest first.
    requests: Vec<Request>,
}

#[derive(Debug)]
struct Request {
    id: u32,
    /// What may still come.
    octets: usize,
    /// A tick has passed since.
    is_old: bool,
}

impl Lingering {
    /// The answer to `id` is out, of whose body the peer may send `room` octets more: it will be told of no further ones, and
    /// must not wait for that. The request that must be reset, if there are too many, or this one, if it cannot go on.
    pub(super) fn add(&mut self, id: u32, room: usize) -> Option<u32> {
        let Some(less_than_all) = room.checked_sub(1) else { return Some(id) };
        let oldest = (self.requests.len() == MANY).then(|| self.requests.remove(0).id);
        self.requests.push(Request { id, octets: OCTETS.min(less_than_all), is_old: false });
        oldest
    }

    /// So many octets have come for `id`. Whether it must be reset: it is more than is thrown away.
    pub(super) fn is_too_much(&mut self, id: u32, octets: usize) -> bool {
        let Some(request) = self.requests.iter_mut().find(|request| request.id == id) else { return false };
        let left = request.octets.checked_sub(octets);
        request.octets = left.unwrap_or(0);
        if left.is_none() {
            self.remove(id);
        }
        left.is_none()
    }

    /// `id` has ended by itself, or was reset.
    pub(super) fn remove(&mut self, id: u32) {
        self.requests.retain(|request| request.id != id);
    }

    /// A tick is over. Those that have been here for a whole one must be reset.
    pub(super) fn tick(&mut self) -> Vec<u32> {
        let old = self.requests.extract_if(.., |request| std::mem::replace(&mut request.is_old, true));
        old.map(|request| request.id).collect()
    }

    /// All of them must be reset.
    pub(super) fn take(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.requests).into_iter().map(|request| request.id).collect()
    }
}

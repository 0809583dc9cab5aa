//! Requests that have come before their viewer's handshake was over. Somebody may have kept the packets and sent them once
//! more, so such a request may have been made already (RFC 8470).

use http::HeaderName;
use tokio::sync::watch;

/// Says of a request that it may be a replay (RFC 8470 §5.1).
pub const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// Of one connection: whether its handshake is over.
#[derive(Debug, Clone)]
pub struct Early(watch::Receiver<bool>);

/// The handshake that an [`Early`] is about; its drop says that it will never be over.
#[derive(Debug)]
pub struct Shaking(watch::Sender<bool>);

impl Early {
    /// Of a handshake that is under way.
    #[must_use]
    pub fn new() -> (Shaking, Self) {
        let (sender, receiver) = watch::channel(false);
        (Shaking(sender), Self(receiver))
    }

    /// Nobody but the viewer can have made these requests.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the handshake's end. `false`: it has failed.
    pub async fn over(&self) -> bool {
        self.0.clone().wait_for(|&over| over).await.is_ok()
    }
}

impl Shaking {
    pub fn over(self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_handshake_is_over_once_it_has_ended_well() {
        let mut cx = Context::from_waker(Waker::noop());
        for (ends, expected) in [(true, true), (false, false)] {
            let (shaking, early) = Early::new();
            let mut over = pin!(early.over());
            assert!(!early.is_over() && over.as_mut().poll(&mut cx).is_pending());
            if ends {
                shaking.over()
            } else {
                drop(shaking)
            }
            assert_eq!(over.as_mut().poll(&mut cx), Poll::Ready(expected));
            assert_eq!(early.is_over(), expected);
        }
    }
}

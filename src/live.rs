//! The edge in force, which a reload replaces while connections live.

use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Cache};

use crate::edge::Edge;

/// Where the edge in force is found.
#[derive(Debug, Clone)]
pub struct Live(Arc<ArcSwap<Edge>>);

impl Live {
    #[must_use]
    pub fn new(edge: Arc<Edge>) -> Self {
        Self(Arc::new(ArcSwap::new(edge)))
    }

    /// The one in force, for a single use.
    #[must_use]
    pub fn now(&self) -> Arc<Edge> {
        self.0.load_full()
    }

    /// For whoever asks again and again.
    #[must_use]
    pub fn latest(&self) -> Latest {
        Latest(Cache::new(Arc::clone(&self.0)))
    }

    /// Requests that begin from now on are answered by `edge`.
    pub(crate) fn replace(&self, edge: Arc<Edge>) {
        self.0.store(edge);
    }

    pub(crate) fn downgrade(&self) -> WeakLive {
        WeakLive(Arc::downgrade(&self.0))
    }
}

/// Keeps nothing alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakLive(Weak<ArcSwap<Edge>>);

impl WeakLive {
    /// `None`: there is none any more.
    pub(crate) fn now(&self) -> Option<Arc<Edge>> {
        Some(self.0.upgrade()?.load_full())
    }
}

/// One connection's view of the edge in force. Until it is asked again after a reload it keeps the one before.
#[derive(Debug, Clone)]
pub struct Latest(Cache<Arc<ArcSwap<Edge>>, Arc<Edge>>);

impl Latest {
    /// To be asked once for each request, which then sees one configuration from its first byte to its last. Costs a load
    /// and a comparison, unless there was a reload.
    #[inline]
    pub fn edge(&mut self) -> &Arc<Edge> {
        self.0.load()
    }
}

//! The store: whole objects in [`memory`], arriving ones in [`inflight`]. Decides nothing about freshness.

pub mod budget;
pub mod fill;
pub mod inflight;
pub mod memory;
pub mod object;

use std::sync::Arc;

/// The parts of a request that tell one object from another, as made by [`crate::policy::key`].
pub type Key = Arc<str>;

use budget::Budget;
use inflight::Inflight;
use memory::Memory;

/// Everything that is kept of the origins' answers.
#[derive(Debug)]
pub struct Store {
    pub memory: Memory,
    pub inflight: Arc<Inflight>,
    /// For bodies on their way in.
    pub budget: Arc<Budget>,
    /// Bytes of the largest body that is kept.
    pub max_object: u64,
}

impl Store {
    /// Keeps `config.memory` bytes, and at most a quarter of that again on its way in.
    #[must_use]
    pub fn new(
        config: &crate::config::Cache,
        evicted: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            memory: Memory::new(config.memory, evicted),
            inflight: Arc::new(Inflight::default()),
            budget: Budget::new((config.memory / 4).max(config.max_object)),
            max_object: config.max_object,
        }
    }
}

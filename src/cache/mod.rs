//! The store: whole objects in [`memory`], arriving ones in [`inflight`]. Decides nothing about freshness.

pub mod budget;
pub mod fill;
mod index;
pub mod inflight;
pub mod invalidations;
pub mod memory;
pub mod object;
pub mod pieces;
pub mod slices;
pub mod text;

use std::sync::Arc;

/// The parts of a request that tell one object from another, as made by [`crate::policy::key`].
pub type Key = Arc<str>;

use crate::clock::Timestamp;
use crate::policy::invalidation::Pattern;
use budget::Budget;
use inflight::Inflight;
use invalidations::Number;
use memory::Memory;
use slices::Slices;

/// Everything that is kept of the origins' answers.
#[derive(Debug)]
pub struct Store {
    pub memory: Arc<Memory>,
    pub inflight: Arc<Inflight>,
    /// For bodies on their way in.
    pub budget: Arc<Budget>,
    /// Of objects larger than `max_object`.
    pub slices: Arc<Slices>,
    /// Bytes of the largest body that is kept in one.
    pub max_object: u64,
    /// Bytes of a slice of a larger one.
    pub slice_size: u64,
}

impl Store {
    /// Keeps `config.memory` bytes, and at most a quarter of that again on its way in.
    #[must_use]
    pub fn new(
        config: &crate::config::Cache,
        evicted: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        let memory = Arc::new(Memory::new(config.memory, evicted));
        let budget = Budget::new((config.memory / 4).max(config.max_object));
        Self {
            slices: Arc::new(Slices::new(Arc::clone(&memory), Arc::clone(&budget))),
            inflight: Arc::new(Inflight::new(Arc::clone(memory.invalidations()))),
            memory,
            budget,
            max_object: config.max_object,
            slice_size: config.slice_size,
        }
    }

    /// Removes what `patterns` name of a distribution. It takes effect for every request that begins after this returns,
    /// and costs what it names; [`Store::sweep`] frees the memory later. Its number.
    pub fn invalidate(&self, distribution: &str, patterns: &[Pattern], now: Timestamp) -> Number {
        self.memory.invalidations().add(distribution, patterns, now)
    }

    /// Of all invalidations up to this one nothing is left in memory.
    #[must_use]
    pub fn swept_up_to(&self) -> Number {
        self.memory.invalidations().swept_up_to()
    }

    /// Nothing has been invalidated since the last sweep.
    #[must_use]
    pub fn is_swept(&self) -> bool {
        self.memory.invalidations().is_swept()
    }

    /// Lets go of everything that has been invalidated. Takes as long as all that is kept is large: for a thread that has
    /// nothing else to do.
    pub fn sweep(&self, now: Timestamp) {
        self.memory.sweep(now);
    }
}

//! Do two endpoints answer alike, and how fast? Verdicts, statistics and reports; whoever asks is `cli/compare.rs`.
//!
//! All of it is pure: answers and random seeds are arguments.

mod answers;
pub mod decode;
pub mod html;
mod ignored;
pub mod list;
mod plot;
mod probe;
pub mod report;
pub mod statistics;
pub mod terminal;
mod verdict;

pub use answers::ResultType;
pub use ignored::{Ignored, Rules};
pub use probe::Probe;
pub use verdict::{Point, Seen, Verdict, Weight, judge};

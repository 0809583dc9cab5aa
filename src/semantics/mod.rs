//! HTTP's vocabulary. Pure, and knows no other module of ours.

pub mod cache_control;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod fields;
pub mod hop;
pub mod host;
pub mod path;
pub mod place;
pub mod range;
pub mod targeted;
pub mod view;
pub mod wildcard;

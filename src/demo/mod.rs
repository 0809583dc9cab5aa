//! What `edgeseal demo` and the integration tests need beside the edge: an embedded origin, and the story that is
//! told in front of it. Never part of the serving path; `--no-default-features` leaves it out.

pub mod store;
pub mod story;
pub mod viewer;

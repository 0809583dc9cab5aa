//! Addresses → places, from a MaxMind database in memory.

#[cfg(not(feature = "geo"))]
mod absent;
#[cfg(feature = "geo")]
mod maxmind;

use std::path::PathBuf;

#[cfg(not(feature = "geo"))]
pub use absent::Database;
#[cfg(feature = "geo")]
pub use maxmind::Database;

/// Why a file is no database of places.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("{}: is not a MaxMind database: {reason}", file.display())]
    Damaged { file: PathBuf, reason: String },
    /// Everybody would be let in: who is nowhere is served (behaviour §12.1).
    #[error("{}: tells of no network in which country it is; use a Country or a City database", .0.display())]
    NoCountries(PathBuf),
    #[error("{}: this binary was built without the feature \"geo\"", .0.display())]
    NotBuilt(PathBuf),
}

//! Without the feature `geo` there is no database; the configuration says so before this is asked.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;

use super::OpenError;
use crate::semantics::place::Place;

#[derive(Debug)]
pub struct Database(Infallible);

impl Database {
    /// # Errors
    /// Always.
    pub fn open(file: &Path) -> Result<Self, OpenError> {
        Err(OpenError::NotBuilt(file.into()))
    }

    #[must_use]
    pub fn place(&self, _: IpAddr) -> Place<'_> {
        match self.0 {}
    }
}

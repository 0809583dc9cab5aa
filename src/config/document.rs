//! A distribution in CloudFront's own form, `DistributionConfig` (behaviour §1.6), for those who ask the admin API for it.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// A `DistributionConfig` as the AWS CLI prints it. What it sends to origins may be secret, so it has no debug print.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Document(Arc<Value>);

impl Document {
    #[must_use]
    pub fn new(config: Value) -> Self {
        Self(Arc::new(config))
    }

    /// An object, but for the default, which is null.
    #[must_use]
    pub fn config(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").finish_non_exhaustive()
    }
}

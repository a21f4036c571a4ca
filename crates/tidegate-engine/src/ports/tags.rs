//! The tags of a repository, as it has them at this moment.
//! Must never be answered from a copy: a tag that moved is to be seen.

use std::fmt;

use async_trait::async_trait;
use tidegate_core::trigger::Tag;

use super::Failure;

/// What lists tags.
#[async_trait]
pub trait Tags: Send + Sync + fmt::Debug {
    /// The tags whose names fit a pattern (`v*`), in no order.
    ///
    /// # Errors
    /// [`Failure`] when the repository cannot be asked, or has more tags than are read.
    async fn tags(&self, repository: &str, pattern: &str) -> Result<Vec<Tag>, Failure>;
}

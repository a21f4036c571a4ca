//! The port of messages: whatever reaches people and other machines.
//! Must never be asked to decide who hears of what.

use std::fmt;

use async_trait::async_trait;
use tidegate_core::ids::Scope;
use tidegate_core::message::{Delivery, Letter};

/// What brings messages to people and machines.
///
/// # Idempotency
/// None that holds everywhere: a message whose answer was lost is sent again under the same name,
/// which receivers that know names (pagers, webhooks, mail) take once.
/// # Errors
/// None: whatever goes wrong is what the attempt gave.
#[async_trait]
pub trait Messages: Send + Sync + fmt::Debug {
    /// Makes one attempt. `follows` is what the channel called the first message of the
    /// conversation, so that this one is an answer to it.
    async fn send(&self, scope: &Scope, letter: &Letter, follows: Option<&str>) -> Delivery;
}

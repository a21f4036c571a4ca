//! Shares of user traffic. Must never represent a split that does not add up to the whole.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::SlotName;

/// Basis points in the whole.
pub const WHOLE_BP: u16 = 10_000;

/// A share of user traffic in basis points, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

/// A number of basis points above the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} basis points are more than the whole ({WHOLE_BP})")]
pub struct OverWhole(pub u16);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const WHOLE: Self = Self(WHOLE_BP);

    /// Makes a weight from basis points.
    ///
    /// # Errors
    /// [`OverWhole`] above 10,000.
    pub fn from_bp(bp: u16) -> Result<Self, OverWhole> {
        if bp <= WHOLE_BP { Ok(Self(bp)) } else { Err(OverWhole(bp)) }
    }

    /// Basis points, 0 to 10,000.
    #[must_use]
    pub fn bp(self) -> u16 {
        self.0
    }

    /// What is left of the whole.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(WHOLE_BP - self.0)
    }

    /// How many of `count` instances carry this share, rounded up so that a small share is never
    /// nobody.
    #[must_use]
    pub fn of_instances(self, count: u32) -> u32 {
        (u64::from(count) * u64::from(self.0))
            .div_ceil(u64::from(WHOLE_BP))
            .try_into()
            .unwrap_or(count)
    }
}

impl TryFrom<u16> for Weight {
    type Error = OverWhole;
    fn try_from(bp: u16) -> Result<Self, OverWhole> {
        Self::from_bp(bp)
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        if part == 0 {
            write!(f, "{whole} %")
        } else if part % 10 == 0 {
            write!(f, "{whole}.{} %", part / 10)
        } else {
            write!(f, "{whole}.{part:02} %")
        }
    }
}

/// How one part's traffic is divided between its slots. Slots that are absent get nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<SlotName, Weight>", into = "BTreeMap<SlotName, Weight>")]
pub struct Split(BTreeMap<SlotName, Weight>);

/// Shares that do not add up to 10,000 basis points.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shares add up to {sum} basis points, not {WHOLE_BP}")]
pub struct NotWhole {
    /// What they add up to.
    pub sum: u32,
}

impl Split {
    /// Everything to one slot.
    #[must_use]
    pub fn all_to(slot: SlotName) -> Self {
        Self(BTreeMap::from([(slot, Weight::WHOLE)]))
    }

    /// `weight` to the candidate, the rest to the live slot.
    #[must_use]
    pub fn between(candidate: &SlotName, live: &SlotName, weight: Weight) -> Self {
        if candidate == live {
            return Self::all_to(live.clone());
        }
        Self(BTreeMap::from([(candidate.clone(), weight), (live.clone(), weight.rest())]))
    }

    /// The share of a slot.
    #[must_use]
    pub fn share(&self, slot: &SlotName) -> Weight {
        self.0.get(slot).copied().unwrap_or(Weight::ZERO)
    }

    /// Slots with their shares, in name order; shares of zero are included when named.
    pub fn shares(&self) -> impl Iterator<Item = (&SlotName, Weight)> {
        self.0.iter().map(|(slot, weight)| (slot, *weight))
    }
}

impl TryFrom<BTreeMap<SlotName, Weight>> for Split {
    type Error = NotWhole;
    fn try_from(shares: BTreeMap<SlotName, Weight>) -> Result<Self, NotWhole> {
        let sum: u32 = shares.values().map(|w| u32::from(w.bp())).sum();
        if sum == u32::from(WHOLE_BP) { Ok(Self(shares)) } else { Err(NotWhole { sum }) }
    }
}

impl From<Split> for BTreeMap<SlotName, Weight> {
    fn from(split: Split) -> Self {
        split.0
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (slot, weight) in &self.0 {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            write!(f, "{slot} {weight}")?;
        }
        Ok(())
    }
}

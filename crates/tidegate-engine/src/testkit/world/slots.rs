//! The slots of the unkind world: instances start when they please and die as their version does.
//! Must never forget that a slot under traffic was emptied.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use tidegate_core::state::{SlotObserved, Tenant};
use tokio::time::Instant;

use super::{FakeSlot, World, conflict};
use crate::ports::{Failure, Place, Runtime, Usage};

#[async_trait]
impl Runtime for World {
    async fn ensure(
        &self,
        place: &Place,
        tenant: Option<&Tenant>,
        epoch: u64,
    ) -> Result<(), Failure> {
        self.way_to_effect().await?;
        let now = Instant::now();
        {
            let mut inner = self.lock();
            if epoch < inner.highest_epoch {
                return Err(conflict("an older epoch"));
            }
            inner.highest_epoch = epoch;
            let key = (place.part.clone(), place.slot.clone());
            let same = inner.slots.get(&key).is_some_and(|fake| fake.tenant.as_ref() == tenant);
            if !same {
                let before = inner.slots.get(&key).and_then(|fake| fake.tenant.clone());
                let replaced = before.as_ref().map(|t| &t.revision) != tenant.map(|t| &t.revision);
                if replaced
                    && before.is_some_and(|t| t.instances > 0)
                    && inner.carries(&place.part, &place.slot)
                {
                    inner.violations.push(format!("{place} was emptied under traffic"));
                }
                let start = inner.rng.random_range(200..4_000);
                let port = inner.rng.random_range(20_000..60_000);
                let old = inner.slots.get(&key).cloned();
                let resized = !replaced;
                let fake = match old {
                    Some(old) if resized => FakeSlot { tenant: tenant.cloned(), ..old },
                    _ => FakeSlot {
                        tenant: tenant.cloned(),
                        since: now,
                        ready_at: now + Duration::from_millis(start),
                        port,
                    },
                };
                inner.slots.insert(key, fake);
            }
        }
        self.way_back().await
    }

    async fn observe(&self, place: &Place) -> Result<SlotObserved, Failure> {
        let stale = {
            let mut inner = self.lock();
            let rate = inner.unkindness.stale;
            let stale = inner.chance(rate);
            stale.then(|| inner.observe(&place.part, &place.slot, Instant::now()))
        };
        self.way_there().await?;
        Ok(stale.unwrap_or_else(|| self.lock().observe(&place.part, &place.slot, Instant::now())))
    }

    async fn usage(&self, place: &Place) -> Result<Usage, Failure> {
        self.way_there().await?;
        let ready = self.lock().ready(&place.part, &place.slot, Instant::now());
        let reading = ready.then_some(40.0);
        Ok(Usage { cpu_percent: reading, memory_percent: reading })
    }

    async fn logs(&self, _place: &Place, _bytes_max: u64) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }
}

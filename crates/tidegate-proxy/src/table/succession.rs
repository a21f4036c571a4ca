//! The store while one proxy takes the place of another: on the elder's side frozen, retired and
//! following; on the newcomer's counting what the elder still counts.
//!
//! An elder must never serve by a table that its successor has replaced, and a count must never
//! be in the ticks of both.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::{Standing, Store};
use crate::disk::Record;
use crate::refusal::Refused;
use crate::upgrade::{Failed, Go, Heirloom, Order, Residue};

impl Store {
    pub(super) fn may_change(&self) -> Result<(), Refused> {
        if self.is_serving() { Ok(()) } else { Err(Refused::Replaced) }
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.standing == Standing::Serving
    }

    pub(crate) fn freeze(&mut self) -> Result<(), Failed> {
        match self.standing {
            Standing::Serving => self.standing = Standing::Frozen,
            Standing::Frozen => return Err(Failed::Busy("another newcomer is at it")),
            Standing::Retired => return Err(Failed::Busy("another has taken over")),
        }
        Ok(())
    }

    /// The newcomer failed: on as before. The tick that was not cut is a longer one.
    pub(crate) fn unfreeze(&mut self) {
        if self.standing == Standing::Frozen {
            self.standing = Standing::Serving;
        }
    }

    /// What a newcomer needs and no disk has.
    pub(crate) fn estate(&self) -> (u64, Vec<Arc<std::net::TcpListener>>, Vec<Heirloom>) {
        let heirlooms = self.services.values().map(super::Held::heirloom).collect();
        (self.started_at_ms, self.listeners.sockets(), heirlooms)
    }

    /// Stops accepting and deciding. Gives what the successor must know.
    pub(crate) fn retire(&mut self) -> Go {
        self.standing = Standing::Retired;
        self.listeners.leave();
        Go { records: self.not_durable(), residues: self.residue() }
    }

    /// What was counted since the last call, and what is in progress.
    pub(crate) fn residue(&mut self) -> Vec<Residue> {
        self.services.values_mut().map(super::Held::residue).collect()
    }

    /// Serves by the successor's record. Its durability is the successor's business.
    pub(crate) fn follow(&mut self, record: Record) {
        self.put_in_force(record);
    }

    /// A record of the elder that no disk has: in force, and made durable by and by.
    pub(crate) fn take_over(&mut self, record: Record) {
        let service = record.service.clone();
        self.put_in_force(record);
        if let Some(held) = self.services.get_mut(&service) {
            held.is_durable = false;
        }
    }

    pub(crate) fn absorb(&mut self, residues: Vec<Residue>) {
        for residue in residues {
            if let Some(held) = self.services.get_mut(&residue.service) {
                held.absorb(residue);
            }
        }
    }

    /// Everything that changes from here on goes to the elder as well.
    pub(crate) fn lead(&mut self, elder: UnboundedSender<Order>) {
        self.elder = Some(elder);
    }

    pub(crate) fn forget_elder(&mut self) {
        self.elder = None;
        for held in self.services.values_mut() {
            held.forget_elder();
        }
    }

    pub(super) fn tell_elder(&self, service: &str) {
        let (Some(elder), Some(held)) = (&self.elder, self.services.get(service)) else { return };
        if elder.send(Order::Follow(Box::new(held.record.clone()))).is_err() {
            tracing::debug!(service, "the elder is gone");
        }
    }

    /// Cuts the tunnels of a revision, here and at the elder's.
    pub(crate) fn cut(&self, service: &str, revision: &str) {
        if let Some(stats) = self.services.get(service).and_then(|held| held.stats(revision)) {
            stats.cut_tunnels();
        }
        if let Some(elder) = &self.elder {
            let order = Order::Cut { service: service.to_owned(), revision: revision.to_owned() };
            if elder.send(order).is_err() {
                tracing::debug!(service, "the elder is gone");
            }
        }
    }
}

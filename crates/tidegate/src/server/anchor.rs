//! Brings the journal's signed head to places outside the database, and holds what they have
//! against the journal. Must never overwrite what a place has before it was compared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tidegate_audit::note::{Checkpoint, Signer};
use tidegate_engine::ports::{Anchor, JournalError, Trail, TreeHead};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::audit::Place;

/// How often the head is brought out, when it has moved.
const EVERY: Duration = Duration::from_secs(10);
/// How long the start waits for one place to say what it has.
const START_WAIT: Duration = Duration::from_secs(10);
/// Places outside that must have a checkpoint before the journal counts as anchored.
const PLACES_MIN: usize = 2;

/// What is known of the places.
#[derive(Debug, Clone, Default)]
pub(crate) struct Anchored {
    /// Each of them.
    pub(crate) places: Vec<Place>,
}

impl Anchored {
    fn outside(&self) -> usize {
        let counts = |place: &&Place| place.outside && place.size.is_some();
        self.places.iter().filter(counts).count()
    }

    /// Whether enough places outside have a checkpoint.
    pub(crate) fn anchored(&self) -> bool {
        self.outside() >= PLACES_MIN
    }

    /// One sentence about it.
    pub(crate) fn sentence(&self) -> String {
        let outside = self.outside();
        if self.anchored() {
            return format!("{outside} places outside the database have checkpoints");
        }
        format!(
            "not externally anchored: {outside} of {PLACES_MIN} places outside the database have \
             a checkpoint"
        )
    }
}

/// The places with what they have taken.
#[derive(Debug)]
pub(crate) struct Anchors {
    trail: Arc<dyn Trail>,
    signer: Arc<Signer>,
    places: Vec<Arc<dyn Anchor>>,
    /// Of each: what it has was compared with the journal.
    compared: Vec<bool>,
    seen: watch::Sender<Anchored>,
}

impl Anchors {
    /// The places of the settings; asks none of them yet.
    pub(crate) fn new(
        trail: Arc<dyn Trail>,
        signer: Arc<Signer>,
        places: Vec<Arc<dyn Anchor>>,
    ) -> (Self, watch::Receiver<Anchored>) {
        let known = places.iter().map(|place| Place {
            name: place.name().to_owned(),
            outside: place.outside(),
            size: None,
            at: None,
            problem: None,
        });
        let (seen, receiver) = watch::channel(Anchored { places: known.collect() });
        let compared = vec![false; places.len()];
        (Self { trail, signer, places, compared, seen }, receiver)
    }

    /// Compares what every place has with the journal, before anything is written to it.
    ///
    /// # Errors
    /// TG6202 when a place has a checkpoint that this journal did not grow from: it was cut,
    /// rewritten, or restored from an older copy. A place that does not answer is asked later.
    pub(crate) async fn compare(&mut self) -> Result<(), Failure> {
        let asked =
            (0..self.places.len()).map(|number| timeout(START_WAIT, self.compare_one(number)));
        for (number, found) in join_all(asked).await.into_iter().enumerate() {
            match found.unwrap_or_else(|_late| Found::Unknown("it does not answer".to_owned())) {
                Found::Ours => self.is_compared(number),
                Found::Unknown(why) => self.note(number, why),
                Found::Other(what) => {
                    return Err(Failure::new(Exit::Unexpected, "TG6202", what)
                        .safe("nothing was started; the proxy serves its last table")
                        .help("`tidegate explain TG6202`"));
                }
            }
        }
        Ok(())
    }

    async fn compare_one(&self, number: usize) -> Found {
        let Some(place) = self.places.get(number) else { return Found::Ours };
        let note = match place.newest().await {
            Ok(Some(note)) => note,
            Ok(None) => return Found::Ours,
            Err(failure) => return Found::Unknown(failure.what),
        };
        let kept = match self.signer.key().open(&note) {
            Ok(kept) => kept,
            Err(refused) => return Found::Unknown(format!("what it has is not ours: {refused}")),
        };
        match grew_from(&*self.trail, &kept).await {
            Ok(true) => Found::Ours,
            Ok(false) => Found::Other(format!(
                "{} has a checkpoint of {} entries that this journal did not grow from",
                place.name(),
                kept.size
            )),
            Err(error) => Found::Unknown(error.to_string()),
        }
    }

    fn is_compared(&mut self, number: usize) {
        if let Some(compared) = self.compared.get_mut(number) {
            *compared = true;
        }
    }

    fn note(&self, number: usize, problem: String) {
        self.seen.send_modify(|seen| {
            if let Some(place) = seen.places.get_mut(number) {
                tracing::warn!(place = place.name, problem, "no checkpoint was brought out");
                place.problem = Some(problem);
            }
        });
    }

    /// Brings the head out, whenever it moved, until the server stops.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _tick = every.tick() => {}
            }
            match self.trail.head().await {
                Ok(head) => self.bring(head).await,
                Err(error) => tracing::warn!(%error, "the journal's head cannot be read"),
            }
        }
    }

    async fn bring(&mut self, head: TreeHead) {
        let note = self.signer.sign(head.size, head.root);
        for number in 0..self.places.len() {
            let size = self.seen.borrow().places.get(number).and_then(|place| place.size);
            if size == Some(head.size) {
                continue;
            }
            if self.compared.get(number) == Some(&false) {
                match self.compare_one(number).await {
                    Found::Ours => self.is_compared(number),
                    Found::Unknown(why) | Found::Other(why) => self.note(number, why),
                }
            }
            if self.compared.get(number) == Some(&true) {
                self.put(number, &note, head.size).await;
            }
        }
    }

    async fn put(&self, number: usize, note: &str, size: u64) {
        let Some(place) = self.places.get(number) else { return };
        match place.put(note).await {
            Ok(()) => self.seen.send_modify(|seen| {
                if let Some(place) = seen.places.get_mut(number) {
                    place.size = Some(size);
                    place.at = Some(Timestamp::now());
                    place.problem = None;
                }
            }),
            Err(failure) => self.note(number, failure.what),
        }
    }
}

/// What a place has.
enum Found {
    /// Nothing, or what this journal grew from.
    Ours,
    /// Nobody knows, and why.
    Unknown(String),
    /// What this journal did not grow from.
    Other(String),
}

/// Whether the journal's first entries are those of a checkpoint.
///
/// # Errors
/// Those of the journal.
async fn grew_from(trail: &dyn Trail, kept: &Checkpoint) -> Result<bool, JournalError> {
    let proofs = trail.prove(kept.size, &BTreeSet::new()).await?;
    Ok(proofs.is_some_and(|proofs| proofs.head.root == kept.root))
}

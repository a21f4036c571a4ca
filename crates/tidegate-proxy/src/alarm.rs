//! Deadlines that nearly never pass: one for each request's head and one for each answer's. A
//! timer that is put aside stays in the wheel and is used again for a later deadline, which costs
//! neither a lock nor a place in it.
//!
//! An alarm must only be used on the runtime of the worker that made it.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep as HyperSleep, Timer};
use tokio::time::{Instant, Sleep, sleep_until};

/// Timers that a worker puts aside of each kind; more are dropped.
const KEPT: usize = 4_096;

/// What is waited for. Timers of one kind have deadlines that only grow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A client's request head.
    Request,
    /// An endpoint's response head.
    Answer,
}

type Kept = RefCell<Vec<Pin<Box<Sleep>>>>;

thread_local! {
    static REQUEST: Kept = const { RefCell::new(Vec::new()) };
    static ANSWER: Kept = const { RefCell::new(Vec::new()) };
}

impl Kind {
    fn with<T>(self, work: impl FnOnce(&mut Vec<Pin<Box<Sleep>>>) -> T) -> Option<T> {
        let kept = match self {
            Self::Request => &REQUEST,
            Self::Answer => &ANSWER,
        };
        // Not there any more while a worker's thread ends.
        kept.try_with(|kept| kept.try_borrow_mut().ok().map(|mut kept| work(&mut kept))).ok()?
    }
}

/// A deadline; ready when it has passed.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    kind: Kind,
}

impl Alarm {
    /// Sets one.
    pub(crate) fn at(deadline: Instant, kind: Kind) -> Self {
        let timer = match kind.with(Vec::pop).flatten() {
            Some(mut kept) => {
                kept.as_mut().reset(deadline);
                kept
            }
            None => Box::pin(sleep_until(deadline)),
        };
        Self { timer: Some(timer), kind }
    }

    fn set(&mut self, deadline: Instant) {
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(deadline);
        }
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take().filter(|timer| !timer.is_elapsed()) {
            self.kind.with(|kept| {
                if kept.len() < KEPT {
                    kept.push(timer);
                }
            });
        }
    }
}

impl HyperSleep for Alarm {}

/// Alarms for the heads of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarms;

impl Timer for Alarms {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(Alarm::at(Instant::now() + duration, Kind::Request))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(Alarm::at(deadline.into(), Kind::Request))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn HyperSleep>>, new_deadline: std::time::Instant) {
        match sleep.as_mut().downcast_mut_pin::<Alarm>() {
            Some(alarm) => alarm.get_mut().set(new_deadline.into()),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn kept() -> Option<usize> {
        Kind::Answer.with(|kept| kept.len())
    }

    #[tokio::test]
    async fn a_timer_that_was_put_aside_keeps_the_newer_deadline() {
        let began = Instant::now();
        for after in [60 * SOON, 2 * SOON, 3 * SOON] {
            let alarm = Alarm::at(began + after, Kind::Answer);
            if after == 60 * SOON {
                drop(alarm);
                assert_eq!(kept(), Some(1), "it is used again");
            } else {
                alarm.await;
                assert!(began.elapsed() >= after);
                assert_eq!(kept(), Some(0), "one that fired is not kept");
            }
        }
    }

    #[tokio::test]
    async fn one_that_fires_while_it_is_kept_is_set_anew() {
        let began = Instant::now();
        let mut first = Box::pin(Alarm::at(began + SOON, Kind::Answer));
        std::future::poll_fn(|context| {
            assert!(first.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(first);
        Alarm::at(began + 2 * SOON, Kind::Request).await;
        Alarm::at(began + 3 * SOON, Kind::Answer).await;
        assert!(began.elapsed() >= 3 * SOON);
    }
}

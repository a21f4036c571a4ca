//! One look a second at what is open in browsers, however many of them there are: whoever comes
//! gets the newest look and every one after it. Must never go on when nobody looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_engine::ports::DeploymentRow;
use tokio::sync::watch;

use super::deployment::{board_of, course_of, why_of};
use super::series::{self, Series};
use super::{now, show};
use crate::api::course::{self, Course};
use crate::api::{Api, deployments, locate};
use crate::problem::Problem;

/// The engine is looked at this often: the judge hears a tick a second.
const LOOK: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Every service.
    Now,
    /// A deployment.
    Deployment(String),
}

/// What was seen: parts of pages by the name of their event.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(super) parts: Vec<(&'static str, String)>,
    pub(super) series: Vec<Series>,
    /// The state at its end.
    pub(super) ended: Option<String>,
}

/// The newest look; none before the first.
pub(super) type Seen = watch::Receiver<Option<Arc<Look>>>;
type Shown = Arc<watch::Sender<Option<Arc<Look>>>>;

/// Everything that is looked at.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<BTreeMap<Subject, Shown>>);

impl Looks {
    /// Looks along with whoever looks already.
    pub(super) fn of(&self, api: &Api, subject: Subject) -> Seen {
        let mut open = self.open();
        if let Some(shown) = open.get(&subject) {
            return shown.subscribe();
        }
        let (shown, seen) = watch::channel(None);
        let shown = Arc::new(shown);
        open.insert(subject.clone(), Arc::clone(&shown));
        tokio::spawn(look(api.clone(), subject, shown));
        seen
    }

    /// How many looks are taken a second.
    #[cfg(test)]
    fn taken(&self) -> usize {
        self.open().len()
    }

    /// Ends a look that nobody wants, under the lock by which others join it.
    fn ends(&self, subject: &Subject, shown: &Shown, over: bool) -> bool {
        let mut open = self.open();
        let ends = over || shown.receiver_count() == 0;
        if ends {
            open.remove(subject);
        }
        ends
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Subject, Shown>> {
        // A map is whole whoever died beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(api: Api, subject: Subject, shown: Shown) {
    let mut memory = None;
    loop {
        let seen = match &subject {
            Subject::Now => services(&api).await,
            Subject::Deployment(id) => deployment(&api, id, &mut memory).await,
        };
        // A journal that does not answer leaves pages stale, and they say so.
        let over = seen.as_ref().map_or(true, |look| look.ended.is_some());
        if let Ok(look) = seen {
            shown.send_replace(Some(Arc::new(look)));
        }
        if !over {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = api.stopping().cancelled() => {}
            }
        }
        if api.parts().looks.ends(&subject, &shown, over || api.stopping().is_cancelled()) {
            return;
        }
    }
}

async fn services(api: &Api) -> Result<Look, Problem> {
    Ok(Look { parts: vec![("now", now::body(api).await?)], ..Look::default() })
}

/// What is remembered of a deployment from look to look.
struct Memory {
    row: Box<DeploymentRow>,
    course: Course,
    /// The course as it was drawn, and at which event.
    drawn: (u64, String),
}

async fn deployment(api: &Api, id: &str, memory: &mut Option<Memory>) -> Result<Look, Problem> {
    if memory.is_none() {
        match locate::deployment(api, id).await? {
            locate::Located::Begun(row) => {
                let course = Course::of(&row);
                *memory = Some(Memory { row, course, drawn: (0, String::new()) });
            }
            locate::Located::Queued(..) => {
                let d = super::deployment::read(api, id).await?;
                let parts = vec![("board", board_of(&d)), ("why", why_of(&d))];
                return Ok(Look { parts, ..Look::default() });
            }
        }
    }
    let Some(memory) = memory else { return Ok(Look::default()) };
    course::follow(api, &memory.row, &mut memory.course).await?;
    let shown = deployments::of_course(api, &memory.row, &memory.course).await?;
    let d = show::plain(shown);
    if memory.drawn.0 != d.seq || d.ended() {
        memory.drawn = (d.seq, course_of(api, &d).await?);
    }
    let series = match &memory.course.state.current {
        Some(current) => series::of(api, &memory.row, &current.plan).await?,
        None => Vec::new(),
    };
    let parts =
        vec![("board", board_of(&d)), ("course", memory.drawn.1.clone()), ("why", why_of(&d))];
    Ok(Look { parts, series, ended: d.ended().then(|| d.state.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ends_with_the_last_who_wants_it() {
        let looks = Looks::default();
        let (shown, first) = watch::channel(None);
        let shown = Arc::new(shown);
        looks.open().insert(Subject::Now, Arc::clone(&shown));
        let second = shown.subscribe();
        drop(first);
        assert!(!looks.ends(&Subject::Now, &shown, false));
        assert_eq!(looks.taken(), 1);
        drop(second);
        assert!(looks.ends(&Subject::Now, &shown, false));
        assert_eq!(looks.taken(), 0);
    }
}

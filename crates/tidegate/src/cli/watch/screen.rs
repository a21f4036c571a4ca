//! The tree on a screen: redrawn in place at most every 200 ms, with keys.
//! Must never leave the terminal in raw mode, whichever way it ends.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{MoveToColumn, MoveUp};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{Clear, ClearType};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Followed, RETURN_WITHIN, is_final};
use crate::cli::session::Session;
use crate::cli::{tree, why};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, cut_columns, styled};
use crate::view::Deployment;
use crate::view::request::{Accepted, Advance, Hold, Rollback};

/// Shortest time between two drawings.
const REDRAW_EVERY: Duration = Duration::from_millis(200);
/// Keys that wait; nobody types faster than the screen takes them.
const KEYS_MAX: usize = 16;
/// Lines of a log on the screen.
const LOG_LINES: usize = 12;
/// How long the thread waits for a key before it looks whether it is still wanted.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// What is shown below the tree.
enum Panel {
    Nothing,
    Why,
    Log(Vec<String>),
    /// An answer, or a question that the same key confirms.
    Words(String),
}

/// Follows a deployment on the screen.
///
/// # Errors
/// [`Failure`] when the server went away and did not come back.
pub(super) async fn follow(session: &Session, id: &str) -> Result<Followed, Failure> {
    let mut keys = Keyboard::listen();
    let mut canvas = Canvas { drawn: 0 };
    let mut panel = Panel::Nothing;
    let mut armed = None;
    let mut lost: Option<Instant> = None;
    let mut redraw = tokio::time::interval(REDRAW_EVERY);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let shown = match session.show(id).await {
            Ok(shown) => {
                lost = None;
                shown
            }
            Err(failure) => {
                let since = *lost.get_or_insert_with(Instant::now);
                if failure.exit != Exit::Unreachable || since.elapsed() > RETURN_WITHIN {
                    return Err(failure);
                }
                redraw.tick().await;
                continue;
            }
        };
        let last = is_final(&shown);
        canvas.draw(session, &lines(session, &shown, &panel, !last))?;
        if last {
            return Ok(Followed::Ended(Box::new(shown)));
        }
        tokio::select! {
            key = keys.next() => {
                if key == 'q' {
                    return Ok(Followed::Detached);
                }
                let confirmed = armed.take() == Some(key);
                panel = press(session, &shown, key, confirmed, &mut armed).await;
            }
            _tick = redraw.tick() => {}
        }
    }
}

fn lines(session: &Session, shown: &Deployment, panel: &Panel, keys: bool) -> Vec<String> {
    let keys = if keys { tree::Keys::Shown } else { tree::Keys::Hidden };
    let mut lines = tree::render(shown, &session.terminal, keys);
    match panel {
        Panel::Nothing => {}
        Panel::Why => lines.extend(why::render(shown, &session.terminal)),
        Panel::Log(log) => lines.extend(log.iter().cloned()),
        Panel::Words(words) => lines.push(styled(Style::Strong, words)),
    }
    lines
}

/// What a key does. Keys that change something ask for the same key again.
async fn press(
    session: &Session,
    shown: &Deployment,
    key: char,
    confirmed: bool,
    armed: &mut Option<char>,
) -> Panel {
    let question = match key {
        'w' => return Panel::Why,
        'l' => return log(session, shown).await,
        'h' => format!("hold {} for one hour? press h again", shown.id),
        'a' => match judged_step(shown) {
            Some(step) => format!("end step {step} at once? press a again"),
            None => return Panel::Words("there is no traffic step to end".to_owned()),
        },
        'R' => format!("roll back {} at once? press R again", shown.service),
        _ => return Panel::Nothing,
    };
    if !confirmed {
        *armed = Some(key);
        return Panel::Words(question);
    }
    match act(session, shown, key).await {
        Ok(()) => Panel::Words("done".to_owned()),
        Err(failure) => Panel::Words(format!("{} {}", failure.code, failure.what)),
    }
}

/// The step that `advance` would end, from 1; the watch at 100 % is one past the last.
fn judged_step(shown: &Deployment) -> Option<u32> {
    if shown.phase == "bake" {
        return u32::try_from(shown.steps.weights_bp.len()).ok()?.checked_add(1);
    }
    shown.steps.current
}

async fn act(session: &Session, shown: &Deployment, key: char) -> Result<(), Failure> {
    let of = |verb: &str| format!("/v1/deployments/{}/{verb}", encode(&shown.id));
    let accepted: Option<Accepted> = match key {
        'h' => session.change(&of("hold"), &Hold::default()).await?,
        'a' => {
            let step = judged_step(shown).unwrap_or_default();
            session.change(&of("advance"), &Advance { step, key: None }).await?
        }
        _ => {
            let path = format!("/v1/services/{}/rollback", encode(&shown.service));
            let environment = Some(shown.environment.clone());
            session.change(&path, &Rollback { environment, ..Rollback::default() }).await?
        }
    };
    tracing::debug!(?accepted, "a key was pressed");
    Ok(())
}

async fn log(session: &Session, shown: &Deployment) -> Panel {
    let path = format!("/v1/deployments/{}/logs?tail=4096", encode(&shown.id));
    match session.client.bytes(hyper::Method::GET, &path, None).await {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            Panel::Log(lines.into_iter().skip(from).map(ToOwned::to_owned).collect())
        }
        Err(failure) => Panel::Words(format!("{} {}", failure.code, failure.what)),
    }
}

/// The part of the screen that is drawn over and over.
struct Canvas {
    drawn: u16,
}

impl Canvas {
    fn draw(&mut self, session: &Session, lines: &[String]) -> Result<(), Failure> {
        let (width, height) = session.terminal.size();
        // What does not fit would scroll, and could not be drawn over.
        let shown = lines.iter().take(height.saturating_sub(1));
        let mut out = std::io::stdout().lock();
        let draw = || -> std::io::Result<u16> {
            if self.drawn > 0 {
                crossterm::queue!(out, MoveUp(self.drawn))?;
            }
            crossterm::queue!(out, MoveToColumn(0), Clear(ClearType::FromCursorDown))?;
            let mut drawn = 0;
            for line in shown {
                let line = session.terminal.dressed(&cut_columns(line, width.saturating_sub(1)));
                // Raw mode does not return the carriage.
                write!(out, "{line}\r\n")?;
                drawn += 1;
            }
            out.flush()?;
            Ok(drawn)
        };
        self.drawn = draw().map_err(Failure::local)?;
        Ok(())
    }
}

/// Keys, read by a thread of their own.
struct Keyboard {
    keys: mpsc::Receiver<char>,
    wanted: Arc<AtomicBool>,
    raw: bool,
}

impl Keyboard {
    fn listen() -> Self {
        let (sender, keys) = mpsc::channel(KEYS_MAX);
        let wanted = Arc::new(AtomicBool::new(true));
        let raw = std::io::IsTerminal::is_terminal(&std::io::stdin())
            && crossterm::terminal::enable_raw_mode().is_ok();
        if raw {
            let wanted = Arc::clone(&wanted);
            std::thread::spawn(move || read_keys(&sender, &wanted));
        }
        Self { keys, wanted, raw }
    }

    /// The next key; never resolves without a keyboard.
    async fn next(&mut self) -> char {
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
        if self.raw && crossterm::terminal::disable_raw_mode().is_err() {
            tracing::debug!("the terminal is gone");
        }
    }
}

/// Sends keys until nobody wants them. Ctrl-C arrives as a key in raw mode, and detaches.
fn read_keys(keys: &mpsc::Sender<char>, wanted: &AtomicBool) {
    while wanted.load(Ordering::Relaxed) {
        if !matches!(crossterm::event::poll(KEY_WAIT), Ok(true)) {
            continue;
        }
        let Ok(Event::Key(key)) = crossterm::event::read() else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        let pressed = match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => 'q',
            KeyCode::Char(pressed) => pressed,
            KeyCode::Esc => 'x',
            _ => continue,
        };
        // The watcher left: nobody wants the key.
        if keys.blocking_send(pressed).is_err() {
            return;
        }
    }
}

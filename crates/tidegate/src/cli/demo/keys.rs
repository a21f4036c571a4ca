//! Single keys from a terminal, for as long as somebody wants them.
//! It must never leave the terminal in the mode that it needs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use tokio::sync::mpsc;

/// How long the reading thread looks for a key before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);
/// Keys that wait to be heard; more are not meant.
const KEYS_MAX: usize = 16;

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// q, Escape or Ctrl-C.
    Quit,
    /// R.
    Again,
}

/// Keys one by one, until it is dropped.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: mpsc::Receiver<Key>,
    wanted: Arc<AtomicBool>,
}

impl Keys {
    /// Begins to read.
    ///
    /// # Errors
    /// When the terminal does not give single keys.
    pub(crate) fn read() -> io::Result<Self> {
        enable_raw_mode()?;
        let (sender, keys) = mpsc::channel(KEYS_MAX);
        let wanted = Arc::new(AtomicBool::new(true));
        let still_wanted = Arc::clone(&wanted);
        std::thread::spawn(move || {
            while still_wanted.load(Ordering::Relaxed) {
                let key = match event::poll(LOOK) {
                    Ok(true) => event::read().ok().and_then(|event| meaning(&event)),
                    Ok(false) => None,
                    // The terminal is gone, and so is the person.
                    Err(_) => Some(Key::Quit),
                };
                if let Some(key) = key
                    && sender.blocking_send(key).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { keys, wanted })
    }

    /// The next key. Without a terminal it is [`Key::Quit`].
    pub(crate) async fn next(&mut self) -> Key {
        self.keys.recv().await.unwrap_or(Key::Quit)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
        if let Err(error) = disable_raw_mode() {
            tracing::debug!(%error, "the terminal keeps its mode");
        }
    }
}

fn meaning(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Key::Quit)
        }
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('R' | 'r') => Some(Key::Again),
        _ => None,
    }
}

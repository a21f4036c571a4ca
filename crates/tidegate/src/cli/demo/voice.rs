//! What the demo says: sentences and one moving line on a screen, plain lines in a pipe, NDJSON
//! with `--json`. It must never print what it has not seen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::ledger::{Pulse, Version};
use super::scene::Scene;
use super::summary::Summary;
use crate::terminal::{Style, Terminal, cut_columns, styled};
use crate::text;

/// Back to the first column, and the line empty.
const CLEAR_LINE: &[u8] = b"\r\x1b[2K";

/// One voice for the whole run.
#[derive(Debug)]
pub(crate) struct Voice<'t> {
    terminal: &'t Terminal,
    moving: AtomicBool,
    /// Whether the terminal needs to be told to go back to the first column.
    is_raw: AtomicBool,
}

impl<'t> Voice<'t> {
    pub(crate) fn new(terminal: &'t Terminal) -> Self {
        Self { terminal, moving: AtomicBool::new(false), is_raw: AtomicBool::new(false) }
    }

    /// Keys are read one by one from here on, or as lines again.
    pub(crate) fn set_raw(&self, is_raw: bool) {
        self.still();
        self.is_raw.store(is_raw, Ordering::Relaxed);
    }

    pub(crate) fn is_json(&self) -> bool {
        self.terminal.is_json()
    }

    /// Whether there is a line that can move.
    pub(crate) fn is_screen(&self) -> bool {
        self.terminal.is_screen()
    }

    /// One sentence.
    pub(crate) fn say(&self, sentence: &str) {
        if self.is_json() {
            self.object(&json!({"said": {"at": Timestamp::now(), "text": text::plain(sentence)}}));
        } else if !self.terminal.quiet {
            self.print(sentence);
        }
    }

    /// A sentence for people that says nothing new to a program.
    pub(crate) fn explain(&self, sentence: &str) {
        if !self.is_json() && !self.terminal.quiet {
            self.print(sentence);
        }
    }

    /// Where it can be watched in a browser.
    pub(crate) fn pages(&self, link: &str) {
        if self.is_json() {
            self.object(&json!({"pages": {"link": link}}));
            return;
        }
        self.explain(&format!("  Watch it live in a browser (the link works once): {link}\n"));
    }

    /// Where everything is.
    pub(crate) fn scene(&self, scene: &Scene) {
        if self.is_json() {
            self.object(&json!({"scene": {
                "directory": scene.directory(),
                "state_dir": scene.state_dir(),
                "repository": scene.repository(),
                "url": format!("http://{}/", scene.address),
                "config": scene.config,
            }}));
            return;
        }
        self.explain(&format!(
            "A shop in {}, with this tidegate.yaml:\n",
            scene.directory().display()
        ));
        for line in scene.config.lines() {
            self.explain(&format!("    {}", styled(Style::Faint, line)));
        }
        self.explain("");
    }

    /// An event of the server: as the command line gave it, or as a sentence with the time since
    /// the deployment was asked for.
    pub(crate) fn event(&self, line: &str, sentence: Option<&str>, since: Duration) {
        if self.is_json() {
            self.raw(format!("{}\n", text::plain(line)).as_bytes());
        } else if let (Some(sentence), false) = (sentence, self.terminal.quiet) {
            self.print(&format!("  {:5.1}s  {}", since.as_secs_f64(), text::plain(sentence)));
        }
    }

    /// The load since the last look.
    pub(crate) fn pulse(&self, what: &str, pulse: &Pulse, seconds: f64) {
        if self.is_json() {
            let answered: serde_json::Map<String, serde_json::Value> = pulse
                .answered
                .iter()
                .map(|(version, count)| (version.to_string(), (*count).into()))
                .collect();
            self.object(&json!({"load": {
                "at": Timestamp::now(),
                "requests": pulse.requests,
                "failed": pulse.failed,
                "answered": answered,
            }}));
            return;
        }
        if !self.is_screen() || self.terminal.quiet {
            return;
        }
        let shares: Vec<String> = pulse
            .answered
            .keys()
            .filter_map(|version: &Version| {
                Some(format!("{version} {} %", pulse.percent(*version)?))
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
        let rate = pulse.requests as f64 / seconds.max(0.001);
        let failed = format!("{} failed", text::count(pulse.failed));
        let style = if pulse.failed == 0 { Style::Good } else { Style::Bad };
        let line = format!(
            "  {what}   {} requests/s   {}   {}",
            text::number(rate.round()),
            shares.join("  "),
            styled(style, &failed)
        );
        let line = self.terminal.dressed(&cut_columns(&line, self.terminal.size().0 - 1));
        self.raw(CLEAR_LINE);
        self.raw(line.as_bytes());
        self.moving.store(true, Ordering::Relaxed);
    }

    /// The line that closes the run, or what it means in words.
    pub(crate) fn close(&self, closing: &impl Serialize, words: &[String]) {
        if self.is_json() {
            self.object(closing);
            return;
        }
        for sentence in words {
            self.print(sentence);
        }
    }

    /// Ends the moving line.
    fn still(&self) {
        if self.moving.swap(false, Ordering::Relaxed) {
            self.raw(CLEAR_LINE);
        }
    }

    fn print(&self, sentence: &str) {
        self.still();
        let ending = if self.is_raw.load(Ordering::Relaxed) { "\r\n" } else { "\n" };
        self.raw(format!("{}{ending}", self.terminal.dressed(sentence)).as_bytes());
    }

    fn object(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.raw(format!("{line}\n").as_bytes()),
            Err(error) => self.terminal.complain(&error.to_string()),
        }
    }

    fn raw(&self, bytes: &[u8]) {
        if let Err(failure) = self.terminal.raw(bytes) {
            // Without a reader the run still comes to its end, and cleans up.
            tracing::debug!(what = failure.what, "nobody reads");
        }
    }
}

/// The summary in words.
pub(crate) fn in_words(summary: &Summary) -> Vec<String> {
    let (good, bad) = (&summary.good, &summary.bad);
    let style = |is_good: bool| if is_good { Style::Good } else { Style::Bad };
    let state = |is_good: bool, words: &str| styled(style(is_good), words);
    let mut words = vec![
        String::new(),
        format!(
            "  v2, the good release: {}. {} requests meanwhile, {} failed.",
            state(good.result == "succeeded", &good.result.replace('_', " ")),
            text::count(good.requests),
            state(good.failed == 0, &text::count(good.failed)),
        ),
        format!(
            "  v3, the bad release: {}. It was asked {} times, {} of them failed.",
            state(bad.result == "rolled_back", &bad.result.replace('_', " ")),
            text::count(bad.exposed_requests),
            text::count(bad.failed_requests),
        ),
    ];
    if let (Some(by), Some(ms)) = (&bad.sent_back_by, bad.decided_after_ms) {
        let span = text::span(jiff::SignedDuration::from_millis(ms.try_into().unwrap_or(i64::MAX)));
        let who = if by == "judge" { "the judge".to_owned() } else { by.replace('_', " ") };
        words.push(format!("  Sent back by {who} {span} after its first request."));
        if let Some(why) = &bad.why {
            words.push(format!("  {}", text::plain(why)));
        }
    }
    if let Some(ms) = bad.time_to_safe_ms {
        let span = text::span(jiff::SignedDuration::from_millis(ms.try_into().unwrap_or(i64::MAX)));
        words.push(format!(
            "  From its first bad answer to the last request that reached it: {span}."
        ));
    }
    words.push(format!(
        "  Lost by the proxy: {}. Journal: {}.",
        state(summary.dropped_by_proxy == 0, &text::count(summary.dropped_by_proxy)),
        state(
            summary.journal_verified,
            if summary.journal_verified { "verified" } else { "NOT VERIFIED" }
        ),
    ));
    if !summary.holds() {
        words.push(styled(Style::Bad, "  This is not what it should have shown."));
    }
    words.push(String::new());
    words
}

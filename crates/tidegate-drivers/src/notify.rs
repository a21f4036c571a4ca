//! Messages to people and machines: which channel takes one, and what every channel is given.
//! One file a channel; the settings of the server say how each is reached.
//! Must never show a secret: they are read when a message goes out, and named where they are wrong.

mod cdevents;
mod email;
mod http;
mod pagerduty;
mod slack;
mod status_page;
mod teams;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, redirect};
use serde::Deserialize;
use tidegate_core::ids::Scope;
use tidegate_core::message::{Delivery, Family, Letter, Message};
use tidegate_engine::ports::Messages;

use crate::work::secrets;

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Longest text of one message, characters: cards and blocks have limits below 28 KB.
const TEXT_CHARS_MAX: usize = 2_900;
/// Longest title, characters: what a header of a chat takes.
const TITLE_CHARS_MAX: usize = 150;

/// How each channel is reached: `channels` of the server's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Mail.
    #[serde(default)]
    pub email: Option<email::Config>,
    /// A pager.
    #[serde(default)]
    pub pagerduty: Option<pagerduty::Config>,
    /// A chat.
    #[serde(default)]
    pub slack: Option<slack::Config>,
    /// The page that customers read.
    #[serde(default)]
    pub status_page: Option<status_page::Config>,
    /// Another chat.
    #[serde(default)]
    pub teams: Option<teams::Config>,
    /// Machines, by the name that files call them.
    #[serde(default)]
    pub webhooks: BTreeMap<String, webhook::Config>,
}

/// How messages are sent.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the secrets are.
    pub state_dir: PathBuf,
    /// How each channel is reached.
    pub channels: Channels,
    /// Where the pages of this server are, once that is known.
    pub pages: Arc<OnceLock<String>>,
}

/// The channels of one server.
#[derive(Debug)]
pub struct Post {
    config: Config,
    http: Result<Client, String>,
}

impl Post {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let http =
            Client::builder().redirect(redirect::Policy::none()).timeout(ANSWER_WITHIN).build();
        Self { config, http: http.map_err(|error| error.to_string()) }
    }
}

/// A message on its way out, with what a channel needs besides.
#[derive(Debug)]
struct Outgoing<'a> {
    http: &'a Client,
    state_dir: &'a std::path::Path,
    scope: &'a Scope,
    letter: &'a Letter,
    message: &'a Message,
    follows: Option<&'a str>,
    /// Its page here.
    link: Option<String>,
    /// The same in every attempt, and of no other message of this server.
    name: String,
}

impl Outgoing<'_> {
    fn title(&self) -> String {
        shorten(&self.message.title, TITLE_CHARS_MAX)
    }

    fn text(&self) -> String {
        shorten(&self.message.text, TEXT_CHARS_MAX)
    }

    /// What it is about, for machines and small print.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let message = self.message;
        let deployment = message.deployment.as_ref().map(ToString::to_string);
        let incident = message.incident.as_ref().map(ToString::to_string);
        let all = [
            ("service", Some(self.scope.service.to_string())),
            ("environment", Some(self.scope.environment.to_string())),
            ("version", Some(message.version.clone()).filter(|version| !version.is_empty())),
            ("deployment", deployment),
            ("incident", incident),
            ("next", message.next.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// What a reference stands for; anything else is itself.
    fn secret(&self, reference: &str) -> Result<String, Delivery> {
        if !reference.starts_with("secret://") {
            return Ok(reference.to_owned());
        }
        let read = secrets::one(self.state_dir, reference);
        let bytes = read.map_err(|why| refused(format!("TG7163: {why}")))?;
        let text = String::from_utf8(bytes)
            .map_err(|_odd| refused(format!("TG7163: `{reference}` is not text")))?;
        Ok(text.trim().to_owned())
    }
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('\u{2026}');
    short
}

/// No other attempt would do better.
fn refused(why: String) -> Delivery {
    Delivery::Refused { why, retryable: false, after: None }
}

fn unknown(family: Family, address: &str) -> Delivery {
    let word = family.word();
    refused(format!("TG7160: no `channels.{word}` of this server reaches `{address}`"))
}

#[async_trait]
impl Messages for Post {
    async fn send(&self, scope: &Scope, letter: &Letter, follows: Option<&str>) -> Delivery {
        let http = match &self.http {
            Ok(http) => http,
            Err(why) => return refused(format!("TG7162: no request can be made: {why}")),
        };
        let message = &letter.message;
        let page = match (&message.incident, &message.deployment) {
            (Some(incident), _) => Some(format!("i/{incident}")),
            (None, Some(deployment)) => Some(format!("d/{deployment}")),
            (None, None) => None,
        };
        let public = message.to.family == Family::StatusPage;
        let link = self.config.pages.get().zip(page).filter(|_| !public);
        let outgoing = Outgoing {
            http,
            state_dir: &self.config.state_dir,
            scope,
            letter,
            message,
            follows,
            link: link.map(|(pages, page)| format!("{pages}/{page}")),
            name: format!("{}-{}-{}", scope.service, scope.environment, letter.number),
        };
        let channels = &self.config.channels;
        let address = message.to.address.as_str();
        let sent = match message.to.family {
            Family::Email => match &channels.email {
                Some(config) => email::send(config, &outgoing).await,
                None => Err(unknown(Family::Email, address)),
            },
            Family::Pagerduty => match &channels.pagerduty {
                Some(config) => pagerduty::send(config, &outgoing).await,
                None => Err(unknown(Family::Pagerduty, address)),
            },
            Family::Slack => match &channels.slack {
                Some(config) => slack::send(config, &outgoing).await,
                None => Err(unknown(Family::Slack, address)),
            },
            Family::StatusPage => match &channels.status_page {
                Some(config) => status_page::send(config, &outgoing).await,
                None => Err(unknown(Family::StatusPage, address)),
            },
            Family::Teams => match &channels.teams {
                Some(config) => teams::send(config, &outgoing).await,
                None => Err(unknown(Family::Teams, address)),
            },
            Family::Webhook => match channels.webhooks.get(address) {
                Some(config) => webhook::send(config, &outgoing).await,
                None => Err(unknown(Family::Webhook, address)),
            },
        };
        match sent {
            Ok(receipt) => Delivery::Taken { receipt },
            Err(refused) => refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn what_is_too_long_says_so() {
        assert_eq!(shorten("four", 4), "four");
        assert_eq!(shorten("fives", 4), "fiv\u{2026}");
        assert_eq!(shorten("\u{e4}\u{f6}\u{fc}", 2), "\u{e4}\u{2026}");
    }
}

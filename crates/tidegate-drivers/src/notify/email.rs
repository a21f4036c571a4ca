//! Mail over SMTP; what is about one deployment is one thread.
//!
//! It needs an account of the mail server; what was sent cannot be taken back. The id of a mail is
//! the same in every attempt, so that receivers show it once.
//! Must never send a password over a connection that is not encrypted.

use std::collections::BTreeMap;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde::Deserialize;
use tidegate_core::message::{Delivery, Family};

use super::{Outgoing, refused, unknown};

/// How mail is sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The mail server: `smtps://host`, `smtp://host:587?tls=required`, or `smtp://127.0.0.1:2525`.
    server: String,
    /// The sender.
    from: String,
    /// Who signs in there.
    #[serde(default)]
    user: Option<String>,
    /// The password, a reference.
    #[serde(default)]
    password: Option<String>,
    /// Addresses that stand behind a name of a file.
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
}

/// Longest wait for the mail server, at each of its answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Most addresses behind one name.
const ADDRESSES_MAX: usize = 64;

pub(super) async fn send(
    config: &Config,
    outgoing: &Outgoing<'_>,
) -> Result<Option<String>, Delivery> {
    let mail = mail(config, outgoing)?;
    let failed = |what: String, retryable| {
        let why = format!("TG7162: the mail server: {what}");
        Delivery::Refused { why, retryable, after: None }
    };
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&config.server);
    let mut transport = transport.map_err(|error| failed(error.to_string(), false))?;
    transport = transport.timeout(Some(ANSWER_WITHIN));
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        if !config.server.starts_with("smtps:") && !config.server.contains("tls=required") {
            let what = "its address must begin with `smtps:` or end with `?tls=required`";
            return Err(failed(what.to_owned(), false));
        }
        let password = outgoing.secret(password)?;
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    match transport.build().send(mail).await {
        // Every mail of a thread answers the first, whose id follows from what it is about.
        Ok(_taken) => Ok(None),
        Err(error) => Err(failed(error.to_string(), !error.is_permanent())),
    }
}

fn mail(config: &Config, outgoing: &Outgoing<'_>) -> Result<Message, Delivery> {
    let bad = |what: String| refused(format!("TG7160: {what}"));
    let address = outgoing.message.to.address.as_str();
    let single = [address.to_owned()];
    let behind = config.groups.get(address).map_or(&single[..], Vec::as_slice);
    if behind.len() > ADDRESSES_MAX {
        return Err(bad(format!("`{address}` stands for more than {ADDRESSES_MAX} addresses")));
    }
    if behind.is_empty() || (behind == single && !address.contains('@')) {
        return Err(unknown(Family::Email, address));
    }
    let parse = |text: &str| -> Result<Mailbox, Delivery> {
        text.parse().map_err(|error| bad(format!("`{text}` is no address: {error}")))
    };
    let from = parse(&config.from)?;
    let domain = from.email.domain().to_owned();
    let thread = format!(
        "<{}-{}-{}@{domain}>",
        outgoing.scope.service, outgoing.scope.environment, outgoing.message.about
    );
    let mut builder: MessageBuilder = Message::builder()
        .from(from)
        .message_id(Some(format!("<{}@{domain}>", outgoing.name)))
        .in_reply_to(thread.clone())
        .references(thread)
        .subject(outgoing.title());
    for address in behind {
        builder = builder.to(parse(address)?);
    }
    let facts = outgoing.facts().into_iter().map(|(name, value)| format!("{name}: {value}"));
    let facts: Vec<String> = facts.chain(outgoing.link.clone()).collect();
    let text = format!("{}\n\n{}\n", outgoing.text(), facts.join("\n"));
    let mail = builder.header(ContentType::TEXT_PLAIN).body(text);
    mail.map_err(|error| bad(format!("the mail cannot be made: {error}")))
}

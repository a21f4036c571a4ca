//! Messages to a town of channels that hold each against what their vendors document, and mail to
//! a mail server. Must never reach anything outside of this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;
use tidegate_core::ids::{DeploymentId, IncidentId};
use tidegate_core::message::{
    Delivery, Family, Letter, Message, Occasion, Receiver, Signal, Stands,
};
use tidegate_drivers::notify::{Channels, Config, Post};
use tidegate_engine::ports::Messages as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::setup::scope;
use crate::town::{Mood, Town};

fn secret(root: &Path, name: &str, value: &str) {
    let folder = root.join("secrets");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), value).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
}

fn post(town: &Town, mail: &str) -> (TempDir, Post) {
    let root = tempfile::tempdir().unwrap();
    let url = town.url();
    secret(root.path(), "slack", "xoxb-1\n");
    secret(root.path(), "slack-room", &format!("{url}/slack/hook"));
    secret(root.path(), "teams", &format!("{url}/teams/flow"));
    secret(root.path(), "pager", "r0utingkey");
    secret(root.path(), "page", "key-1");
    secret(root.path(), "hook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let webhook = |format: &str| {
        json!({
            "url": format!("{url}/hook"), "secret": "secret://file/hook", "format": format,
        })
    };
    let channels: Channels = serde_json::from_value(json!({
        "slack": {
            "token": "secret://file/slack", "url": format!("{url}/slack"),
            "rooms": {"#alone": "secret://file/slack-room"},
        },
        "teams": {"rooms": {"releases": "secret://file/teams"}},
        "pagerduty": {"routing_key": "secret://file/pager", "url": format!("{url}/pagerduty")},
        "status_page": {
            "page": "p1", "token": "secret://file/page", "components": ["c1"],
            "url": format!("{url}/v1"),
        },
        "webhooks": {
            "own": webhook("standard"), "cloud": webhook("cloudevents"), "cd": webhook("cdevents"),
        },
        "email": {
            "server": mail, "from": "Tidegate <tidegate@shop.example>",
            "groups": {"team": ["ada@shop.example", "kofi@shop.example"]},
        },
    }))
    .unwrap();
    let pages = Arc::new(OnceLock::from("https://tidegate.example".to_owned()));
    let post = Post::new(Config { state_dir: root.path().to_owned(), channels, pages });
    (root, post)
}

fn letter(family: Family, address: &str, on: Occasion, signal: Signal) -> Letter {
    let at: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
    Letter {
        number: 41,
        at,
        message: Message {
            on,
            to: Receiver { family, address: address.to_owned() },
            signal,
            about: "d-7".to_owned(),
            page: "i-7".to_owned(),
            deployment: Some(DeploymentId::new("d-7").unwrap()),
            incident: Some(IncidentId::new("i-7").unwrap()),
            version: "v2".to_owned(),
            title: "shop v2 in production: rolling back".to_owned(),
            text: format!("errors 2 % > 1 % <!channel> `x` {}", "long ".repeat(1_000)),
            next: Some("tidegate why d-7".to_owned()),
        },
        attempt: 1,
        stands: Stands::Due,
    }
}

async fn send(post: &Post, letter: &Letter, follows: Option<&str>) -> Delivery {
    post.send(&scope(), letter, follows).await
}

fn taken(delivery: Delivery) -> Option<String> {
    match delivery {
        Delivery::Taken { receipt } => receipt,
        Delivery::Refused { why, .. } => panic!("{why}"),
    }
}

#[tokio::test]
async fn every_channel_takes_what_its_vendor_documents() {
    let town = Town::new();
    let (_root, post) = post(&town, "smtp://127.0.0.1:1");
    for (family, address) in [
        (Family::Slack, "#releases"),
        (Family::Slack, "#alone"),
        (Family::Teams, "releases"),
        (Family::Pagerduty, "warning"),
        (Family::StatusPage, "publish"),
        (Family::Webhook, "own"),
        (Family::Webhook, "cloud"),
        (Family::Webhook, "cd"),
    ] {
        for (on, signal) in [
            (Occasion::Start, Signal::Note),
            (Occasion::Incident, Signal::Trigger),
            (Occasion::Incident, Signal::Acknowledge),
            (Occasion::Resolved, Signal::Resolve),
        ] {
            if family == Family::StatusPage && signal == Signal::Note {
                continue;
            }
            let follows =
                (signal != Signal::Trigger && family == Family::StatusPage).then_some("s1");
            taken(send(&post, &letter(family, address, on, signal), follows).await);
        }
    }
    town.has_no_complaint();
    let page = town.pages();
    assert_eq!(page["shop/production/i-7"], ("resolved".to_owned(), 1));
    assert_eq!(town.public()[0]["status"], "resolved");
    // What others wrote is no mention.
    let said = &town.heard("/slack/chat.postMessage")[0];
    let shown = said.body["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(shown.contains("&lt;!channel&gt;"), "{shown}");
    let link = &said.body["blocks"][3]["elements"][0]["url"];
    assert_eq!(link, "https://tidegate.example/i/i-7");
}

#[tokio::test]
async fn a_machine_can_check_who_sent_it_and_that_it_is_the_same() {
    let town = Town::new();
    let (_root, post) = post(&town, "smtp://127.0.0.1:1");
    let own = letter(Family::Webhook, "own", Occasion::Rollback, Signal::Trigger);
    town.moods(&[Mood::Mute]);
    let lost = send(&post, &own, None).await;
    assert!(matches!(&lost, Delivery::Refused { retryable: true, .. }), "{lost:?}");
    taken(send(&post, &Letter { attempt: 2, ..own }, None).await);
    let heard = town.heard("/hook");
    let ids: Vec<&String> = heard.iter().map(|it| &it.headers["webhook-id"]).collect();
    assert_eq!(ids, ["shop-production-41", "shop-production-41"]);
    for one in &heard {
        let key = data_encoding::BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let (id, at) = (&one.headers["webhook-id"], &one.headers["webhook-timestamp"]);
        let tag = one.headers["webhook-signature"].strip_prefix("v1,").unwrap();
        let tag = data_encoding::BASE64.decode(tag.as_bytes()).unwrap();
        let text = format!("{id}.{at}.{}", one.raw);
        aws_lc_rs::hmac::verify(&key, text.as_bytes(), &tag).unwrap();
    }
    let cloud = letter(Family::Webhook, "cloud", Occasion::Rollback, Signal::Trigger);
    taken(send(&post, &cloud, None).await);
    let cloud = town.heard("/hook").pop().unwrap();
    assert_eq!(cloud.headers["content-type"], "application/cloudevents+json");
    assert_eq!(cloud.body["specversion"], "1.0");
    assert_eq!(cloud.body["type"], "io.tidegate.rollback");
    // It is rolled back when it is, and not when that begins.
    let cd = |signal| letter(Family::Webhook, "cd", Occasion::Rollback, signal);
    taken(send(&post, &cd(Signal::Trigger), None).await);
    taken(send(&post, &cd(Signal::Note), None).await);
    let heard = town.heard("/hook");
    let kinds: Vec<&str> =
        heard[3..].iter().map(|it| it.body["data"]["context"]["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "dev.cdeventsx.tidegate-deployment.rollingback.0.1.0",
            "dev.cdevents.service.rolledback.0.2.0",
        ]
    );
    let subject = &heard[4].body["data"]["subject"];
    assert_eq!(subject["content"]["environment"]["id"], "production");
    assert_eq!(subject["content"]["artifactId"], "pkg:generic/shop@v2");
}

#[tokio::test]
async fn a_receiver_says_how_long_it_wants_to_be_left_alone() {
    let town = Town::new();
    let (root, post) = post(&town, "smtp://127.0.0.1:1");
    let slack = letter(Family::Slack, "#releases", Occasion::Start, Signal::Note);
    town.moods(&[Mood::Busy(37), Mood::Closed]);
    match send(&post, &slack, None).await {
        Delivery::Refused { retryable: true, after: Some(after), why } => {
            assert_eq!(after, SignedDuration::from_secs(37));
            assert!(why.starts_with("TG7161") && why.contains("429"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let closed = send(&post, &slack, None).await;
    assert!(matches!(closed, Delivery::Refused { retryable: false, .. }), "{closed:?}");
    // A thread is one thread, and a wrong token is not tried again.
    let first = taken(send(&post, &slack, None).await).unwrap();
    taken(send(&post, &slack, Some(&first)).await);
    assert_eq!(town.heard("/slack").pop().unwrap().body["thread_ts"], json!(first));
    secret(root.path(), "slack", "xoxb-wrong");
    let refused = send(&post, &slack, None).await;
    let Delivery::Refused { why, retryable: false, .. } = refused else { panic!("{refused:?}") };
    assert!(why.contains("invalid_auth"), "{why}");
    // Neither a missing secret nor an unknown room is anybody's success, and no secret is shown.
    fs::set_permissions(root.path().join("secrets/slack"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let open = send(&post, &slack, None).await;
    let Delivery::Refused { why, retryable: false, .. } = open else { panic!("{open:?}") };
    assert!(why.starts_with("TG7163") && !why.contains("xoxb"), "{why}");
    let nowhere = letter(Family::Teams, "nowhere", Occasion::Start, Signal::Note);
    let nowhere = send(&post, &nowhere, None).await;
    let Delivery::Refused { why, .. } = nowhere else { panic!("{nowhere:?}") };
    assert!(why.starts_with("TG7160"), "{why}");
}

/// The create was done and its answer lost: customers read of it once.
#[tokio::test]
async fn the_public_page_is_told_once_whatever_is_lost() {
    let town = Town::new();
    let (_root, post) = post(&town, "smtp://127.0.0.1:1");
    let create = letter(Family::StatusPage, "draft", Occasion::Incident, Signal::Trigger);
    town.moods(&[Mood::Mute]);
    let lost = send(&post, &create, None).await;
    assert!(matches!(lost, Delivery::Refused { retryable: true, .. }));
    let id = taken(send(&post, &Letter { attempt: 2, ..create.clone() }, None).await);
    assert_eq!(id.as_deref(), Some("s1"));
    assert_eq!(town.public().len(), 1);
    // What belongs to nothing is refused, and not put up as something new.
    let resolve = letter(Family::StatusPage, "draft", Occasion::Resolved, Signal::Resolve);
    let alone = send(&post, &resolve, None).await;
    assert!(matches!(alone, Delivery::Refused { retryable: false, .. }), "{alone:?}");
    assert_eq!(town.public().len(), 1);
    // Nothing on it leads into this server.
    assert!(!town.heard("/v1/pages")[0].raw.contains("tidegate.example"));
    town.has_no_complaint();
}

/// As much of a mail server as takes one mail a connection.
async fn mail_server() -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (told, mails) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            let mut mail = String::new();
            let mut in_data = false;
            write.write_all(b"220 town ESMTP\r\n").await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let answer: &[u8] = match line.as_str() {
                    "." if in_data => {
                        in_data = false;
                        drop(told.send(std::mem::take(&mut mail)));
                        b"250 kept\r\n"
                    }
                    text if in_data => {
                        mail.push_str(text);
                        mail.push('\n');
                        continue;
                    }
                    text if text.starts_with("EHLO") => b"250 town\r\n",
                    text if text.contains("refused@") => b"550 nobody of that name\r\n",
                    text if text.contains("later@") => b"451 try again later\r\n",
                    "DATA" => {
                        in_data = true;
                        b"354 go on\r\n"
                    }
                    "QUIT" => b"221 bye\r\n",
                    text => {
                        mail.push_str(text);
                        mail.push('\n');
                        b"250 ok\r\n"
                    }
                };
                if write.write_all(answer).await.is_err() {
                    break;
                }
            }
        }
    });
    (url, mails)
}

#[tokio::test]
async fn mail_about_one_deployment_is_one_thread() {
    let town = Town::new();
    let (server, mut mails) = mail_server().await;
    let (_root, post) = post(&town, &server);
    let mail = letter(Family::Email, "team", Occasion::Rollback, Signal::Trigger);
    taken(send(&post, &mail, None).await);
    taken(send(&post, &Letter { attempt: 2, ..mail.clone() }, None).await);
    taken(send(&post, &Letter { number: 44, ..mail }, None).await);
    let (one, again, other) =
        (mails.recv().await.unwrap(), mails.recv().await.unwrap(), mails.recv().await.unwrap());
    let line = |mail: &str, name: &str| {
        let found = mail.lines().find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("no {name} in {mail}")).to_owned()
    };
    assert!(one.contains("RCPT TO:<kofi@shop.example>"), "{one}");
    assert!(line(&one, "Subject:").contains("rolling back"), "{one}");
    assert_eq!(line(&one, "Message-ID:"), "Message-ID: <shop-production-41@shop.example>");
    assert_eq!(line(&one, "Message-ID:"), line(&again, "Message-ID:"));
    assert_ne!(line(&one, "Message-ID:"), line(&other, "Message-ID:"));
    assert_eq!(line(&one, "References:"), "References: <shop-production-d-7@shop.example>");
    assert_eq!(line(&one, "References:"), line(&other, "References:"));
    for (address, again) in [("refused@x.example", false), ("later@x.example", true)] {
        let mail = letter(Family::Email, address, Occasion::Start, Signal::Note);
        let sent = send(&post, &mail, None).await;
        let Delivery::Refused { why, retryable, .. } = sent else { panic!("{sent:?}") };
        assert_eq!(retryable, again, "{why}");
    }
    let nobody = letter(Family::Email, "nobody", Occasion::Start, Signal::Note);
    let nobody = send(&post, &nobody, None).await;
    assert!(matches!(nobody, Delivery::Refused { retryable: false, .. }), "{nobody:?}");
}

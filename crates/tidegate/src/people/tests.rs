//! The directory by itself: what counts once, what is gone at once, what is kept.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::ids::Actor;
use tidegate_core::rights::{Act, Role};
use tidegate_engine::ports::People as _;
use totp_rs::{Algorithm, Builder};

use super::{ATTEMPTS_MAX, Bearer, Directory, Refused, SESSION, Wanted, Way};

const PASSWORD: &str = "correct horse battery";

fn now() -> Timestamp {
    "2026-01-05T09:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn code(secret: &str, at: Timestamp) -> String {
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        .with_secret(data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap())
        .build()
        .unwrap();
    totp.generate(u64::try_from(at.as_second()).unwrap()).to_string()
}

fn directory(folder: &tempfile::TempDir) -> Directory {
    Directory::open(folder.path().join("people.json"), "ana".to_owned()).unwrap()
}

/// An account that is set up, with the secret of its second factor.
fn account(directory: &Directory, name: &str, role: Role) -> String {
    let wanted = Wanted { roles: Some(BTreeSet::from([role])), ..Wanted::default() };
    let invitation = directory.invite(name, wanted, now()).unwrap();
    let secret = directory.set_up(name, &invitation, PASSWORD, now()).unwrap();
    assert_eq!(directory.set_up(name, &invitation, PASSWORD, now()), Err(Refused::Wrong));
    secret
}

#[test]
fn both_factors_are_needed_and_a_code_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(&folder);
    let secret = account(&directory, "mira", Role::Developer);
    let first = code(&secret, now());
    assert_eq!(
        directory.sign_in("mira", "wrong password", &first, Way::Terminal, now()),
        Err(Refused::Wrong)
    );
    assert_eq!(
        directory.sign_in("mira", PASSWORD, "000000", Way::Terminal, now()),
        Err(Refused::Wrong)
    );
    let (token, _) = directory.sign_in("mira", PASSWORD, &first, Way::Terminal, now()).unwrap();
    assert_eq!(
        directory.sign_in("mira", PASSWORD, &first, Way::Terminal, now()),
        Err(Refused::Wrong)
    );
    let Some(Bearer::Person(signed_in)) = directory.bearer(&token, later(60)) else { panic!() };
    assert_eq!(signed_in.account, "mira");
    directory.confirm(&signed_in, &code(&secret, later(60)), later(60)).unwrap();
    let again = directory.confirm(&signed_in, &code(&secret, later(60)), later(61));
    assert_eq!(again, Err(Refused::Wrong));
    assert!(directory.bearer("another", now()).is_none());
    let end = now().checked_add(SESSION).unwrap();
    assert!(directory.bearer(&token, end).is_none());
    directory.sign_out(&signed_in.session).unwrap();
    assert!(directory.bearer(&token, later(62)).is_none());
}

#[test]
fn wrong_attempts_make_an_account_wait_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(&folder);
    let secret = account(&directory, "mira", Role::Qa);
    for _ in 0..ATTEMPTS_MAX {
        assert_eq!(
            directory.sign_in("mira", PASSWORD, "000000", Way::Terminal, now()),
            Err(Refused::Wrong)
        );
    }
    let right = directory.sign_in("mira", PASSWORD, &code(&secret, now()), Way::Terminal, now());
    assert!(matches!(right, Err(Refused::Wait { .. })), "{right:?}");
    assert_eq!(
        directory.sign_in("nobody", PASSWORD, "000000", Way::Terminal, now()),
        Err(Refused::Wrong)
    );
    let after = later(301);
    directory.sign_in("mira", PASSWORD, &code(&secret, after), Way::Terminal, after).unwrap();
}

#[test]
fn rights_follow_the_book_at_once_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let before = directory(&folder);
    account(&before, "mira", Role::ReleaseManager);
    let mira = Actor::Person("mira".to_owned());
    assert!(before.grant(&mira).allows(Act::Deploy, Some("shop")));
    let day = later(86_400);
    let services = BTreeSet::from(["shop".to_owned()]);
    let acts = BTreeSet::from([Act::Deploy]);
    let token = before.make_token("ci", acts, services, day, "ana").unwrap();
    let refused =
        before.make_token("bad", BTreeSet::from([Act::Approve]), BTreeSet::new(), day, "ana");
    assert!(matches!(refused, Err(Refused::Cannot(_))));
    let after = directory(&folder);
    let ci = Actor::Robot("ci".to_owned());
    assert!(matches!(after.bearer(&token, now()), Some(Bearer::Machine(name)) if name == "ci"));
    assert!(after.bearer(&token, day).is_none(), "it is over");
    assert!(after.grant(&ci).allows(Act::Deploy, Some("shop")));
    assert!(!after.grant(&ci).allows(Act::Deploy, Some("till")));
    assert!(!after.grant(&ci).allows(Act::Approve, Some("shop")));
    assert!(!after.facts_of("ci").unwrap().human);
    after.set("mira", Wanted { active: Some(false), ..Wanted::default() }).unwrap();
    assert!(!after.grant(&mira).allows(Act::Read, None));
    assert!(!after.facts_of("mira").unwrap().entitled);
    assert_eq!(after.facts_of("nobody"), None);
    assert!(
        after.invite("ana", Wanted::default(), now()).is_err(),
        "the owner is nobody's account"
    );
    let kept = std::fs::read_to_string(folder.path().join("people.json")).unwrap();
    assert!(!kept.contains(PASSWORD) && !kept.contains(&token));
}

#[test]
fn a_link_works_once_and_not_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(&folder);
    let code = directory.first_link(now()).unwrap().unwrap();
    let newer = directory.first_link(now()).unwrap().unwrap();
    assert_eq!(directory.set_up_first(&code, "mira", PASSWORD, now()), Err(Refused::Wrong));
    assert_eq!(directory.set_up_first(&newer, "mira", PASSWORD, later(3_600)), Err(Refused::Wrong));
    assert!(matches!(
        directory.set_up_first(&newer, "ana", PASSWORD, now()),
        Err(Refused::Cannot(_))
    ));
    assert!(matches!(
        directory.set_up_first(&newer, "mira", "short", now()),
        Err(Refused::Cannot(_))
    ));
    directory.set_up_first(&newer, "mira", PASSWORD, later(3_599)).unwrap();
    assert_eq!(directory.set_up_first(&newer, "kofi", PASSWORD, now()), Err(Refused::Wrong));
    assert_eq!(directory.first_link(now()), Ok(None), "there is an administrator");
    let grant = directory.grant(&Actor::Person("mira".to_owned()));
    assert!(grant.allows(Act::People, None) && !grant.allows(Act::Approve, None));

    let (link, until) = directory.sign_in_link(now());
    assert_eq!(directory.use_link(&link, until), Err(Refused::Wrong));
    let (link, _) = directory.sign_in_link(now());
    let (token, _) = directory.use_link(&link, now()).unwrap();
    assert_eq!(directory.use_link(&link, now()), Err(Refused::Wrong));
    let Some(Bearer::Person(owner)) = directory.bearer(&token, later(899)) else { panic!() };
    assert_eq!((owner.account.as_str(), owner.way), ("ana", Way::Link));
    assert!(
        directory.bearer(&token, later(899 + 900)).is_none(),
        "unused for a quarter of an hour"
    );
}

//! Bundles of Sigstore against roots of our own: an authority, a log and a builder that live for
//! one test. Must never need the real ones.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType,
};
use serde_json::{Value, json};
use tidegate_core::effect::Question;
use tidegate_core::fact::Format;
use tidegate_core::gate::{
    Demand, Evidence as Bound, Gate, GateResult, Kept, Report, Versions, weigh_all,
};
use tidegate_core::ids::Actor;
use tidegate_core::verdict::Outcome;
use tidegate_drivers::evidence::{Config, LocalEvidence};
use tidegate_drivers::scm::{self, GitReleases};
use tidegate_engine::ports::Evidence as _;

/// When the builder signed, seconds since the epoch.
const SIGNED_AT: i64 = 1_764_072_000;
const BUILDER: &str = "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v2";
const SOURCE: &str = "https://github.com/acme/shop";

fn commit() -> String {
    "c".repeat(40)
}

/// Signs with a key of ours.
fn sign(key: &KeyPair, message: &[u8]) -> String {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der());
    let signature = key.unwrap().sign(&SystemRandom::new(), message).unwrap();
    BASE64.encode(signature.as_ref())
}

/// An authority, a log, and somebody whom the authority vouches for.
struct World {
    authority: Issuer<'static, KeyPair>,
    root: Vec<u8>,
    log: KeyPair,
    leaf: KeyPair,
}

/// What is in a bundle, and what of it is wrong.
struct Wish {
    names: Vec<&'static str>,
    usage: ExtendedKeyUsagePurpose,
    /// Seconds from the signing time at which the certificate begins and ends.
    valid: (i64, i64),
    statement: Value,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            names: vec![BUILDER],
            usage: ExtendedKeyUsagePurpose::CodeSigning,
            valid: (-60, 540),
            statement: json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": "shop.tar", "digest": {"sha256": "d".repeat(64)}}],
                "predicateType": "https://slsa.dev/provenance/v1",
                "predicate": {
                    "buildDefinition": {"resolvedDependencies": [{
                        "uri": format!("git+{SOURCE}@refs/tags/v2"),
                        "digest": {"gitCommit": commit()},
                    }]},
                    "runDetails": {"builder": {"id": "https://github.com/actions/runner"}},
                },
            }),
        }
    }
}

impl World {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            authority: Issuer::new(params, key),
            root,
            log: KeyPair::generate().unwrap(),
            leaf: KeyPair::generate().unwrap(),
        }
    }

    fn log_id(&self) -> Vec<u8> {
        let key = self.log.subject_public_key_info();
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key).as_ref().to_vec()
    }

    fn roots(&self) -> Value {
        let always = json!({"start": "2020-01-01T00:00:00Z"});
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [{
                "uri": "https://ca.test",
                "certChain": {"certificates": [{"rawBytes": BASE64.encode(&self.root)}]},
                "validFor": always,
            }],
            "tlogs": [{
                "baseUrl": "https://log.test", "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": BASE64.encode(&self.log.subject_public_key_info()), "validFor": always},
                "logId": {"keyId": BASE64.encode(&self.log_id())},
            }],
            "ctlogs": [], "timestampAuthorities": [],
        })
    }

    /// A bundle as its tools write it.
    fn bundle(&self, wish: &Wish) -> Value {
        let mut params = CertificateParams::default();
        params.subject_alt_names = wish
            .names
            .iter()
            .map(|name| SanType::URI(Ia5String::try_from(*name).unwrap()))
            .collect();
        params.extended_key_usages = vec![wish.usage.clone()];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let at = |after: i64| {
            std::time::UNIX_EPOCH + std::time::Duration::from_secs((SIGNED_AT + after) as u64)
        };
        params.not_before = at(wish.valid.0).into();
        params.not_after = at(wish.valid.1).into();
        let certificate = params.signed_by(&self.leaf, &self.authority).unwrap();
        let payload = serde_json::to_vec(&wish.statement).unwrap();
        let kind = "application/vnd.in-toto+json";
        let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        message.extend(&payload);
        let signature = sign(&self.leaf, &message);
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &payload);
        let body = json!({
            "apiVersion": "0.0.1", "kind": "dsse", "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "0".repeat(64)},
                "payloadHash": {"algorithm": "sha256", "value": HEXLOWER.encode(hash.as_ref())},
                "signatures": [{"signature": signature, "verifier": BASE64.encode(certificate.pem().as_bytes())}],
            },
        });
        let body = BASE64.encode(body.to_string().as_bytes());
        let promised = format!(
            "{{\"body\":\"{body}\",\"integratedTime\":{SIGNED_AT},\"logID\":\"{}\",\"logIndex\":7}}",
            HEXLOWER.encode(&self.log_id())
        );
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": BASE64.encode(certificate.der())},
                "tlogEntries": [{
                    "logIndex": "7", "logId": {"keyId": BASE64.encode(&self.log_id())},
                    "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                    "integratedTime": SIGNED_AT.to_string(),
                    "inclusionPromise": {"signedEntryTimestamp": sign(&self.log, promised.as_bytes())},
                    "canonicalizedBody": body,
                }],
            },
            "dsseEnvelope": {
                "payload": BASE64.encode(&payload), "payloadType": kind,
                "signatures": [{"sig": signature}],
            },
        })
    }
}

/// How a gate on provenance stands with these roots and this bundle.
async fn weigh(roots: Option<&Value>, bundle: &[u8], commit: &str) -> GateResult {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = directory.path().to_owned();
    if let Some(roots) = roots {
        std::fs::write(state_dir.join("sigstore_root.json"), roots.to_string()).unwrap();
    }
    let releases = GitReleases::new(scm::Config { state_dir: state_dir.clone() });
    let evidence = LocalEvidence::new(Config { state_dir, github_api: None }, Arc::new(releases));
    let mut bytes = bundle;
    let kept = evidence.keep("bundle.json", Some(Format::Provenance), &mut bytes).await.unwrap();
    let mut plan = crate::releases::plan("/nowhere", commit, None);
    plan.gates = vec![Gate {
        name: "g".to_owned(),
        demand: Demand::Provenance {
            report: Report { format: Format::Provenance, files: vec!["*.json".to_owned()] },
            builder: Some("https://github.com/actions/runner".to_owned()),
            source: Some(SOURCE.to_owned()),
            signer: Some(BUILDER.to_owned()),
        },
        when: None,
        unless: None,
        decided: None,
    }];
    let version = plan.release.version.clone();
    let question = Question {
        versions: Versions {
            commit: commit.to_owned(),
            version: version.clone(),
            ..Versions::default()
        },
        plan: Arc::new(plan),
        evidence: vec![Kept {
            evidence: Bound {
                digest: kept.digest,
                format: Format::Provenance,
                name: "bundle.json".to_owned(),
                version,
                commit: commit.to_owned(),
                bytes: kept.bytes,
                summary: kept.summary,
            },
            at: Timestamp::UNIX_EPOCH,
            by: Actor::Person("ada".to_owned()),
        }],
    };
    let found = evidence.gather(&question).await;
    weigh_all(&question, &found, &[], Timestamp::UNIX_EPOCH).remove(0)
}

fn refused(result: &GateResult, why: &str) {
    assert_eq!(result.outcome, Outcome::NoData, "{result:?}");
    assert!(result.sentence.contains(why), "{why}: {result:?}");
}

#[tokio::test]
async fn a_bundle_of_a_pinned_authority_and_log_is_provenance() {
    let world = World::new();
    let bundle = world.bundle(&Wish::default()).to_string();
    let good = weigh(Some(&world.roots()), bundle.as_bytes(), &commit()).await;
    assert_eq!(good.outcome, Outcome::Pass, "{good:?}");
    assert!(good.sentence.contains(BUILDER), "{good:?}");
    // It is about one commit, and no other.
    let other = weigh(Some(&world.roots()), bundle.as_bytes(), &"e".repeat(40)).await;
    assert_eq!(other.outcome, Outcome::Fail, "{other:?}");
    let foreign = Wish { names: vec!["https://github.com/mallory/x"], ..Wish::default() };
    let foreign = world.bundle(&foreign).to_string();
    let foreign = weigh(Some(&world.roots()), foreign.as_bytes(), &commit()).await;
    assert_eq!(foreign.outcome, Outcome::Fail, "{foreign:?}");
    // Without roots nothing is known.
    let unknown = weigh(None, bundle.as_bytes(), &commit()).await;
    refused(&unknown, "no root of trust");
    assert!(unknown.help.unwrap().contains("sigstore_root.json"));
}

#[tokio::test]
async fn whoever_is_not_pinned_counts_for_nothing() {
    let (world, other) = (World::new(), World::new());
    let bundle = world.bundle(&Wish::default());
    let mut roots = world.roots();
    roots["certificateAuthorities"] = other.roots()["certificateAuthorities"].clone();
    let text = bundle.to_string();
    refused(&weigh(Some(&roots), text.as_bytes(), &commit()).await, "no pinned authority");
    let mut roots = world.roots();
    roots["tlogs"] = other.roots()["tlogs"].clone();
    refused(&weigh(Some(&roots), text.as_bytes(), &commit()).await, "log is not pinned");
    let mut roots = world.roots();
    roots["certificateAuthorities"][0]["validFor"] =
        json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"});
    refused(&weigh(Some(&roots), text.as_bytes(), &commit()).await, "no pinned authority counts");
    // A log of another key under the name of ours.
    let mut roots = world.roots();
    roots["tlogs"][0]["publicKey"] = other.roots()["tlogs"][0]["publicKey"].clone();
    refused(&weigh(Some(&roots), text.as_bytes(), &commit()).await, "not of the pinned log");
}

#[tokio::test]
async fn what_was_changed_afterwards_is_found() {
    let world = World::new();
    let (roots, good) = (world.roots(), world.bundle(&Wish::default()));
    let entry = "/verificationMaterial/tlogEntries/0";
    let other = World { leaf: KeyPair::generate().unwrap(), ..World::new() };
    let foreign = other.bundle(&Wish::default());
    let statement = BASE64.encode(b"{\"subject\":[]}");
    let changes = [
        ("/dsseEnvelope/payload".to_owned(), json!(statement), "does not fit"),
        ("/dsseEnvelope/signatures/0/sig".to_owned(), json!(BASE64.encode(b"x")), "does not fit"),
        ("/dsseEnvelope/payloadType".to_owned(), json!("text/plain"), "no in-toto statement"),
        ("/dsseEnvelope/signatures".to_owned(), json!([]), "exactly one signature"),
        (
            format!("{entry}/integratedTime"),
            json!((SIGNED_AT + 1).to_string()),
            "not of the pinned log",
        ),
        (format!("{entry}/logIndex"), json!("8"), "not of the pinned log"),
        (
            format!("{entry}/canonicalizedBody"),
            foreign.pointer(&format!("{entry}/canonicalizedBody")).unwrap().clone(),
            "not of the pinned log",
        ),
        (format!("{entry}/inclusionPromise"), Value::Null, "promises nothing"),
        ("/verificationMaterial/tlogEntries".to_owned(), json!([]), "0 entries"),
        ("/verificationMaterial/certificate".to_owned(), Value::Null, "no certificate"),
        (
            "/verificationMaterial/certificate".to_owned(),
            foreign.pointer("/verificationMaterial/certificate").unwrap().clone(),
            "no pinned authority",
        ),
    ];
    for (path, value, why) in changes {
        let mut bundle = good.clone();
        *bundle.pointer_mut(&path).unwrap() = value;
        refused(&weigh(Some(&roots), bundle.to_string().as_bytes(), &commit()).await, why);
    }
    // The entry of another envelope, with the promise that belongs to it.
    let second = Wish { statement: json!({"subject": []}), ..Wish::default() };
    let second = world.bundle(&second);
    let mut bundle = good.clone();
    *bundle.pointer_mut(entry).unwrap() = second.pointer(entry).unwrap().clone();
    refused(
        &weigh(Some(&roots), bundle.to_string().as_bytes(), &commit()).await,
        "another payload",
    );
    for cut in [1, 100, good.to_string().len() - 1] {
        let text = good.to_string();
        let cut = text.get(..cut).unwrap().as_bytes();
        assert_eq!(weigh(Some(&roots), cut, &commit()).await.outcome, Outcome::NoData);
    }
}

#[tokio::test]
async fn a_certificate_counts_when_it_signs_code_at_the_time_for_one_name() {
    let world = World::new();
    let of = |wish: Wish| world.bundle(&wish).to_string();
    let late = of(Wish { valid: (-600, -60), ..Wish::default() });
    refused(&weigh(Some(&world.roots()), late.as_bytes(), &commit()).await, "no pinned authority");
    let server = of(Wish { usage: ExtendedKeyUsagePurpose::ServerAuth, ..Wish::default() });
    refused(
        &weigh(Some(&world.roots()), server.as_bytes(), &commit()).await,
        "no pinned authority",
    );
    let two = of(Wish { names: vec![BUILDER, "https://example.org"], ..Wish::default() });
    refused(&weigh(Some(&world.roots()), two.as_bytes(), &commit()).await, "2 identities");
    let other = of(Wish {
        statement: json!({"predicateType": "https://spdx.dev/Document", "subject": []}),
        ..Wish::default()
    });
    refused(&weigh(Some(&world.roots()), other.as_bytes(), &commit()).await, "no SLSA provenance");
}

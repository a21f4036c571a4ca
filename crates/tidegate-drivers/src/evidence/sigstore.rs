//! Sigstore bundles with SLSA provenance, verified without a network against roots that are pinned
//! on this server. What is verified, in this order: the log's promise over its entry and the time
//! in it, the certificate at that time, the signature of the envelope, and that the entry is about
//! this envelope and this certificate.
//!
//! Must never read a statement before its signature is known to count, nor take a time from
//! anybody but a pinned log. Inclusion proofs are not looked at: the promise is the log's own
//! signature over the same entry.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use serde::Deserialize;
use tidegate_core::fact::Provenance;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer as _, GeneralName, SubjectPublicKeyInfo, X509Certificate};

/// Largest bundle, bytes: GitHub's attestations have some 20 KB.
pub(super) const BUNDLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most subjects of a statement that are kept.
const SUBJECTS_MAX: usize = 1_000;
/// Code signing, as the extended key usage writes it: 1.3.6.1.5.5.7.3.3.
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
/// The one type of a signed payload that is a statement.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The roots: the fields of Sigstore's `trusted_root.json` that are needed without a network.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Roots {
    certificate_authorities: Vec<Authority>,
    tlogs: Vec<Log>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authority {
    cert_chain: Chain,
    valid_for: Span,
}

#[derive(Debug, Deserialize)]
struct Chain {
    /// The root is the last.
    certificates: Vec<Raw>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

#[derive(Debug, Deserialize)]
struct Span {
    start: Timestamp,
    end: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    public_key: LogKey,
    log_id: LogId,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogKey {
    raw_bytes: String,
    valid_for: Span,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<Raw>,
    x509_certificate_chain: Option<Chain>,
    #[serde(default)]
    tlog_entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    log_index: String,
    log_id: LogId,
    integrated_time: String,
    inclusion_promise: Option<Promise>,
    canonicalized_body: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Deserialize)]
struct Signature {
    sig: String,
}

/// The entry of the log: kind `dsse`, version 0.0.1.
#[derive(Debug, Deserialize)]
struct Body {
    kind: String,
    spec: BodySpec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BodySpec {
    payload_hash: Hash,
    signatures: Vec<BodySignature>,
}

#[derive(Debug, Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Debug, Deserialize)]
struct BodySignature {
    signature: String,
    verifier: String,
}

/// Verifies a bundle, and reads the provenance in it.
///
/// # Errors
/// What keeps it from being trusted, in one line.
pub(super) fn verify(bundle: &[u8], roots: &[u8]) -> Result<Provenance, String> {
    let roots: Roots = serde_json::from_slice(roots)
        .map_err(|error| format!("the pinned roots cannot be read: {error}"))?;
    let bundle: Bundle =
        serde_json::from_slice(bundle).map_err(|error| format!("it is no bundle: {error}"))?;
    let material = bundle.verification_material;
    let first =
        material.x509_certificate_chain.and_then(|chain| chain.certificates.into_iter().next());
    let leaf = material.certificate.or(first).ok_or("it has no certificate: keys are not read")?;
    let leaf = CertificateDer::from(decoded(&leaf.raw_bytes, "the certificate")?);
    let [entry] = material.tlog_entries.as_slice() else {
        return Err(format!("it has {} entries of a log, not one", material.tlog_entries.len()));
    };
    let [signature] = bundle.dsse_envelope.signatures.as_slice() else {
        return Err("its envelope has not exactly one signature".to_owned());
    };
    if bundle.dsse_envelope.payload_type != PAYLOAD_TYPE {
        return Err(format!(
            "its payload is no in-toto statement: {}",
            bundle.dsse_envelope.payload_type
        ));
    }
    let time = promised(entry, &roots)?;
    let certificate = EndEntityCert::try_from(&leaf)
        .map_err(|error| format!("its certificate cannot be read: {error}"))?;
    trusted(&certificate, &roots, time)?;
    let payload = decoded(&bundle.dsse_envelope.payload, "the payload")?;
    let signed = decoded(&signature.sig, "the signature")?;
    let message = pre_authentication(PAYLOAD_TYPE, &payload);
    let fits = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        certificate.verify_signature(*algorithm, &message, &signed).is_ok()
    };
    if !ALL_VERIFICATION_ALGS.iter().any(fits) {
        return Err("the signature does not fit the payload and the certificate".to_owned());
    }
    about(entry, &payload, &signature.sig, &leaf)?;
    statement(&payload, signer(&leaf)?)
}

fn decoded(text: &str, what: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text.as_bytes()).map_err(|error| format!("{what} is no base64: {error}"))
}

/// What an envelope signs: DSSE's pre-authentication encoding, version 1.
fn pre_authentication(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

/// The time that a pinned log put its name to.
fn promised(entry: &Entry, roots: &Roots) -> Result<Timestamp, String> {
    let id = decoded(&entry.log_id.key_id, "the name of the log")?;
    let log = roots
        .tlogs
        .iter()
        .find(|log| BASE64.decode(log.log_id.key_id.as_bytes()).is_ok_and(|known| known == id))
        .ok_or("its log is not pinned")?;
    let promise =
        entry.inclusion_promise.as_ref().ok_or("its log promises nothing: no time counts")?;
    let signature = decoded(&promise.signed_entry_timestamp, "the promise")?;
    let number = |text: &str, what: &str| {
        text.parse::<i64>().map_err(|_odd| format!("{what} of the entry is no number"))
    };
    let seconds = number(&entry.integrated_time, "the time")?;
    let index = number(&entry.log_index, "the index")?;
    // Keys in order and no blanks, as RFC 8785 has it; every value is plain.
    let message = format!(
        "{{\"body\":\"{}\",\"integratedTime\":{seconds},\"logID\":\"{}\",\"logIndex\":{index}}}",
        entry.canonicalized_body,
        HEXLOWER.encode(&id)
    );
    let key = decoded(&log.public_key.raw_bytes, "the key of the log")?;
    let (_, key) = SubjectPublicKeyInfo::from_der(&key)
        .map_err(|error| format!("the key of the pinned log cannot be read: {error}"))?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.subject_public_key.data.as_ref())
        .verify(message.as_bytes(), &signature)
        .map_err(|_odd| "the promise is not of the pinned log")?;
    let time = Timestamp::from_second(seconds).map_err(|error| error.to_string())?;
    if !within(&log.public_key.valid_for, time) {
        return Err(format!("the key of the log does not count at {time}"));
    }
    Ok(time)
}

fn within(span: &Span, time: Timestamp) -> bool {
    span.start <= time && span.end.is_none_or(|end| time <= end)
}

/// Whether a pinned authority issued the certificate, for signing code, and it was valid then.
fn trusted(certificate: &EndEntityCert<'_>, roots: &Roots, time: Timestamp) -> Result<(), String> {
    let seconds = u64::try_from(time.as_second()).map_err(|_odd| "the time is before all time")?;
    let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let mut why = "no pinned authority counts at that time".to_owned();
    for authority in roots.certificate_authorities.iter().filter(|it| within(&it.valid_for, time)) {
        let chain = authority.cert_chain.certificates.iter();
        let chain: Vec<CertificateDer<'_>> = chain
            .map(|raw| decoded(&raw.raw_bytes, "a pinned root").map(CertificateDer::from))
            .collect::<Result<_, _>>()?;
        let Some((root, between)) = chain.split_last() else { continue };
        let anchor = anchor_from_trusted_cert(root)
            .map_err(|error| format!("a pinned root cannot be read: {error}"))?;
        let anchors = [anchor];
        let usage = KeyUsage::required(CODE_SIGNING);
        let path = certificate.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            between,
            then,
            usage,
            None,
            None,
        );
        match path {
            Ok(_path) => return Ok(()),
            Err(error) => {
                why = format!("no pinned authority stands behind the certificate: {error}")
            }
        }
    }
    Err(why)
}

/// Whether the entry of the log is about this envelope and this certificate.
fn about(
    entry: &Entry,
    payload: &[u8],
    signature: &str,
    leaf: &CertificateDer<'_>,
) -> Result<(), String> {
    let body = decoded(&entry.canonicalized_body, "the entry of the log")?;
    let body: Body = serde_json::from_slice(&body)
        .map_err(|error| format!("the entry of the log is no envelope: {error}"))?;
    let hash = HEXLOWER.encode(digest(&SHA256, payload).as_ref());
    let named = &body.spec.payload_hash;
    if body.kind != "dsse" || named.algorithm != "sha256" || named.value != hash {
        return Err("the entry of the log is about another payload".to_owned());
    }
    let of_leaf = |verifier: &str| {
        let pem = BASE64.decode(verifier.as_bytes()).ok()?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
        Some(pem.contents == leaf.as_ref())
    };
    let known = body
        .spec
        .signatures
        .iter()
        .any(|known| known.signature == signature && of_leaf(&known.verifier) == Some(true));
    if known { Ok(()) } else { Err("the entry of the log is about another signature".to_owned()) }
}

/// Who signed: the one identity in the certificate.
fn signer(leaf: &CertificateDer<'_>) -> Result<String, String> {
    let (_, certificate) = X509Certificate::from_der(leaf.as_ref())
        .map_err(|error| format!("its certificate cannot be read: {error}"))?;
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|error| format!("the names of its certificate: {error}"))?;
    let named: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            GeneralName::RFC822Name(address) => Some(*address),
            _ => None,
        })
        .collect();
    match named.as_slice() {
        [one] => Ok((*one).to_owned()),
        _ => Err(format!("its certificate names {} identities, not one", named.len())),
    }
}

/// The provenance of a statement whose signature counts.
fn statement(payload: &[u8], signer: String) -> Result<Provenance, String> {
    let value: serde_json::Value = serde_json::from_slice(payload)
        .map_err(|error| format!("its statement cannot be read: {error}"))?;
    let text = |path: &str| value.pointer(path).and_then(serde_json::Value::as_str);
    let (builder, material) = match text("/predicateType") {
        Some("https://slsa.dev/provenance/v1") => (
            "/predicate/runDetails/builder/id",
            "/predicate/buildDefinition/resolvedDependencies/0",
        ),
        Some("https://slsa.dev/provenance/v0.2") => {
            ("/predicate/builder/id", "/predicate/invocation/configSource")
        }
        other => {
            let other = other.unwrap_or("nothing").to_owned();
            return Err(format!("its statement is no SLSA provenance: {other}"));
        }
    };
    let builder = text(builder).ok_or("its statement names no builder")?.to_owned();
    let commit = text(&format!("{material}/digest/gitCommit"))
        .or_else(|| text(&format!("{material}/digest/sha1")));
    let source = text(&format!("{material}/uri")).map(|uri| {
        let plain = uri.strip_prefix("git+").unwrap_or(uri);
        plain.rsplit_once('@').map_or(plain, |(before, _)| before).to_owned()
    });
    let subjects = value.pointer("/subject").and_then(serde_json::Value::as_array);
    let subjects: Vec<String> = subjects
        .into_iter()
        .flatten()
        .filter_map(|subject| subject.pointer("/digest/sha256")?.as_str().map(str::to_owned))
        .take(SUBJECTS_MAX)
        .collect();
    if subjects.is_empty() {
        return Err("its statement is about nothing".to_owned());
    }
    Ok(Provenance { builder, source, commit: commit.map(str::to_owned), subjects, signer })
}

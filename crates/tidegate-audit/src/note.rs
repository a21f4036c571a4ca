//! Checkpoints as signed notes: origin, size and root, with Ed25519 signatures below.
//!
//! The forms are those of C2SP: <https://c2sp.org/signed-note> and
//! <https://c2sp.org/tlog-checkpoint>; other tools of transparency logs read them.
//! Must never give a checkpoint out of a note whose signature by a wanted key was not checked.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

/// Longest note that is read, bytes: one of ours has about 200.
pub const NOTE_BYTES_MAX: usize = 4096;
/// The kind of key that C2SP numbers 1.
const ED25519_KIND: u8 = 1;
/// Bytes of an Ed25519 key.
const KEY_BYTES: usize = 32;
/// Bytes of a key's number before a signature.
const NUMBER_BYTES: usize = 4;

/// What is wrong with a key or a note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The text is no key.
    #[error("it is not a key: `NAME+NUMBER+BASE64` is expected")]
    Key,
    /// The text is no signed note.
    #[error("it is not a signed checkpoint: {0}")]
    Form(&'static str),
    /// No signature is by the key.
    #[error("it is not signed by {0}")]
    NotSigned(String),
    /// The signature by the key is not over this text.
    #[error("the signature of {0} is not over this text")]
    WrongSignature(String),
    /// The signer's own key cannot be used.
    #[error("the signing key cannot be used")]
    Signer,
}

/// The tree over the first `size` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log that it is about.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root))
    }

    fn parse(text: &str) -> Result<Self, Refused> {
        let mut lines = text.lines();
        let mut line = |what| lines.next().filter(|l| !l.is_empty()).ok_or(Refused::Form(what));
        let origin = line("it has no origin")?.to_owned();
        let number = line("it has no size")?;
        let size: u64 = number.parse().map_err(|_error| Refused::Form("its size is no number"))?;
        // One way to write each number, as the form demands.
        if size.to_string() != number {
            return Err(Refused::Form("its size is not written as numbers are"));
        }
        let root = BASE64.decode(line("it has no root")?.as_bytes()).ok();
        let root = root.and_then(|bytes| Hash::try_from(bytes).ok());
        Ok(Self { origin, size, root: root.ok_or(Refused::Form("its root is no hash"))? })
    }
}

/// Signs checkpoints.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: Key,
}

impl fmt::Debug for Signer {
    /// Without the private half.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Signer {
    /// A new key, PKCS #8. Whoever has it can sign in the log's name.
    ///
    /// # Errors
    /// [`Refused::Signer`] when the system has no random numbers.
    pub fn generate() -> Result<Vec<u8>, Refused> {
        let pair = Ed25519KeyPair::generate().map_err(|_unspecified| Refused::Signer)?;
        let document = pair.to_pkcs8().map_err(|_unspecified| Refused::Signer)?;
        Ok(document.as_ref().to_vec())
    }

    /// The signer of a key; its name is `tidegate/` and the first 8 digits of the key's digest.
    ///
    /// # Errors
    /// [`Refused::Signer`] when the bytes are no key.
    pub fn new(pkcs8: &[u8]) -> Result<Self, Refused> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_rejected| Refused::Signer)?;
        let public = <[u8; KEY_BYTES]>::try_from(pair.public_key().as_ref());
        let public = public.map_err(|_length| Refused::Signer)?;
        let digest = HEXLOWER.encode(&Sha256::digest(public));
        let name = format!("tidegate/{}", digest.get(..8).unwrap_or_default());
        Ok(Self { pair, key: Key { name, public } })
    }

    /// The public half.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// A signed note about a tree of this log.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> String {
        let text = Checkpoint { origin: self.key.name.clone(), size, root }.text();
        let mut signature = self.key.number().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {} {}\n", self.key.name, BASE64.encode(&signature))
    }
}

/// The public half of a log's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    name: String,
    public: [u8; KEY_BYTES],
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind_and_key = [&[ED25519_KIND], self.public.as_slice()].concat();
        write!(f, "{}+{}+", self.name, HEXLOWER.encode(&self.number()))?;
        f.write_str(&BASE64.encode(&kind_and_key))
    }
}

impl Key {
    /// Reads `NAME+NUMBER+BASE64`.
    ///
    /// # Errors
    /// [`Refused::Key`] when the text is none, or its number is another key's.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut pieces = text.trim().splitn(3, '+');
        let mut piece = || pieces.next().filter(|piece| !piece.is_empty()).ok_or(Refused::Key);
        let (name, number, encoded) = (piece()?, piece()?, piece()?);
        let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_error| Refused::Key)?;
        let public = bytes.strip_prefix(&[ED25519_KIND]).and_then(|key| key.try_into().ok());
        let key = Self { name: name.to_owned(), public: public.ok_or(Refused::Key)? };
        let fits =
            HEXLOWER.encode(&key.number()) == number && !name.chars().any(char::is_whitespace);
        if fits { Ok(key) } else { Err(Refused::Key) }
    }

    /// The log's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn number(&self) -> [u8; NUMBER_BYTES] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519_KIND])
            .chain_update(self.public)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The checkpoint of a note that this key has signed; signatures of others are left alone.
    ///
    /// # Errors
    /// Why the note proves nothing.
    pub fn open(&self, note: &str) -> Result<Checkpoint, Refused> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(Refused::Form("it is longer than a checkpoint"));
        }
        let (text, signatures) =
            note.split_once("\n\n").ok_or(Refused::Form("it has no signatures"))?;
        let text = format!("{text}\n");
        let mut mine = signatures.lines().filter_map(|line| {
            let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
            let (number, signature) = bytes.split_at_checked(NUMBER_BYTES)?;
            (name == self.name && number == self.number()).then(|| signature.to_vec())
        });
        let signature = mine.next().ok_or_else(|| Refused::NotSigned(self.name.clone()))?;
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(text.as_bytes(), &signature)
            .map_err(|_unspecified| Refused::WrongSignature(self.name.clone()))?;
        let checkpoint = Checkpoint::parse(&text)?;
        if checkpoint.origin == self.name {
            Ok(checkpoint)
        } else {
            Err(Refused::Form("it is about another log"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and note of <https://c2sp.org/tlog-checkpoint>'s relative: the note package of Go's
    /// sum database has this pair in its documentation.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SAID: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n";
    const SIGNED: &str = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg\
        KvqfqdngotpRZb6KE6RyyBwJnAM=";

    #[test]
    fn reads_a_key_and_a_signature_of_the_reference() {
        let key = Key::parse(PETER).unwrap();
        assert_eq!(key.to_string(), PETER);
        let note = format!("{SAID}\n\u{2014} PeterNeumann {SIGNED}\n");
        // The signature holds; the text is a saying and no checkpoint.
        assert!(matches!(key.open(&note), Err(Refused::Form(_))));
        let other = note.replacen("answer", "Answer", 1);
        assert_eq!(key.open(&other), Err(Refused::WrongSignature("PeterNeumann".to_owned())));
    }

    #[test]
    fn comes_back_as_signed_and_not_when_a_byte_differs() {
        let signer = Signer::new(&Signer::generate().unwrap()).unwrap();
        let note = signer.sign(20_852_163, [7; 32]);
        let key = Key::parse(&signer.key().to_string()).unwrap();
        let read = key.open(&note).unwrap();
        assert_eq!((read.size, read.root, read.origin.as_str()), (20_852_163, [7; 32], key.name()));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(key.open(&changed).is_err(), "byte {at} of {changed}");
        }
        let other = Signer::new(&Signer::generate().unwrap()).unwrap();
        assert!(matches!(other.key().open(&note), Err(Refused::NotSigned(_))));
    }

    #[test]
    fn refuses_what_is_no_key() {
        for text in ["", "a+b", "a+00000000+AQ==", &PETER.replace("c74f", "c74e"), "a b+0+AQ=="] {
            assert_eq!(Key::parse(text), Err(Refused::Key), "{text}");
        }
    }
}

//! The tree of RFC 6962 over all events: a leaf an event, appended in O(log n) from its frontier.
//!
//! The frontier is the list of roots of complete subtrees, largest first; their sizes are the
//! bits of the tree's size. Must never hold the leaves themselves.

use sha2::{Digest as _, Sha256};

/// A SHA-256 value.
pub type Hash = [u8; HASH_BYTES];

/// Bytes of a [`Hash`].
pub const HASH_BYTES: usize = 32;

const LEAF: u8 = 0x00;
const NODE: u8 = 0x01;

/// The hash of a leaf with these bytes.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([LEAF]).chain_update(bytes).finalize().into()
}

pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right).finalize().into()
}

/// A tree that only grows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Reads back what [`Self::bytes`] gave; `None` when it cannot be the frontier of that size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (roots, rest) = bytes.as_chunks::<HASH_BYTES>();
        let fits = rest.is_empty() && u32::try_from(roots.len()).ok()? == size.count_ones();
        fits.then(|| Self { size, roots: roots.to_vec() })
    }

    /// The roots, one after the other.
    pub fn bytes(&self) -> Vec<u8> {
        self.roots.concat()
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        // Each trailing one bit of the size is a complete subtree that the new one joins.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = node_hash(&left, &root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The root over all leaves; of the empty tree, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        match roots.next() {
            None => Sha256::digest([]).into(),
            Some(last) => roots.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// Reads lower-case hex of one hash.
pub fn hash_from_hex(text: &str) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes?.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

    fn of(leaves: &[&[u8]]) -> Frontier {
        let mut tree = Frontier::default();
        leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
        tree
    }

    /// Leaves and roots of the reference tests of Certificate Transparency.
    #[test]
    fn gives_the_published_roots() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (count, root) in roots.iter().enumerate() {
            assert_eq!(hex(&of(&leaves[..count]).root()), *root, "over {count} leaves");
        }
    }

    #[test]
    fn agrees_with_another_implementation_at_every_size() {
        let mut theirs = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
        let mut ours = Frontier::default();
        for number in 0_u32..300 {
            let leaf = number.to_be_bytes();
            theirs.push(leaf.to_vec());
            ours.push(leaf_hash(&leaf));
            assert_eq!(ours.root().as_slice(), theirs.root().as_bytes().as_slice());
            assert_eq!(ours.size(), theirs.len());
            let kept = Frontier::from_bytes(ours.size(), &ours.bytes());
            assert_eq!(kept.as_ref(), Some(&ours));
        }
    }

    #[test]
    fn refuses_a_frontier_of_another_size() {
        let tree = of(&[b"a", b"b", b"c"]);
        assert_eq!(Frontier::from_bytes(4, &tree.bytes()), None);
        assert_eq!(Frontier::from_bytes(3, &tree.bytes()[1..]), None);
    }

    #[test]
    fn reads_its_own_hex_and_no_other() {
        let root = of(&[b"a"]).root();
        assert_eq!(hash_from_hex(&hex(&root)), Some(root));
        assert_eq!(hash_from_hex(&hex(&root).to_uppercase()), None);
        assert_eq!(hash_from_hex("ab"), None);
    }
}

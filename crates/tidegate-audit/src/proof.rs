//! Proofs that an entry is part of a tree (RFC 6962, 2.1.1): made while all leaves pass by once,
//! checked by another implementation than the one that made them.
//! Must never hold all leaves in memory.

use std::collections::{BTreeMap, BTreeSet};

use ct_merkle::{InclusionProof, RootHash, indices_for_inclusion_proof};
use sha2::Sha256;

use crate::Entry;
use crate::merkle::{HASH_BYTES, Hash, node_hash};

/// Most entries of one tree: the numbering of nodes ends at half of all numbers.
const SIZE_MAX: u64 = u64::MAX / 2;

/// A node by its height over the leaves, 0, and its place in that row.
type Node = (u32, u64);

/// Takes every leaf of a tree once and keeps the nodes that the wanted proofs are made of.
#[derive(Debug)]
pub struct Prover {
    size: u64,
    /// For each wanted position the nodes of its proof, lowest first.
    paths: BTreeMap<u64, Vec<Node>>,
    wanted: BTreeSet<Node>,
    kept: BTreeMap<Node, Hash>,
    /// The last node of each height that waits for its right neighbour.
    waiting: Vec<Option<Hash>>,
    next: u64,
}

impl Prover {
    /// For proofs of these positions in the tree of the first `size` entries; positions outside
    /// have no proof.
    #[must_use]
    pub fn new(size: u64, positions: &BTreeSet<u64>) -> Self {
        let size = size.min(SIZE_MAX);
        let inside = positions.iter().copied().take_while(|position| *position < size);
        let paths: BTreeMap<u64, Vec<Node>> = inside
            .map(|position| {
                let nodes = indices_for_inclusion_proof(size, position);
                (position, nodes.into_iter().map(node_of).collect())
            })
            .collect();
        let wanted = paths.values().flatten().copied().collect();
        Self { size, paths, wanted, kept: BTreeMap::new(), waiting: Vec::new(), next: 0 }
    }

    /// Takes the next leaf; leaves past the size are left alone.
    pub fn push(&mut self, leaf: Hash) {
        if self.next >= self.size {
            return;
        }
        let (mut hash, mut index, mut height) = (leaf, self.next, 0_u32);
        self.keep((height, index), hash);
        while index % 2 == 1 {
            let Some(left) = self.waiting_at(height).take() else { break };
            hash = node_hash(&left, &hash);
            (index, height) = (index / 2, height + 1);
            self.keep((height, index), hash);
        }
        *self.waiting_at(height) = Some(hash);
        self.next += 1;
    }

    /// The root, and the proof of each position; `None` when leaves are missing.
    #[must_use]
    pub fn finish(mut self) -> Option<(Hash, BTreeMap<u64, Vec<Hash>>)> {
        if self.next != self.size || self.size == 0 {
            return None;
        }
        // The last node of each row may cover fewer leaves: it is what its children are, or
        // its only child.
        let mut last: Option<Hash> = None;
        for height in 0..u32::try_from(self.waiting.len()).ok()? {
            let complete = self.size >> height;
            if let Some(hash) = last {
                self.keep((height, complete), hash);
            }
            if let Some(left) = *self.waiting_at(height) {
                last = Some(last.map_or(left, |right| node_hash(&left, &right)));
            }
        }
        let proofs = self.paths.iter().map(|(position, nodes)| {
            let hashes: Option<Vec<Hash>> =
                nodes.iter().map(|node| self.kept.get(node).copied()).collect();
            Some((*position, hashes?))
        });
        let proofs: Option<BTreeMap<_, _>> = proofs.collect();
        Some((last?, proofs?))
    }

    fn waiting_at(&mut self, height: u32) -> &mut Option<Hash> {
        let height = height as usize;
        if self.waiting.len() <= height {
            self.waiting.resize(height + 1, None);
        }
        &mut self.waiting[height]
    }

    fn keep(&mut self, node: Node, hash: Hash) {
        if self.wanted.contains(&node) {
            self.kept.insert(node, hash);
        }
    }
}

/// The library numbers nodes in order, leaves even: trailing ones are the height.
fn node_of(index: u64) -> Node {
    let height = index.trailing_ones();
    (height, index >> (height + 1))
}

/// Whether an entry stands at a position of the tree with this size and root.
///
/// # Errors
/// What does not fit, in words.
pub fn check(
    entry: &Entry,
    position: u64,
    proof: &[Hash],
    size: u64,
    root: &Hash,
) -> Result<(), String> {
    let mut bytes = Vec::with_capacity(proof.len() * HASH_BYTES);
    proof.iter().for_each(|hash| bytes.extend_from_slice(hash));
    let proof = InclusionProof::<Sha256>::try_from_bytes(bytes).map_err(|e| e.to_string())?;
    let root = RootHash::<Sha256>::new((*root).into(), size);
    root.verify_inclusion(&entry.bytes(), position, &proof).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Frontier;

    fn entry(seq: u64) -> Entry {
        Entry {
            stream: "shop/production".to_owned(),
            seq,
            epoch: 1,
            at_us: 7,
            kind: "note".to_owned(),
            schema: 1,
            actor: "person:ada".to_owned(),
            payload: format!("{{\"seq\":{seq}}}"),
        }
    }

    #[test]
    fn every_entry_of_every_size_is_proven_and_no_other() {
        for size in 1..70_u64 {
            let every: BTreeSet<u64> = (0..size).collect();
            let mut prover = Prover::new(size, &every);
            let mut tree = Frontier::default();
            for position in 0..size {
                prover.push(entry(position).leaf());
                tree.push(entry(position).leaf());
            }
            let (root, proofs) = prover.finish().unwrap();
            assert_eq!(root, tree.root(), "size {size}");
            for (position, proof) in &proofs {
                check(&entry(*position), *position, proof, size, &root).unwrap();
                assert!(check(&entry(size), *position, proof, size, &root).is_err());
                let elsewhere = check(&entry(*position), position + 1, proof, size, &root);
                assert!(elsewhere.is_err(), "{position} of {size}");
            }
            assert_eq!(proofs.len() as u64, size);
        }
    }

    #[test]
    fn a_proof_needs_every_leaf() {
        let mut prover = Prover::new(3, &BTreeSet::from([0]));
        prover.push(entry(0).leaf());
        assert!(prover.finish().is_none());
        assert!(Prover::new(0, &BTreeSet::new()).finish().is_none());
    }
}

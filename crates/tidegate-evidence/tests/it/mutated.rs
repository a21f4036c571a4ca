//! Inputs near real ones: a file of the collection with a few changes. Noise alone would never get
//! past the first byte of a format.

/// One change: where, which kind, and with what.
pub(crate) type Edit = (u32, u8, u8);

/// A file after some changes: bytes replaced, put in or taken out, pieces doubled, its end cut off.
pub(crate) fn mutated(base: &[u8], edits: &[Edit]) -> Vec<u8> {
    const PIECES: [&[u8]; 16] = [
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b"<",
        b">",
        b"&",
        b"\n",
        b": ",
        b"- ",
        b"9999999999999999999",
        b"-1",
        b"1e999",
        b"\xf0\x9f\x98\x80",
        b"${",
    ];
    /// Longest piece that is doubled or taken out, bytes.
    const PIECE_MAX: usize = 64;
    let mut bytes = base.to_vec();
    for (at, kind, value) in edits {
        let at = usize::try_from(*at).unwrap_or(usize::MAX) % (bytes.len() + 1);
        let end = bytes.len().min(at + 1 + usize::from(*value) % PIECE_MAX);
        match kind % 6 {
            0 if at < bytes.len() => bytes[at] = *value,
            1 => bytes.insert(at, *value),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let piece = PIECES[usize::from(*value) % PIECES.len()];
                bytes.splice(at..at, piece.iter().copied());
            }
            // Seldom, or nothing would be left of most files.
            _ if *value < 16 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}

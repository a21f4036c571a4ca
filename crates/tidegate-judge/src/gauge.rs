//! A number that somebody else measures, such as orders a minute: where it stands in an arm, what
//! people call it, and its unit.
//! It must never be read as a share: it has no sample, so it cannot be added up.

use std::fmt;

/// Longest name of a gauge, and longest unit, in bytes.
pub const LABEL_BYTES_MAX: usize = 32;

/// A short text that is kept in place, so that rules stay plain values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    bytes: [u8; LABEL_BYTES_MAX],
    length: u8,
}

impl Label {
    /// The text; what is past [`LABEL_BYTES_MAX`] is cut off at a whole character.
    #[must_use]
    pub fn new(text: &str) -> Label {
        let mut label = Label { bytes: [0; LABEL_BYTES_MAX], length: 0 };
        for character in text.chars() {
            let (from, to) = (usize::from(label.length), character.len_utf8());
            let Some(room) = label.bytes.get_mut(from..from + to) else { break };
            character.encode_utf8(room);
            label.length += to as u8;
        }
        label
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Which of the numbers in [`Arm::gauges`](crate::tick::Arm::gauges), and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gauge {
    /// Its place in the list of an arm.
    pub index: u8,
    /// What people call it.
    pub name: Label,
    /// Printed behind a value; may be empty.
    pub unit: Label,
}

#[cfg(test)]
mod tests {
    use super::{LABEL_BYTES_MAX, Label};

    #[test]
    fn a_label_is_cut_at_a_whole_character() {
        assert_eq!(Label::new("orders").as_str(), "orders");
        let long = "ä".repeat(LABEL_BYTES_MAX);
        assert_eq!(Label::new(&long).as_str(), "ä".repeat(LABEL_BYTES_MAX / 2));
        assert_eq!(Label::new("").as_str(), "");
    }
}

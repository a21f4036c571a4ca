//! Stands between a report and its reader: bytes in all, UTF-8, and the length of one text.
//! Must never hold more than its caller's buffer.

use std::io::{self, Read};

use crate::Error;

/// Largest report read, in bytes: the largest ones known are load-test logs of 100 MB.
pub const REPORT_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Longest single text of a report, bytes: the captured output of one test.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A reader that refuses what no report is.
#[derive(Debug)]
pub(crate) struct Guarded<R> {
    inner: R,
    bytes: u64,
    // Bytes of a character that the next read completes.
    utf8: Utf8,
    run: usize,
    refused: Option<Error>,
}

impl<R: Read> Guarded<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, bytes: 0, utf8: Utf8::default(), run: 0, refused: None }
    }

    /// Why it stopped, if it did.
    pub(crate) fn refused(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        if self.bytes > REPORT_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        for byte in bytes {
            if !self.utf8.take(*byte) {
                return Err(Error::NotText);
            }
            // A text of any of the formats ends with one of these.
            self.run = if matches!(byte, b'"' | b'<' | b'>' | b'\n') { 0 } else { self.run + 1 };
        }
        if self.run > TEXT_BYTES_MAX {
            return Err(Error::TextTooLong);
        }
        Ok(())
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        let checked = if count == 0 && !self.utf8.complete() {
            Err(Error::NotText)
        } else {
            self.check(read)
        };
        match checked {
            Ok(()) => Ok(count),
            Err(refused) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, refused.to_string());
                self.refused = Some(refused);
                Err(error)
            }
        }
    }
}

/// Validates UTF-8 byte by byte, after the table of RFC 3629.
#[derive(Debug, Default)]
struct Utf8 {
    missing: u8,
    low: u8,
    high: u8,
}

impl Utf8 {
    fn take(&mut self, byte: u8) -> bool {
        if self.missing > 0 {
            if byte < self.low || byte > self.high {
                return false;
            }
            (self.missing, self.low, self.high) = (self.missing - 1, 0x80, 0xbf);
            return true;
        }
        (self.missing, self.low, self.high) = match byte {
            0x00..=0x7f => (0, 0x80, 0xbf),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return false,
        };
        true
    }

    fn complete(&self) -> bool {
        self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn takes_exactly_what_the_standard_library_takes(bytes: Vec<u8>) {
            let mut text = Vec::new();
            let read = Guarded::new(&bytes[..]).read_to_end(&mut text);
            prop_assert_eq!(read.is_ok(), std::str::from_utf8(&bytes).is_ok());
        }
    }

    #[test]
    fn one_endless_text_is_refused_before_it_is_kept() {
        let mut guarded = Guarded::new(std::io::repeat(b'a'));
        let mut buffer = vec![0; 1 << 20];
        let error = std::iter::repeat_with(|| guarded.read(&mut buffer)).find_map(Result::err);
        assert!(error.is_some());
        assert_eq!(guarded.refused(), Some(&Error::TextTooLong));
    }
}

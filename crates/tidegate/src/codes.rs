//! The page of every error code, as part of the binary: `explain` works without a network.
//! Must never lack a page that exists under `docs/errors/`: a test compares the two.

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page of a code, in Markdown. Case does not matter.
pub(crate) fn page(code: &str) -> Option<&'static str> {
    let code = code.to_ascii_uppercase();
    let index = PAGES.binary_search_by(|(known, _)| (*known).cmp(code.as_str())).ok()?;
    PAGES.get(index).map(|(_, page)| *page)
}

/// All codes, in order.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}

//! Style sheet, scripts, font and icons: compiled in, with the digest of their bytes in the address.
//! Must never fetch anything, and never serve other bytes under an address than it did before.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tidegate_core::digest::Digest;

/// Letters of the digest in an address: 64 bits, since nobody attacks their own binary.
const LETTERS: usize = 16;
/// The address names the bytes, so a browser never has to ask again.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// The font, which the style sheet names.
const FONT: &str = "inter-latin-wght-normal.woff2";

/// One token sheet first, then a file for each kind of component.
const STYLES: &str = concat!(
    include_str!("../../assets/css/tokens.css"),
    include_str!("../../assets/css/base.css"),
    include_str!("../../assets/css/layout.css"),
    include_str!("../../assets/css/forms.css"),
    include_str!("../../assets/css/lists.css"),
    include_str!("../../assets/css/deployment.css"),
    include_str!("../../assets/css/charts.css"),
    include_str!("../../assets/vendor/uPlot.min.css"),
);

struct Asset {
    kind: &'static str,
    bytes: Cow<'static, [u8]>,
    digest: String,
}

static ASSETS: LazyLock<BTreeMap<&'static str, Asset>> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let asset = |kind: &'static str, bytes: Cow<'static, [u8]>| {
        let digest = Digest::of(&bytes).as_str().chars().take(LETTERS).collect();
        Asset { kind, bytes, digest }
    };
    let own = |kind, bytes: &'static [u8]| asset(kind, Cow::Borrowed(bytes));
    let font =
        own("font/woff2", include_bytes!("../../assets/vendor/inter-latin-wght-normal.woff2"));
    let styles = STYLES.replace(FONT, &address(FONT, &font));
    BTreeMap::from([
        (FONT, font),
        ("app.css", asset("text/css; charset=utf-8", Cow::Owned(styles.into_bytes()))),
        ("app.js", own(SCRIPT, include_bytes!("../../assets/js/app.js"))),
        ("charts.js", own(SCRIPT, include_bytes!("../../assets/js/charts.js"))),
        ("htmx.js", own(SCRIPT, include_bytes!("../../assets/vendor/htmx.min.js"))),
        ("htmx-ext-sse.js", own(SCRIPT, include_bytes!("../../assets/vendor/htmx-ext-sse.min.js"))),
        ("idiomorph.js", own(SCRIPT, include_bytes!("../../assets/vendor/idiomorph-ext.min.js"))),
        ("uplot.js", own(SCRIPT, include_bytes!("../../assets/vendor/uPlot.iife.min.js"))),
        ("icon.svg", own("image/svg+xml", include_bytes!("../../assets/icon.svg"))),
    ])
});

fn address(name: &str, asset: &Asset) -> String {
    format!("/assets/{}/{name}", asset.digest)
}

/// Where an asset is served. A name that there is not leads nowhere, which a test looks for.
pub(crate) fn url(name: &str) -> String {
    ASSETS.get(name).map_or_else(String::new, |asset| address(name, asset))
}

/// One asset.
pub(crate) async fn serve(
    Path((digest, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let found = ASSETS.get(name.as_str()).filter(|asset| asset.digest == digest);
    let Some(asset) = std::future::ready(found).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", asset.digest);
    let known = headers.get(IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let head = [(ETAG, tag), (CACHE_CONTROL, FOR_EVER.to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, [(CONTENT_TYPE, asset.kind)], asset.bytes.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not ours is what its publisher gave out, with its licence beside it.
    #[test]
    fn vendored_files_have_their_digest_and_their_licence() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/vendor");
        let list = std::fs::read_to_string(format!("{place}/SHA256SUMS")).unwrap();
        let listed: BTreeMap<&str, &str> = list
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(digest, name)| (name, digest))
            .collect();
        let mut seen = 0;
        for entry in std::fs::read_dir(place).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name == "SHA256SUMS" || name == "README.md" {
                continue;
            }
            let bytes = std::fs::read(format!("{place}/{name}")).unwrap();
            let digest = Digest::of(&bytes).to_string();
            assert_eq!(listed.get(name.as_str()).copied(), Some(digest.as_str()), "{name}");
            seen += 1;
        }
        assert_eq!(seen, listed.len());
        for stem in ["htmx", "htmx-ext-sse", "idiomorph", "uPlot", "inter"] {
            assert!(listed.contains_key(format!("{stem}.LICENSE").as_str()), "{stem}");
        }
    }

    /// The whole of what blocks a first paint besides the page itself.
    #[test]
    fn the_style_sheet_is_small_and_names_only_what_is_served() {
        let sheet = &ASSETS["app.css"];
        assert!(sheet.bytes.len() < 32 * 1024, "{}", sheet.bytes.len());
        let text = std::str::from_utf8(&sheet.bytes).unwrap();
        assert!(text.contains(&url(FONT)));
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("@import")
        );
    }
}

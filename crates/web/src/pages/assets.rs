//! The files the pages refer to: one stylesheet, the seal, one script.
//!
//! They are embedded in the binary and addressed by their content
//! (`/assets/chancery.css?v=<digest>`), so a browser may keep them for a year
//! and still sees a new release at once.

use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use rust_embed::RustEmbed;
use serde::Deserialize;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Files;

/// An embedded file.
#[derive(Debug)]
pub struct Asset {
    /// Media type for `Content-Type`.
    pub mime: String,
    /// The file.
    pub bytes: std::borrow::Cow<'static, [u8]>,
    /// The first 64 bits of the SHA-256 of the content, in hex.
    pub digest: String,
}

/// The embedded file of that name, if there is one.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    let file = Files::get(name)?;
    let digest = file
        .metadata
        .sha256_hash()
        .iter()
        .take(8)
        .fold(String::new(), |digest, byte| format!("{digest}{byte:02x}"));
    let mime = match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    Some(Asset { mime, bytes: file.data, digest })
}

/// The address of a file, with its digest. A name that does not exist yields an address that does not
/// either; the page tests follow every address.
#[must_use]
pub fn asset_url(name: &str) -> String {
    asset(name)
        .map_or_else(|| format!("/assets/{name}"), |asset| format!("/assets/{name}?v={}", asset.digest))
}

/// The version a page asked for.
#[derive(Debug, Deserialize)]
pub struct Version {
    v: Option<String>,
}

/// `GET /assets/{file}`: immutable when asked for by digest, revalidated by `ETag` otherwise.
pub async fn serve(Path(name): Path<String>, Query(version): Query<Version>, headers: HeaderMap) -> Response {
    let Some(asset) = asset(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let etag = format!("\"{}\"", asset.digest);
    let cache = if version.v.as_deref() == Some(asset.digest.as_str()) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == etag.as_bytes());
    let caching = [(header::ETAG, etag), (header::CACHE_CONTROL, cache.to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, asset.mime)], asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn get(name: &str, v: Option<&str>, etag: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, etag.parse().unwrap());
        }
        serve(Path(name.to_owned()), Query(Version { v: v.map(ToOwned::to_owned) }), headers).await
    }

    #[tokio::test]
    async fn files_are_cached_by_content_and_revalidated_otherwise() {
        let digest = asset("chancery.css").unwrap().digest;
        let versioned = get("chancery.css", Some(&digest), None).await;
        assert_eq!(versioned.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(versioned.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");

        let stale = get("chancery.css", Some("0000"), None).await;
        assert_eq!(stale.headers()[header::CACHE_CONTROL], "no-cache");

        let etag = stale.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(get("chancery.css", None, Some(&etag)).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn nothing_but_the_embedded_files_is_served() {
        for name in ["missing.css", "../Cargo.toml", "/etc/passwd", ""] {
            assert_eq!(get(name, None, None).await.status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}

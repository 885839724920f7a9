//! Proofs of keys: whoever sends a request has made them himself, key and all.

use jose::{DpopPolicy, verify_dpop};
use protocol::target::same_target;
use serde_json::{Map, Value};

use crate::signed::{SIGNING, now};

const URL: &str = "https://id.example/token";
const POLICY: DpopPolicy<'static> = DpopPolicy { method: "POST", url: URL, access_token: None, nonces: None };

/// The bytes as a proof are never believed; as claims that are signed, they are only if they say what a
/// proof must say (DP-01 to DP-03), and as a URL they are our own only if they are spelt so (DP-02).
pub fn dpop(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(verify_dpop(text, &POLICY, now()).is_err());
        if same_target(text, URL) {
            assert!(same_target(URL, text), "both ways");
            let lower = text.to_ascii_lowercase();
            assert!(lower.starts_with("https://id.example") && !text.contains(['\\', '@', ' ']));
        }
    }
    let Ok(claims) = protocol::json::from_slice::<Map<String, Value>>(bytes) else { return };
    for key in SIGNING.iter() {
        let proof = key.sign_proof(&claims).expect("claims can be signed");
        let Ok(verified) = verify_dpop(&proof, &POLICY, now()) else { continue };
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        assert_ne!(key.algorithm().as_str(), "RS256");
        assert_eq!(text("htm"), Some("POST"));
        assert!(text("htu").is_some_and(|url| same_target(url, URL)));
        assert!(text("jti").is_some_and(|jti| !jti.is_empty() && jti.len() <= 256));
        let made = claims.get("iat").and_then(Value::as_f64).expect("a time");
        let clock = now().timestamp() as f64;
        assert!(made > clock - 61.0 && made < clock + 11.0);
        assert!(verified.mark().expires_at > now());
        let shown = verified.confirm(1).expect("seen for the first time");
        assert_eq!(shown.thumbprint(), key.public().thumbprint());
        // What was signed is believed; what was altered is not.
        let altered = format!("{}A", proof.get(..proof.len() - 1).unwrap_or_default());
        assert!(altered == proof || verify_dpop(&altered, &POLICY, now()).is_err());
    }
}

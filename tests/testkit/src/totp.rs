//! The customer's authenticator app: TOTP codes (RFC 6238; SHA-1, 6 digits, 30 seconds) from the secret
//! that an enrolment page shows.

use chrono::{DateTime, Utc};
use totp_rs::{Builder, Secret};

/// The length of a time step, in seconds.
pub const STEP: u64 = 30;

/// The code for a base32 secret (spaces and letter case do not matter) at `unix_seconds`.
///
/// # Panics
/// When the secret is not base32.
#[must_use]
pub fn code(secret: &str, unix_seconds: u64) -> String {
    let compact: String = secret.chars().filter(|c| !c.is_whitespace()).collect();
    let secret = Secret::try_from_base32(compact.to_ascii_uppercase())
        .unwrap_or_else(|e| panic!("the page shows a base32 secret, not {secret:?}: {e}"));
    Builder::new().with_secret(secret).build_noncompliant().generate(unix_seconds).to_string()
}

/// The machine's clock, for tests against the real binary. Tests with an injected clock ask that instead.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the real binary runs on the machine's clock, and so must its customer"
)]
pub fn machine_time() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    /// RFC 6238 Appendix B, the SHA-1 rows, cut to six digits.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = "GEZD GNBV GY3T QOJQ gezd gnbv gy3t qojq";
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(super::code(secret, time), code);
        }
    }
}

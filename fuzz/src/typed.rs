//! What people type, and what their browsers send along.

use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::hmac_sha256;
use mfa::{DeviceBinding, PasswordHash, TotpFault, TotpSecret, User, Username, device, recovery, totp};
use protocol::{
    UserId,
    claims::StandardClaims,
    secret::{DeviceCookie, OneTimePassword, Password, RecoveryCode},
};
use uuid::Uuid;
use web::pages::Language;
use zeroize::Zeroizing;

use crate::halves;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

const USER: UserId = UserId(Uuid::from_u128(1));

/// Names, one-time passwords, recovery codes. Half of the input is what is typed, the first
/// bytes also choose the time at which it is.
pub fn factors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<Username>() {
        assert!((1..=255).contains(&name.as_str().len()));
        assert!(!name.as_str().contains(|c: char| c.is_whitespace() || c.is_control()));
        assert_eq!(name.as_str().parse::<Username>().as_ref(), Ok(&name), "one form");
        assert_eq!(format!(" {name}\t").parse::<Username>().as_ref(), Ok(&name));
    }

    let moved = bytes.iter().take(4).fold(0_i64, |sum, byte| sum * 256 + i64::from(*byte));
    let at = now() + TimeDelta::seconds(moved);
    let seed = TotpSecret::from_entropy(std::array::from_fn(|index| bytes.get(index).copied().unwrap_or(7)));
    let present = at.timestamp() / totp::STEP_SECONDS;
    for code in [text, halves(text).1] {
        let typed = OneTimePassword::new(code);
        match totp::check(&seed, &typed, at, totp::NO_STEP) {
            Ok(step) => {
                assert!((step - present).abs() <= 1, "RFC 6238 §5.2: one step either side");
                let again = totp::check(&seed, &typed, at, step);
                assert_eq!(again, Err(TotpFault::Replayed), "SE-03: once");
            }
            Err(TotpFault::Wrong) => {
                let digits = code.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()));
            }
            Err(fault) => assert_eq!(fault, TotpFault::Malformed, "nothing was used before"),
        }
    }

    if let Ok((spend, _)) = recovery::redeem(USER, &RecoveryCode::new(text), now()) {
        let other_ways = [text.to_lowercase(), text.to_uppercase(), format!(" {text} "), format!("-{text}")];
        for typed in other_ways {
            let again = recovery::redeem(USER, &RecoveryCode::new(typed), now());
            assert_eq!(again.map(|(spend, _)| spend.digest), Ok(spend.digest), "one code, however typed");
        }
        let other = recovery::redeem(UserId(Uuid::from_u128(2)), &RecoveryCode::new(text), now());
        assert!(other.is_ok_and(|(other, _)| other.digest != spend.digest), "each person's own");
    }
}

/// Stored password hashes, and new passwords: the strength of any text can be told.
pub fn passwords(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(hash) = PasswordHash::from_phc(text) {
        assert!(hash.expose() == text && text.starts_with("$argon2id$"));
        assert_eq!(format!("{hash:?}"), "PasswordHash(redacted)");
    }
    // Telling takes milliseconds for a few dozen characters, and there is nothing new in more.
    if text.len() <= 24 {
        let weakness = mfa::acceptable(&Password::new(text), &["alice"]);
        assert!(weakness.is_err() || text.chars().count() >= mfa::password::MIN_CHARACTERS);
    }
}

/// The cookie of known devices, and the languages that a browser prefers: the first half is the cookie or
/// `ui_locales`, the second `Accept-Language`.
pub fn browsers(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (one, other) = halves(text);
    let fallback = |wanted: &str| Language::negotiate(Some(wanted), Some(other), Language::default());
    let chosen = fallback(one);
    assert_eq!(fallback(chosen.tag()), chosen, "a language that there is, is the one that is given");
    assert_eq!(Language::negotiate(Some(chosen.tag()), None, Language::TraditionalChinese), chosen);
    let sentence = chosen.with("sign-in-continue", &[("client", one)]);
    let reorders = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}') || c.is_control();
    assert!(!sentence.contains(reorders), "a name cannot rearrange the sentence around it");

    let user = User {
        id: USER,
        username: "alice".parse().expect("a user name"),
        password: None,
        claims: StandardClaims::default(),
        roles: Vec::new(),
        second_factor: None,
        created_at: now(),
        password_changed_at: Some(now()),
        disabled_at: None,
    };
    let account = DeviceBinding::new(&user, None);
    let keys = [Zeroizing::new(*hmac_sha256(&[1; 32], &[b"device keys of tests"]).as_bytes())];
    let cookie = DeviceCookie::new(one);
    assert_eq!(device::recognise(&cookie, &account, &keys), None, "nobody guesses a mark");
    let renewed = device::remember(Some(&cookie), &account, &keys, [7; 16]).expect("there is a key");
    assert!(device::recognise(&renewed, &account, &keys).is_some());
    assert!(renewed.expose().len() < 300, "it does not grow");
    let value = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(renewed.expose().bytes().all(value), "it is a cookie value whatever was sent");
}

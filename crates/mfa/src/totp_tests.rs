#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::*;

const ALICE: UserId = UserId(Uuid::from_u128(1));

/// The seed of RFC 6238 appendix B.
fn seed() -> TotpSecret {
    TotpSecret::from_entropy(*b"12345678901234567890")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn typed(text: &str) -> OneTimePassword {
    OneTimePassword::new(text)
}

/// What an authenticator app shows.
fn shown(seconds: i64) -> String {
    seed().builder().build().unwrap().generate(u64::try_from(seconds).unwrap()).to_string()
}

fn enrolled(last_step: i64) -> TotpCredential {
    TotpCredential { last_step, confirmed_at: Some(at(0)), ..TotpCredential::unconfirmed(ALICE, vec![]) }
}

/// RFC 6238 appendix B, the last six of its eight digits.
#[rstest]
#[case(59, "287082")]
#[case(1_111_111_109, "081804")]
#[case(1_111_111_111, "050471")]
#[case(1_234_567_890, "005924")]
#[case(2_000_000_000, "279037")]
#[case(20_000_000_000, "353130")]
fn rfc6238_appendix_b(#[case] seconds: i64, #[case] code: &str) {
    assert_eq!(check(&seed(), &typed(code), at(seconds), NO_STEP), Ok(seconds / STEP_SECONDS));
}

#[test]
fn rfc6238_5_2_one_step_either_side() {
    let now = 1_000_020;
    for (offset, accepted) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
        let found = check(&seed(), &typed(&shown(now + offset)), at(now), NO_STEP);
        assert_eq!(found.is_ok(), accepted, "{offset}: {found:?}");
    }
}

#[rstest]
#[case("")]
#[case("12345")]
#[case("1234567")]
#[case("12345a")]
#[case("+12345")]
#[case("１２３４５６")]
fn malformed_codes_are_refused(#[case] code: &str) {
    assert_eq!(check(&seed(), &typed(code), at(59), NO_STEP), Err(TotpFault::Malformed));
}

#[test]
fn codes_may_be_typed_with_spaces() {
    assert_eq!(check(&seed(), &typed(" 287 082 "), at(59), NO_STEP), Ok(1));
}

#[test]
fn se_03_a_code_is_accepted_once() {
    let now = 1_000_020;
    let code = typed(&shown(now));
    let (acceptance, factor) = accept(&enrolled(NO_STEP), &seed(), &code, at(now)).unwrap();
    assert_eq!(acceptance, TotpAcceptance { user: ALICE, step: now / STEP_SECONDS });
    assert_eq!(factor.confirm(1).unwrap().user(), ALICE);

    let spent = enrolled(acceptance.step);
    assert_eq!(accept(&spent, &seed(), &code, at(now)).unwrap_err(), TotpFault::Replayed);
    let earlier = typed(&shown(now - 30));
    assert_eq!(accept(&spent, &seed(), &earlier, at(now)).unwrap_err(), TotpFault::Replayed);
    assert!(accept(&spent, &seed(), &typed(&shown(now + 30)), at(now)).is_ok());

    // Two requests that both read the row before either wrote it: the store confirms one.
    let (_, loser) = accept(&enrolled(NO_STEP), &seed(), &code, at(now)).unwrap();
    assert!(loser.confirm(0).is_err());
}

#[test]
fn enrolment_is_confirmed_by_a_first_code_which_is_then_spent() {
    let now = 1_000_020;
    let waiting = TotpCredential::unconfirmed(ALICE, vec![1]);
    let code = typed(&shown(now));
    assert_eq!(accept(&waiting, &seed(), &code, at(now)).unwrap_err(), TotpFault::State, "not a factor yet");
    assert_eq!(confirm(&waiting, &seed(), &typed("000000"), at(now)).unwrap_err(), TotpFault::Wrong);
    let (confirmation, _) = confirm(&waiting, &seed(), &code, at(now)).unwrap();
    assert_eq!(confirmation, TotpConfirmation { user: ALICE, step: now / STEP_SECONDS, at: at(now) });
    let done = enrolled(confirmation.step);
    assert_eq!(confirm(&done, &seed(), &code, at(now)).unwrap_err(), TotpFault::State);
    assert_eq!(accept(&done, &seed(), &code, at(now)).unwrap_err(), TotpFault::Replayed);
}

#[test]
fn the_enrolment_page_gets_uri_key_and_picture() {
    let page = TotpEnrolment::new(&seed(), "Meridian: Bank", "alice").unwrap();
    assert_eq!(page.manual_key(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    assert!(page.uri().starts_with("otpauth://totp/"), "{}", page.uri());
    assert!(page.uri().contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
    assert!(page.uri().contains("alice") && page.uri().contains("issuer=Meridian"));
    assert!(page.qr_png().starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(TotpEnrolment::new(&seed(), "", "alice").is_ok());
    assert!(TotpEnrolment::new(&seed(), "Bank", " ").is_err());
    assert!(TotpEnrolment::new(&seed(), &"銀".repeat(300), &"é".repeat(255)).is_ok());
}

#[test]
fn bcp_17_seeds_are_not_printed() {
    let page = TotpEnrolment::new(&seed(), "Bank", "alice").unwrap();
    assert_eq!(format!("{:?} {page:?}", seed()), "TotpSecret(redacted) TotpEnrolment(redacted)");
    assert!(TotpSecret::try_from(&[0_u8; 19][..]).is_err());
    assert_eq!(TotpSecret::try_from(&seed().expose()[..]).unwrap().expose(), seed().expose());
}

proptest! {
    #[test]
    fn se_03_accepted_steps_only_grow(times in prop::collection::vec(0_i64..600, 1..20)) {
        let mut last = NO_STEP;
        for seconds in times {
            if let Ok(step) = check(&seed(), &typed(&shown(seconds)), at(seconds), last) {
                prop_assert!(step > last);
                last = step;
            }
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), seconds in -10_i64..10_000) {
        let _ = check(&seed(), &typed(&text), at(seconds), NO_STEP);
    }
}

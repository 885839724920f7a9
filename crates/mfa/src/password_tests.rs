#![allow(clippy::unwrap_used)]

use chrono::DateTime;
use protocol::{UserId, claims::StandardClaims};
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::account::Rehash;

/// With memory of its own each time; the last test is about one memory for many.
fn hash(
    password: &Password,
    pepper: &Pepper,
    params: HashingParams,
    salt: [u8; 16],
) -> Result<PasswordHash, ImpossibleLength> {
    super::hash(password, pepper, params, salt, &mut HashMemory::default())
}

fn verify(
    password: &Password,
    user: Option<&User>,
    pepper: &Pepper,
    params: HashingParams,
) -> Result<VerifiedPassword, PasswordRefusal> {
    super::verify(password, user, pepper, params, &mut HashMemory::default())
}

fn pepper() -> Pepper {
    Pepper::new([7; 32])
}

fn password(text: &str) -> Password {
    Password::new(text)
}

fn hashed(text: &str, params: HashingParams) -> PasswordHash {
    hash(&password(text), &pepper(), params, [9; 16]).unwrap()
}

fn user(hash: Option<PasswordHash>) -> User {
    User {
        id: UserId(Uuid::from_u128(1)),
        username: "alice".parse().unwrap(),
        password: hash,
        claims: StandardClaims {
            family_name: Some("Featherstonehaugh".to_owned()),
            ..StandardClaims::default()
        },
        roles: vec![],
        second_factor: None,
        created_at: DateTime::UNIX_EPOCH,
        password_changed_at: None,
        disabled_at: None,
    }
}

#[test]
fn se_02_argon2id_with_the_stated_cost_and_a_pepper() {
    let stored = hashed("correct horse", HashingParams::default());
    assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.expose());
    assert_eq!(PasswordHash::from_phc(stored.expose()), Ok(stored.clone()));
    let alice = user(Some(stored.clone()));
    let params = HashingParams::default();
    let check = |text: &str, pepper: &Pepper| verify(&password(text), Some(&alice), pepper, params);
    let verified = check("correct horse", &pepper()).unwrap();
    assert_eq!((verified.user(), verified.needs_rehash()), (alice.id, false));
    assert_eq!(check("correct horsf", &pepper()), Err(PasswordRefusal::Wrong));
    assert_eq!(check("correct horse", &Pepper::new([8; 32])), Err(PasswordRefusal::Wrong));
    let salted = hash(&password("correct horse"), &pepper(), params, [10; 16]).unwrap();
    assert_ne!(salted, stored);
    assert_eq!(format!("{stored:?} {:?}", pepper()), "PasswordHash(redacted) Pepper(redacted)");
}

#[test]
fn se_02_unknown_disabled_and_passwordless_accounts_are_refused_after_the_same_work() {
    let params = HashingParams::default();
    let dummy = params.dummy();
    assert!(PasswordHash::from_phc(dummy.expose()).is_ok(), "the dummy must parse, or no work is done");
    assert!(!is_weaker(&dummy, params), "the dummy must cost what a real hash costs");
    let check = |user: Option<&User>| verify(&password("correct horse"), user, &pepper(), params);
    assert_eq!(check(None), Err(PasswordRefusal::UnknownUser));
    assert_eq!(check(Some(&user(None))), Err(PasswordRefusal::NoPassword));
    let mut disabled = user(Some(hashed("correct horse", params)));
    disabled.disabled_at = Some(DateTime::UNIX_EPOCH);
    assert_eq!(check(Some(&disabled)), Err(PasswordRefusal::DisabledUser));
}

#[test]
fn se_02_lengths_are_capped_before_hashing() {
    for text in [String::new(), "x".repeat(MAX_BYTES + 1)] {
        assert!(hash(&password(&text), &pepper(), HashingParams::default(), [0; 16]).is_err());
        let refusal = verify(&password(&text), None, &pepper(), HashingParams::default());
        assert_eq!(refusal, Err(PasswordRefusal::ImpossibleLength));
    }
    assert!(hash(&password(&"x".repeat(MAX_BYTES)), &pepper(), HashingParams::default(), [0; 16]).is_ok());
}

#[test]
fn se_02_weaker_hashes_ask_to_be_replaced() {
    let alice = user(Some(hashed("correct horse", HashingParams::default())));
    let stronger = HashingParams::new(20 * 1024, 2, 1).unwrap();
    let verified = verify(&password("correct horse"), Some(&alice), &pepper(), stronger).unwrap();
    assert!(verified.needs_rehash());
    let new = hashed("correct horse", stronger);
    let rehash = Rehash::new(&verified, &alice, new.clone()).unwrap();
    assert_eq!(
        (rehash.user, &rehash.before, &rehash.hash),
        (alice.id, alice.password.as_ref().unwrap(), &new)
    );
    let current =
        verify(&password("correct horse"), Some(&alice), &pepper(), HashingParams::default()).unwrap();
    assert_eq!(Rehash::new(&current, &alice, new), None);
}

#[rstest]
#[case(8 * 1024, 2, 1)]
#[case(19 * 1024, 1, 1)]
#[case(19 * 1024, 2, 0)]
#[case(u32::MAX, 2, 1)]
fn se_02_weak_and_absurd_costs_are_refused(#[case] memory: u32, #[case] iterations: u32, #[case] lanes: u32) {
    assert_eq!(HashingParams::new(memory, iterations, lanes), Err(UnsafeParams));
}

#[rstest]
#[case("")]
#[case("plaintext")]
#[case("$argon2i$v=19$m=19456,t=2,p=1$CQkJCQkJCQkJCQkJCQkJCQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
#[case("$argon2id$v=19$m=19456,t=2,p=1")]
fn hashes_of_other_kinds_are_refused(#[case] text: &str) {
    assert_eq!(PasswordHash::from_phc(text), Err(MalformedHash));
}

#[test]
fn new_passwords_must_be_hard_to_guess() {
    let alice = user(None);
    let inputs = alice.password_inputs();
    let judge = |text: &str| acceptable(&password(text), &inputs).map_err(|weakness| weakness.code());
    assert_eq!(judge("short"), Err("password_too_short"));
    assert_eq!(judge(&"long ".repeat(300)), Err("password_too_long"));
    assert_eq!(judge("password123"), Err("password_guessable"));
    assert_eq!(judge("Featherstonehaugh"), Err("password_guessable"), "their own name");
    assert_eq!(judge("violet-anchor-muffin-71"), Ok(()));
    let why = acceptable(&password("qwertyuiop"), &[]).unwrap_err().to_string();
    assert!(why.ends_with('.') && why.len() > 10, "{why}");
}

#[test]
fn bcp_09_a_password_change_names_what_goes_on() {
    let params = HashingParams::default();
    let alice = user(Some(hashed("correct horse", params)));
    let current = verify(&password("correct horse"), Some(&alice), &pepper(), params).unwrap();
    let keep = protocol::SessionId(Uuid::from_u128(5));
    let new = hashed("violet-anchor-muffin-71", params);
    let change = crate::PasswordChange::new(&current, new.clone(), Some(keep), DateTime::UNIX_EPOCH);
    assert_eq!((change.user, change.hash, change.keep_session), (alice.id, new, Some(keep)));
}

#[test]
fn se_02_what_one_hash_left_in_memory_changes_no_other() {
    let mut memory = HashMemory::default();
    let (cheap, dear) = (HashingParams::default(), HashingParams::new(32 * 1024, 2, 1).unwrap());
    for params in [cheap, dear, cheap] {
        let text = password("correct horse");
        let kept = super::hash(&text, &pepper(), params, [9; 16], &mut memory).unwrap();
        assert_eq!(kept, hash(&text, &pepper(), params, [9; 16]).unwrap());
        assert!(matches(b"correct horse", &kept, &pepper(), &mut memory));
        assert!(!matches(b"correct horsf", &kept, &pepper(), &mut memory));
    }
}

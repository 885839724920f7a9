#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::testing::{BANK, CARDS, DAY, catalogue, roles, scope};

const ALICE: UserId = UserId(Uuid::from_u128(1));
const NEW: ConsentId = ConsentId(Uuid::from_u128(2));
const OLD: ConsentId = ConsentId(Uuid::from_u128(3));
const ALL: &str = "openid accounts:read balances:read payments:write cards:read offline_access";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn request(text: &str) -> ConsentRequest {
    let scope = scope(text);
    let audiences: BTreeSet<_> =
        catalogue().definitions(&scope).filter_map(|scope| scope.audience.clone()).collect();
    ConsentRequest {
        user: ALICE,
        client: "ledgerline".parse().unwrap(),
        scope,
        resources: audiences.into_iter().collect(),
        details: AuthorizationDetails::default(),
        prompt_consent: false,
        prompt_none: false,
        offline: true,
        client_skips_consent: false,
    }
}

fn record(text: &str) -> ConsentRecord {
    let request = request(text);
    ConsentRecord {
        id: OLD,
        user: request.user,
        client: request.client,
        scope: request.scope,
        resources: request.resources,
        details: request.details,
        granted_at: at(0),
        updated_at: at(0),
        expires_at: Some(at(1000)),
        withdrawn_at: None,
        version: 4,
    }
}

fn every_role() -> Vec<Role> {
    roles(&["account-viewer", "payment-initiator", "card-viewer"])
}

fn decide(request: &ConsentRequest, existing: Option<&ConsentRecord>) -> ConsentDecision {
    evaluate(request, &every_role(), existing, &catalogue(), at(100))
}

#[track_caller]
fn asked(decision: ConsentDecision) -> ConsentAsk {
    match decision {
        ConsentDecision::Ask(ask) => ask,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn remembered(decision: ConsentDecision) -> GrantedConsent {
    match decision {
        ConsentDecision::Remembered(proof) => proof,
        other => panic!("{other:?}"),
    }
}

fn names(scope: &Scope) -> String {
    scope.to_string()
}

#[test]
fn oc_33_remembered_consent_satisfies_prompt_none() {
    let existing = record("openid accounts:read balances:read");
    let request = ConsentRequest { prompt_none: true, ..request("openid accounts:read") };
    let proof = remembered(decide(&request, Some(&existing)));
    assert_eq!(proof.id(), OLD);
    assert_eq!(proof.scope(), &request.scope, "no more than was requested");
    assert_eq!(proof.resources(), [BANK]);
    assert_eq!(proof.expires_at(), existing.expires_at, "remembering prolongs nothing");
}

#[rstest]
#[case::nothing_before(None)]
#[case::new_scope(Some(record("openid accounts:read")))]
#[case::withdrawn(Some(ConsentRecord { withdrawn_at: Some(at(50)), ..record(ALL) }))]
#[case::expired(Some(ConsentRecord { expires_at: Some(at(100)), ..record(ALL) }))]
#[case::new_resource(Some(ConsentRecord { resources: vec![], ..record(ALL) }))]
#[case::another_user(Some(ConsentRecord { user: UserId(Uuid::from_u128(9)), ..record(ALL) }))]
#[case::another_client(Some(ConsentRecord { client: "pocketwise".parse().unwrap(), ..record(ALL) }))]
fn whatever_widens_is_asked(#[case] existing: Option<ConsentRecord>) {
    asked(decide(&request("openid accounts:read balances:read"), existing.as_ref()));
}

#[test]
fn oc_06_prompt_consent_asks_again() {
    let existing = record(ALL);
    let again = ConsentRequest { prompt_consent: true, ..request("openid accounts:read") };
    let ask = asked(decide(&again, Some(&existing)));
    assert!(ask.new_scope().is_empty());
}

#[test]
fn a_dead_consent_is_never_revived() {
    for dead in [
        ConsentRecord { withdrawn_at: Some(at(50)), ..record(ALL) },
        ConsentRecord { expires_at: Some(at(60)), ..record(ALL) },
    ] {
        let ask = asked(decide(&request("openid accounts:read"), Some(&dead)));
        assert_eq!(names(ask.new_scope()), "accounts:read openid", "nothing of it counts");
        let (upsert, proof) = grant(&ask, &Answer::All, NEW, at(100), None).unwrap();
        assert_eq!(proof.id(), NEW);
        let ConsentUpsert::Create { record, supersedes } = upsert else { panic!("{upsert:?}") };
        assert_eq!((record.version, supersedes), (1, Some(OLD)));
        assert_eq!(names(&record.scope), "accounts:read openid");
    }
}

#[test]
fn widening_keeps_the_record_and_counts_its_version() {
    let existing = record("openid accounts:read");
    let ask = asked(decide(&request("openid cards:read"), Some(&existing)));
    assert_eq!(names(ask.new_scope()), "cards:read");
    let shown: Vec<_> =
        ask.groups().iter().map(|group| (group.audience.as_deref(), group.items.len())).collect();
    assert_eq!(shown, [(None, 1), (Some(BANK), 1), (Some(CARDS), 1)], "what stands is shown with the rest");
    assert!(ask.groups()[2].items[0].new && !ask.groups()[1].items[0].new);

    let (upsert, proof) = grant(&ask, &Answer::All, NEW, at(200), None).unwrap();
    let ConsentUpsert::Replace { record, expected_version } = upsert else { panic!("{upsert:?}") };
    assert_eq!((record.id, expected_version, record.version), (OLD, 4, 5));
    assert_eq!(names(&record.scope), "accounts:read cards:read openid");
    assert_eq!(record.resources, [BANK, CARDS]);
    assert_eq!((record.granted_at, record.updated_at), (at(0), at(200)));
    assert_eq!(names(proof.scope()), "cards:read openid", "the authorization gets what it asked for");
    assert_eq!(proof.resources(), [CARDS]);
}

#[test]
fn the_strictest_lifetime_wins() {
    let ask = asked(decide(&request("openid accounts:read payments:write"), None));
    let year = Some(TimeDelta::days(365));
    assert_eq!(ask.expiry(at(0), year), Some(at(30 * DAY)));
    assert_eq!(ask.expiry(at(0), Some(TimeDelta::days(1))), Some(at(DAY)));
    let only = Answer::Only(scope("accounts:read"));
    let (upsert, proof) = grant(&ask, &only, NEW, at(0), year).unwrap();
    assert_eq!(upsert.record().expires_at, Some(at(90 * DAY)), "payments were not allowed");
    assert_eq!(proof.expires_at(), upsert.record().expires_at);
    let plain = asked(decide(&request("openid cards:read"), None));
    assert_eq!(plain.expiry(at(0), None), None);
}

#[test]
fn only_what_their_own_roles_allow() {
    let held = roles(&["account-viewer"]);
    let decision = evaluate(
        &request("openid payments:write accounts:read cards:read"),
        &held,
        None,
        &catalogue(),
        at(0),
    );
    let ask = asked(decision);
    assert_eq!(names(ask.scope()), "accounts:read openid");
    let dropped: Vec<_> = ask.dropped().iter().map(|drop| (drop.scope.as_str(), drop.reason)).collect();
    let lacking = DropReason::RoleNotHeld;
    assert_eq!(dropped, [("cards:read", lacking), ("payments:write", lacking)]);
    let (upsert, _) = grant(&ask, &Answer::All, NEW, at(0), None).unwrap();
    assert_eq!(upsert.record().resources, [BANK], "no access to a server of which nothing is allowed");

    let nothing = evaluate(&request("payments:write offline_access"), &held, None, &catalogue(), at(0));
    let ConsentDecision::Refuse(ConsentRefusal::NothingAllowed(dropped)) = nothing else {
        panic!("{nothing:?}")
    };
    assert_eq!(dropped.len(), 1);
    let empty = evaluate(&request(""), &held, None, &catalogue(), at(0));
    assert!(matches!(empty, ConsentDecision::Refuse(ConsentRefusal::NothingRequested)));
}

#[test]
fn a_role_that_was_lost_takes_its_scope_along() {
    let existing = record("openid accounts:read payments:write");
    let held = roles(&["account-viewer"]);
    let request = request("openid accounts:read payments:write");
    let proof = remembered(evaluate(&request, &held, Some(&existing), &catalogue(), at(100)));
    assert_eq!(names(proof.scope()), "accounts:read openid");
}

#[test]
fn scopes_that_left_the_catalogue_are_dropped() {
    let ask = asked(decide(&request("openid gone:read"), None));
    assert_eq!(ask.dropped()[0].reason, DropReason::Unknown);
}

#[test]
fn oc_15_offline_access_is_ignored_where_its_conditions_fail() {
    let text = "openid accounts:read offline_access";
    let no_code_flow = ConsentRequest { offline: false, ..request(text) };
    let ask = asked(decide(&no_code_flow, None));
    assert_eq!(names(ask.scope()), "accounts:read openid");
    assert_eq!(ask.dropped()[0].reason, DropReason::OfflineNotMet);

    let silent = ConsentRequest { prompt_none: true, ..request(text) };
    let before = record("openid accounts:read");
    assert_eq!(names(remembered(decide(&silent, Some(&before))).scope()), "accounts:read openid");
    let before = record(text);
    assert!(remembered(decide(&silent, Some(&before))).scope().contains(OFFLINE_ACCESS));
}

#[test]
fn oc_15_offline_access_is_only_given_by_an_explicit_answer() {
    let own = |text: &str| ConsentRequest { client_skips_consent: true, ..request(text) };
    let decision = decide(&own("openid accounts:read"), None);
    let ConsentDecision::Implied(ask) = decision else { panic!("{decision:?}") };
    let (_, proof) = grant(&ask, &Answer::All, NEW, at(100), None).unwrap();
    assert_eq!(names(proof.scope()), "accounts:read openid");

    let ask = asked(decide(&own("openid accounts:read offline_access"), None));
    let (_, proof) = grant(&ask, &Answer::Only(scope("openid accounts:read")), NEW, at(100), None).unwrap();
    assert!(!proof.scope().contains(OFFLINE_ACCESS));
    asked(decide(&ConsentRequest { prompt_consent: true, ..own("openid") }, None));
}

#[test]
fn answers_must_fit_the_question() {
    let ask = asked(decide(&request("openid accounts:read offline_access"), None));
    let answer =
        |text: &str| grant(&ask, &Answer::Only(scope(text)), NEW, at(100), None).map(|(_, proof)| proof);
    assert_eq!(answer("accounts:read payments:write"), Err(AnswerFault::NotAsked(scope("payments:write"))));
    assert_eq!(answer(""), Err(AnswerFault::Nothing));
    let partial = answer("accounts:read").unwrap();
    assert_eq!(names(partial.scope()), "accounts:read openid", "openid goes with the rest");
    let bare = asked(decide(&request("accounts:read offline_access"), None));
    let away = grant(&bare, &Answer::Only(scope("offline_access")), NEW, at(100), None);
    assert_eq!(away.map(|_| ()), Err(AnswerFault::Nothing), "away from nothing");
}

#[test]
fn what_is_unticked_is_taken_away() {
    let existing = record("openid accounts:read balances:read");
    let again = ConsentRequest { prompt_consent: true, ..request("openid accounts:read") };
    let ask = asked(decide(&again, Some(&existing)));
    let (upsert, _) = grant(&ask, &Answer::Only(scope("openid accounts:read")), NEW, at(200), None).unwrap();
    assert_eq!(names(&upsert.record().scope), "accounts:read openid");
}

fn some_scope() -> impl Strategy<Value = String> {
    let tokens: Vec<_> = ALL.split(' ').chain(["profile", "email"]).collect();
    let some = prop::sample::subsequence(tokens, 0..=8);
    some.prop_map(|tokens| tokens.join(" "))
}

proptest! {
    #[test]
    fn nothing_is_granted_that_was_not_requested_allowed_and_recorded(
        wanted in some_scope(), before in prop::option::of(some_scope()), held in prop::sample::subsequence(every_role(), 0..=3),
        prompt_consent in any::<bool>(), offline in any::<bool>(), skips in any::<bool>(), chosen in prop::option::of(some_scope()),
    ) {
        let catalogue = catalogue();
        let request = ConsentRequest { prompt_consent, offline, client_skips_consent: skips, ..request(&wanted) };
        let before = before.map(|text| record(&text));
        let (record, proof) = match evaluate(&request, &held, before.as_ref(), &catalogue, at(100)) {
            ConsentDecision::Remembered(proof) => (before.unwrap(), proof),
            ConsentDecision::Refuse(_) => return Ok(()),
            ConsentDecision::Implied(ask) | ConsentDecision::Ask(ask) => {
                let answer = chosen.map_or(Answer::All, |text| Answer::Only(scope(&text)));
                let Ok((upsert, proof)) = grant(&ask, &answer, NEW, at(100), None) else { return Ok(()) };
                if let Answer::Only(chosen) = answer {
                    prop_assert!(proof.scope().filtered(|name| name != OPENID).is_subset(&chosen));
                }
                (upsert.record().clone(), proof)
            }
        };
        prop_assert!(proof.scope().is_subset(&request.scope));
        prop_assert!(proof.scope().is_subset(&record.scope));
        prop_assert!(catalogue.definitions(proof.scope()).all(|scope| scope.roles.iter().all(|role| held.contains(role))));
        prop_assert!(proof.resources().iter().all(|resource| record.resources.contains(resource)));
        let reached = |scope: &Scope| catalogue.definitions(scope).filter_map(|scope| scope.audience.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(reached(proof.scope()), proof.resources().iter().cloned().collect());
        // What was granted is remembered: the same request asks nothing more.
        let again = ConsentRequest { prompt_consent: false, ..request };
        let again = ConsentRequest { scope: proof.scope().clone(), resources: proof.resources().to_vec(), ..again };
        let decision = evaluate(&again, &held, Some(&record), &catalogue, at(100));
        prop_assert!(matches!(decision, ConsentDecision::Remembered(_)), "{:?}", decision);
    }
}

mod details {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        accounts::BankAccount,
        detail_types::tests::{declared, details, payment},
        details::{ACCOUNT_INFORMATION, PAYMENT_INITIATION},
    };

    fn bank() -> Catalogue {
        let payments = crate::DetailTypeDefinition {
            roles: roles(&["payment-initiator"]).into_iter().collect(),
            ..declared(PAYMENT_INITIATION, &[BANK])
        };
        catalogue().with_detail_types([declared(ACCOUNT_INFORMATION, &[BANK]), payments]).unwrap()
    }

    fn wanting(details: &AuthorizationDetails) -> ConsentRequest {
        let resources = vec![BANK.to_owned()];
        ConsentRequest { details: details.clone(), resources, ..request("openid accounts:read") }
    }

    fn judge(request: &ConsentRequest, existing: Option<&ConsentRecord>) -> ConsentDecision {
        evaluate(request, &every_role(), existing, &bank(), at(100))
    }

    fn reading(actions: &[&str]) -> AuthorizationDetails {
        details(json!([{"type": ACCOUNT_INFORMATION, "actions": actions}]))
    }

    fn accounts() -> Vec<BankAccount> {
        serde_json::from_value(
            json!([{"id": "everyday", "name": "Everyday", "iban": "GB33BUKB20201555555555"}]),
        )
        .unwrap()
    }

    fn chosen() -> Vec<Vec<String>> {
        vec![vec!["everyday".to_owned()]]
    }

    fn allow(ask: ConsentAsk) -> (ConsentRecord, GrantedConsent) {
        let ask = ask.choose(&accounts(), &chosen()).unwrap();
        let (upsert, proof) = grant(&ask, &Answer::All, NEW, at(100), None).unwrap();
        (upsert.record().clone(), proof)
    }

    #[test]
    fn rar_03_accounts_are_chosen_once_and_remembered() {
        let ask = asked(judge(&wanting(&reading(&["read_balances"])), None));
        assert_eq!(grant(&ask, &Answer::All, NEW, at(100), None).unwrap_err(), AnswerFault::NotChosen);
        let (record, proof) = allow(ask);
        let expected = details(
            json!([{"type": ACCOUNT_INFORMATION, "actions": ["read_balances"], "accounts": ["everyday"]}]),
        );
        assert_eq!((&record.details, proof.details()), (&expected, &expected));
        match judge(&wanting(&reading(&["read_balances"])), Some(&record)) {
            ConsentDecision::Remembered(again) => assert_eq!(again.details(), &expected),
            other => panic!("{other:?}"),
        }
        let wider = asked(judge(&wanting(&reading(&["read_transactions"])), Some(&record)));
        assert!(wider.details()[0].new);
        assert_eq!(wider.standing_details(), &expected);
        // Who asks for nothing exact gets nothing exact.
        match judge(&wanting(&AuthorizationDetails::default()), Some(&record)) {
            ConsentDecision::Remembered(plain) => assert!(plain.details().is_empty()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rar_03_payments_are_asked_about_every_time_even_of_the_banks_own_app() {
        let request = wanting(&payment(&json!({})));
        let (record, _) = allow(asked(judge(&request, None)));
        assert_eq!(record.details.len(), 1);
        assert!(asked(judge(&request, Some(&record))).details()[0].new);
        let own = ConsentRequest { client_skips_consent: true, ..request };
        assert!(asked(judge(&own, Some(&record))).standing_details().is_empty());
        let plain = ConsentRequest { details: AuthorizationDetails::default(), ..own };
        assert!(matches!(judge(&plain, None), ConsentDecision::Implied(_)));
    }

    #[test]
    fn f2_17_roles_limit_details_too() {
        let both: AuthorizationDetails =
            payment(&json!({})).iter().chain(reading(&["read_balances"]).iter()).cloned().collect();
        let held = roles(&["account-viewer"]);
        let of = |details: &AuthorizationDetails| evaluate(&wanting(details), &held, None, &bank(), at(100));
        let ask = asked(of(&both));
        let kinds: Vec<_> = ask.details().iter().map(|item| item.detail.kind()).collect();
        assert_eq!(kinds, [ACCOUNT_INFORMATION]);
        let refused = of(&payment(&json!({})));
        assert!(matches!(refused, ConsentDecision::Refuse(ConsentRefusal::NoDetailAllowed)), "{refused:?}");
    }

    #[test]
    fn rar_05_details_imply_their_resource_servers() {
        let audience = |text: &str, named: &[&str]| {
            let named: Vec<String> = named.iter().map(ToString::to_string).collect();
            crate::audience_with(&scope(text), &payment(&json!({})), &named, &bank())
        };
        assert_eq!(audience("openid", &[]).unwrap(), [BANK]);
        assert_eq!(audience("openid accounts:read", &[]).unwrap(), [BANK]);
        assert!(matches!(audience("cards:read", &[]), Err(crate::AudienceFault::Ambiguous(_))));
        assert_eq!(audience("cards:read", &[CARDS, BANK]).unwrap().len(), 2);
        assert_eq!(audience("openid", &[CARDS]), Err(crate::AudienceFault::DetailOutsideResources(0)));
    }

    #[test]
    fn old_records_have_no_details() {
        let mut value = serde_json::to_value(record(ALL)).unwrap();
        assert_eq!(value.get("details"), None::<&Value>);
        assert!(value.as_object_mut().unwrap().remove("details").is_none());
        assert_eq!(serde_json::from_value::<ConsentRecord>(value).unwrap(), record(ALL));
    }
}

//! Whatever the situation is, what `next_step` may never do.

use proptest::prelude::*;

use super::*;
use crate::checks::tests::VAULT;

fn policies() -> impl Strategy<Value = SecondFactorPolicy> {
    prop_oneof![Just(SecondFactorPolicy::Required), Just(SecondFactorPolicy::IfEnrolled)]
}

fn scopes() -> impl Strategy<Value = Vec<&'static str>> {
    let all = vec!["openid", "profile", "offline_access", "accounts:read", "payments:write", "cards:read"];
    proptest::sample::subsequence(all, 1..=6)
}

prop_compose! {
    fn sessions()(
        auth in -2_000_i64..=0, seen in -1_000_i64..=0, ends in -10_i64..1_000, ended in any::<bool>(),
        strong in any::<bool>(),
    ) -> Session {
        let at = |seconds| now() + Duration::seconds(seconds);
        Session {
            auth_time: at(auth),
            last_seen_at: at(seen),
            expires_at: at(ends),
            ended_at: (ended && auth % 4 == 0).then(now),
            acr: if strong { SCA } else { CA },
            ..session()
        }
    }
}

prop_compose! {
    fn consents()(scope in scopes(), ends in proptest::option::of(-5_i64..100), withdrawn in 0_u8..4) -> ConsentRecord {
        ConsentRecord {
            scope: scope.join(" ").parse().unwrap(),
            resources: vec![BANK.to_owned(), CARDS.to_owned(), VAULT.to_owned()],
            expires_at: ends.map(|seconds| now() + Duration::seconds(seconds)),
            withdrawn_at: (withdrawn == 0).then(now),
            ..consent_record()
        }
    }
}

prop_compose! {
    fn requests()(
        silent in any::<bool>(),
        prompt in proptest::sample::subsequence(vec![Prompt::Login, Prompt::Consent, Prompt::SelectAccount], 0..=3),
        max_age in proptest::option::of(prop_oneof![0_u64..2_000, any::<u64>()]),
        acr in proptest::sample::subsequence(vec![CA.as_str(), "unknown", SCA.as_str()], 0..=3).prop_shuffle(),
        scope in scopes(),
    ) -> AuthorizationRequest {
        AuthorizationRequest {
            prompt: if silent { [Prompt::None].into() } else { prompt.into_iter().collect() },
            max_age,
            acr_values: acr.into_iter().map(str::to_owned).collect(),
            scope: Some(scope.join(" ").parse().unwrap()),
            resources: vec![BANK.to_owned(), CARDS.to_owned()],
            ..request()
        }
    }
}

prop_compose! {
    fn cases()(
        request in requests(),
        session in proptest::option::weighted(0.9, sessions()),
        consent in proptest::option::weighted(0.8, consents()),
        hint in prop_oneof![4 => Just(Hint::Absent), 1 => Just(Hint::Subject(ALICE)), 1 => Just(Hint::Subject(BOB))],
        roles in proptest::sample::subsequence(user().roles, 0..=3),
        (own, client_policy) in (proptest::option::of(policies()), proptest::option::of(policies())),
        bank in policies(),
        (enrolled, first_party, chosen) in (any::<bool>(), any::<bool>(), any::<bool>()),
        began in -2_000_i64..=0,
    ) -> Case {
        let mut case = Case { request, session, consent, hint, bank, enrolled, ..case() };
        case.began_at = now() + Duration::seconds(began);
        case.chosen = chosen.then_some(super::session().id);
        (case.user.roles, case.user.second_factor) = (roles, own);
        (case.client.settings.second_factor, case.client.settings.first_party) = (client_policy, first_party);
        case
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn oc_05_no_situation_shows_a_page_under_prompt_none(case in cases()) {
        let step = case.next();
        let silent = case.request.prompt.contains(&Prompt::None);
        if silent {
            prop_assert!(matches!(step, Step::Issue { .. } | Step::Refuse(_)), "{step:?}");
        } else if let Step::Refuse(refusal) = &step {
            // With a person there, only what no page could mend is refused.
            let mistaken = matches!(case.hint, Hint::Subject(BOB)) && *refusal == StepRefusal::LoginRequired;
            prop_assert!(mistaken || matches!(refusal, StepRefusal::NothingAllowed(_)), "{refusal:?}");
        }
    }

    #[test]
    fn a_code_comes_only_from_a_live_session_that_is_all_the_request_wants(case in cases()) {
        let Step::Issue { authentication, consent } = case.next() else { return Ok(()) };
        let session = case.session.as_ref().unwrap();
        prop_assert!(session.is_live(&SessionPolicy::default(), now()));
        prop_assert_eq!(authentication.session(), session.id);
        prop_assert_eq!(authentication.acr(), session.acr);
        prop_assert_ne!(case.hint, Hint::Subject(BOB));
        let fresh = session.auth_time >= case.began_at;
        let prompt = &case.request.prompt;
        prop_assert!(fresh || !prompt.contains(&Prompt::Login));
        prop_assert!(fresh || case.chosen.is_some() || !prompt.contains(&Prompt::SelectAccount));
        let age = u64::try_from((now() - session.auth_time).num_seconds()).unwrap();
        prop_assert!(fresh || case.request.max_age.is_none_or(|max_age| max_age != 0 && age <= max_age));
        let demanded = case.user.second_factor.unwrap_or(case.bank) == SecondFactorPolicy::Required
            || case.client.settings.second_factor == Some(SecondFactorPolicy::Required)
            || case.request.scope.as_ref().unwrap().contains("payments:write");
        prop_assert!(session.acr == SCA || !demanded);
        match consent {
            Granting::Remembered(consent) => {
                let record = case.consent.as_ref().unwrap();
                prop_assert!(record.is_live(now()) && !prompt.contains(&Prompt::Consent));
                prop_assert!(consent.scope().is_subset(&record.scope));
                prop_assert!(consent.scope().is_subset(case.validated().scope()));
            }
            Granting::Implied(ask) => {
                prop_assert!(case.client.settings.first_party && !prompt.contains(&Prompt::Consent));
                prop_assert!(ask.scope().is_subset(case.validated().scope()));
            }
        }
    }
}

use consent::AudienceFault;
use jose::digest::sha256;
use protocol::{ConsentId, SessionId, UserId, acr::Amr, authorization::AuthorizationRequest};
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::{
    checks::{
        Hint,
        tests::{BANK, CARDS, catalogue, request, trusted, validate},
    },
    client::{Client, tests::client},
    grant::tests::now,
};

mod properties;

const CA: Acr = Acr::CustomerAuthentication;
const SCA: Acr = Acr::StrongCustomerAuthentication;

/// The person of `grant::tests::line`.
pub(crate) const ALICE: UserId = UserId(Uuid::from_u128(3));
const BOB: UserId = UserId(Uuid::from_u128(33));

fn minutes(count: i64) -> Duration {
    Duration::minutes(count)
}

/// Alice with every role but that of the vault.
pub(crate) fn user() -> User {
    User {
        id: ALICE,
        username: "alice".parse().unwrap(),
        password: None,
        claims: protocol::claims::StandardClaims::default(),
        roles: ["account-viewer", "payment-initiator", "card-viewer"].map(str::to_owned).to_vec(),
        second_factor: None,
        created_at: now(),
        password_changed_at: None,
        disabled_at: None,
    }
}

/// Alice's session: one factor, ten minutes ago, in use until a minute ago.
pub(crate) fn session() -> Session {
    Session {
        id: SessionId(Uuid::from_u128(4)),
        digest: sha256("cookie"),
        user: ALICE,
        created_at: now() - minutes(10),
        auth_time: now() - minutes(10),
        last_seen_at: now() - minutes(1),
        expires_at: now() + minutes(60),
        acr: CA,
        amr: vec![Amr::Pwd],
        ended_at: None,
        address: None,
        user_agent: None,
    }
}

/// Alice's consent to the client `app` for what `checks::tests::request` asks.
pub(crate) fn consent_record() -> ConsentRecord {
    ConsentRecord {
        id: ConsentId(Uuid::from_u128(2)),
        user: ALICE,
        client: "app".parse().unwrap(),
        scope: "openid accounts:read".parse().unwrap(),
        details: protocol::authorization_details::AuthorizationDetails::default(),
        resources: vec![BANK.to_owned()],
        granted_at: now() - minutes(60),
        updated_at: now() - minutes(60),
        expires_at: Some(now() + minutes(60)),
        withdrawn_at: None,
        version: 1,
    }
}

/// Everything that the decision reads; as it stands, a code is issued without any question.
#[derive(Clone, Debug)]
struct Case {
    request: AuthorizationRequest,
    client: Client,
    hint: Hint,
    began_at: DateTime<Utc>,
    session: Option<Session>,
    user: User,
    enrolled: bool,
    consent: Option<ConsentRecord>,
    chosen: Option<SessionId>,
    bank: SecondFactorPolicy,
}

fn case() -> Case {
    Case {
        request: request(),
        client: trusted(client()),
        hint: Hint::Absent,
        began_at: now() - minutes(5),
        session: Some(session()),
        user: user(),
        enrolled: false,
        consent: Some(consent_record()),
        chosen: None,
        bank: SecondFactorPolicy::IfEnrolled,
    }
}

impl Case {
    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut case = case();
        change(&mut case);
        case
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }

    /// The person signs in with a password while the interaction waits.
    fn sign_in(&mut self) {
        let at = self.began_at + minutes(1);
        let session = self.session();
        session.auth_time = at;
        (session.acr, session.amr) = (CA, vec![Amr::Pwd]);
    }

    /// A second factor was shown as well.
    fn step_up(&mut self) {
        let session = self.session();
        (session.acr, session.amr) = (SCA, vec![Amr::Pwd, Amr::Otp, Amr::Mfa]);
    }

    /// The sign-in was a few minutes ago, though for another request.
    fn recent(&mut self) {
        self.session().auth_time = now() - minutes(4);
    }

    fn prompt(&mut self, prompt: Prompt) {
        self.request.prompt.insert(prompt);
    }

    fn scope(&mut self, scope: &str) {
        self.request.scope = Some(scope.parse().unwrap());
    }

    fn acr_values(&mut self, values: &[&str]) {
        self.request.acr_values = values.iter().map(|&value| value.to_owned()).collect();
    }

    fn validated(&self) -> ValidatedAuthorization {
        validate(self.client.clone(), self.request.clone(), self.hint).unwrap()
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            began_at: self.began_at,
            session: self.session.as_ref().map(|session| (session, &self.user)),
            enrolled: self.enrolled,
            consent: self.consent.as_ref(),
            chosen: self.chosen,
        }
    }

    fn next(&self) -> Step {
        let (sessions, catalogue) = (SessionPolicy::default(), catalogue());
        let subjects = SubjectKey::for_tests();
        let policy =
            StepPolicy { second_factor: self.bank, sessions: &sessions, catalogue: &catalogue, subjects };
        next_step(&self.validated(), &self.situation(), &policy, now())
    }

    fn says(&self) -> &'static str {
        name(&self.next())
    }

    fn account(&self) -> &'static str {
        let (sessions, catalogue) = (SessionPolicy::default(), catalogue());
        let subjects = SubjectKey::for_tests();
        let policy =
            StepPolicy { second_factor: self.bank, sessions: &sessions, catalogue: &catalogue, subjects };
        match account_step(&self.situation(), &policy, now()) {
            AccountStep::Login => "login",
            AccountStep::SecondFactor => "second factor",
            AccountStep::Enrol => "enrol",
            AccountStep::Open(_) => "open",
        }
    }
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Login => "login",
        Step::SelectAccount => "select account",
        Step::SecondFactor => "second factor",
        Step::Enrol => "enrol",
        Step::Consent(_) => "consent",
        Step::Issue { consent, .. } => match *consent {
            Granting::Remembered(_) => "issue",
            Granting::Implied(_) => "issue, implied",
        },
        Step::Refuse(StepRefusal::LoginRequired) => "login_required",
        Step::Refuse(StepRefusal::InteractionRequired) => "interaction_required",
        Step::Refuse(StepRefusal::ConsentRequired) => "consent_required",
        Step::Refuse(StepRefusal::NothingAllowed(_)) => "nothing allowed",
        Step::Refuse(StepRefusal::ForeignAccount) => "account of another",
    }
}

fn issued(step: Step) -> (Authentication, Granting) {
    match step {
        Step::Issue { authentication, consent } => (authentication, consent),
        other => panic!("{other:?}"),
    }
}

#[test]
fn oc_33_a_remembered_consent_and_a_session_issue_without_a_page() {
    let (authentication, granting) = issued(case().next());
    assert_eq!((authentication.user(), authentication.acr()), (ALICE, CA));
    assert_eq!(authentication.auth_time(), now() - minutes(10));
    let Granting::Remembered(consent) = granting else { panic!("{granting:?}") };
    assert_eq!(consent.id(), consent_record().id);
    assert_eq!(consent.scope().to_string(), "accounts:read openid");
    assert_eq!(Case::with(|case| case.prompt(Prompt::None)).says(), "issue");
}

#[rstest]
#[case::nobody(|c: &mut Case| c.session = None, "login")]
#[case::ended(|c: &mut Case| c.session().ended_at = Some(now()), "login")]
#[case::old(|c: &mut Case| c.session().expires_at = now(), "login")]
#[case::idle(|c: &mut Case| c.session().last_seen_at = now() - minutes(15), "login")]
#[case::no_consent(|c: &mut Case| c.consent = None, "consent")]
#[case::withdrawn(|c: &mut Case| c.consent.as_mut().unwrap().withdrawn_at = Some(now()), "consent")]
#[case::expired(|c: &mut Case| c.consent.as_mut().unwrap().expires_at = Some(now()), "consent")]
#[case::wider(|c: &mut Case| c.scope("openid accounts:read profile"), "consent")]
#[case::anothers(|c: &mut Case| c.consent.as_mut().unwrap().user = BOB, "consent")]
#[case::narrower(|c: &mut Case| c.scope("openid"), "issue")]
fn the_page_that_is_missing_is_shown(#[case] change: fn(&mut Case), #[case] expected: &str) {
    assert_eq!(Case::with(change).says(), expected);
}

#[rstest]
#[case(None, "issue")]
#[case(Some(601), "issue")]
#[case(Some(600), "issue")]
#[case(Some(599), "login")]
#[case(Some(1), "login")]
#[case(Some(0), "login")]
#[case(Some(u64::MAX), "issue")]
#[case(Some(i64::MAX as u64), "issue")]
fn oc_04_max_age_forces_a_login_when_exceeded(#[case] max_age: Option<u64>, #[case] expected: &str) {
    let case = Case::with(|case| case.request.max_age = max_age);
    assert_eq!(case.says(), expected);
    let silent = Case::with(|case| {
        case.request.max_age = max_age;
        case.prompt(Prompt::None);
    });
    assert_eq!(silent.says(), if expected == "login" { "login_required" } else { "issue" });
}

#[test]
fn oc_04_max_age_0_acts_as_login_even_for_a_session_of_this_moment() {
    let mut case = Case::with(|case| case.request.max_age = Some(0));
    case.session().auth_time = case.began_at - Duration::milliseconds(1);
    assert_eq!(case.says(), "login");
    case.sign_in();
    assert_eq!(case.says(), "issue", "a login for this request satisfies it");
}

#[test]
fn oc_34_the_clients_default_max_age_counts_where_the_request_has_none() {
    let mut case = Case::with(|case| case.client.default_max_age = Some(300));
    assert_eq!(case.says(), "login");
    case.request.max_age = Some(900);
    assert_eq!(case.says(), "issue", "the request speaks for itself");
    case.request.max_age = None;
    case.sign_in();
    assert_eq!(case.says(), "issue");
}

#[rstest]
#[case::login(|c: &mut Case| c.session = None, "login_required")]
#[case::expired(|c: &mut Case| c.session().expires_at = now(), "login_required")]
#[case::challenge(|c: &mut Case| c.enrolled = true, "interaction_required")]
#[case::enrol(|c: &mut Case| { c.bank = SecondFactorPolicy::Required; c.recent(); }, "interaction_required")]
#[case::consent(|c: &mut Case| c.consent = None, "consent_required")]
#[case::widened(|c: &mut Case| c.scope("openid accounts:read email"), "consent_required")]
#[case::roles(|c: &mut Case| { c.scope("accounts:read"); c.user.roles.clear(); }, "nothing allowed")]
#[case::offline(|c: &mut Case| c.scope("openid offline_access"), "issue")]
#[case::nothing_missing(|_: &mut Case| (), "issue")]
fn oc_05_prompt_none_never_shows_ui(#[case] change: fn(&mut Case), #[case] expected: &str) {
    let silent = Case::with(|case| {
        change(case);
        case.prompt(Prompt::None);
    });
    assert_eq!(silent.says(), expected);
}

#[test]
fn oc_05_oc_15_prompt_none_gives_no_offline_access_that_was_not_consented() {
    let silent = Case::with(|case| {
        case.scope("openid offline_access");
        case.prompt(Prompt::None);
    });
    let (_, Granting::Remembered(consent)) = issued(silent.next()) else { panic!("not remembered") };
    assert_eq!(consent.scope().to_string(), "openid");
}

#[rstest]
#[case(Prompt::Login, "login")]
#[case(Prompt::SelectAccount, "select account")]
fn oc_06_prompt_login_and_select_account_ask_who_is_there(#[case] prompt: Prompt, #[case] page: &str) {
    let mut case = Case::with(|case| case.prompt(prompt));
    assert_eq!(case.says(), page);
    case.sign_in();
    assert_eq!(case.says(), "issue", "and only once");
    case.session = None;
    assert_eq!(case.says(), "login", "there is nobody to choose");
}

#[test]
fn oc_06_a_chosen_account_goes_on_and_another_ones_session_does_not() {
    let mut case = Case::with(|case| case.prompt(Prompt::SelectAccount));
    case.chosen = Some(session().id);
    assert_eq!(case.says(), "issue");
    case.session().id = SessionId(Uuid::from_u128(44));
    assert_eq!(case.says(), "select account", "another tab signed somebody else in");
}

#[test]
fn oc_06_prompts_add_up_choose_sign_in_consent() {
    let mut case = Case::with(|case| {
        case.prompt(Prompt::SelectAccount);
        case.prompt(Prompt::Login);
        case.prompt(Prompt::Consent);
    });
    assert_eq!(case.says(), "select account");
    case.chosen = Some(session().id);
    assert_eq!(case.says(), "login");
    case.sign_in();
    assert_eq!(case.says(), "consent");
}

#[test]
fn oc_04_oc_06_a_chosen_account_is_no_recent_login() {
    let mut case = Case::with(|case| case.prompt(Prompt::SelectAccount));
    case.request.max_age = Some(1);
    assert_eq!(case.says(), "select account");
    case.chosen = Some(session().id);
    assert_eq!(case.says(), "login");
}

#[test]
fn oc_06_oc_09_nobody_chooses_an_account_that_the_client_does_not_mean() {
    let case = Case::with(|case| {
        case.prompt(Prompt::SelectAccount);
        case.hint = Hint::Subject(BOB);
    });
    assert_eq!(case.says(), "login");
}

#[test]
fn oc_06_a_renewed_login_needs_its_second_factor_again() {
    let mut case = Case::with(|case| {
        case.bank = SecondFactorPolicy::Required;
        case.enrolled = true;
        case.step_up();
    });
    assert_eq!(case.says(), "issue");
    case.prompt(Prompt::Login);
    assert_eq!(case.says(), "login");
    case.sign_in();
    assert_eq!(case.says(), "second factor");
    case.step_up();
    assert_eq!(case.says(), "issue");
}

#[test]
fn oc_06_prompt_consent_asks_although_it_was_allowed() {
    let mut case = Case::with(|case| case.prompt(Prompt::Consent));
    assert_eq!(case.says(), "consent");
    case.client.settings.first_party = true;
    assert_eq!(case.says(), "consent", "also for the bank's own client");
}

#[test]
fn oc_06_login_and_consent_together_ask_in_that_order() {
    let mut case = Case::with(|case| {
        case.prompt(Prompt::Login);
        case.prompt(Prompt::Consent);
    });
    assert_eq!(case.says(), "login");
    case.sign_in();
    assert_eq!(case.says(), "consent");
}

#[test]
fn oc_09_a_hint_for_another_person() {
    let mut case = Case::with(|case| case.hint = Hint::Subject(BOB));
    assert_eq!(case.says(), "login");
    case.prompt(Prompt::None);
    assert_eq!(case.says(), "login_required");
    case.request.prompt.clear();
    case.sign_in();
    assert_eq!(case.says(), "login_required", "Alice signed in where Bob was meant");
    case.session().user = BOB;
    case.user.id = BOB;
    assert_eq!(case.says(), "consent", "Bob is whom the client means; he never consented");
}

#[test]
fn oc_09_a_hint_for_the_person_who_is_there_changes_nothing() {
    let case = Case::with(|case| case.hint = Hint::Subject(ALICE));
    assert_eq!(case.says(), "issue");
    assert_eq!(Case::with(|case| case.request.login_hint = Some("bob".into())).says(), "issue");
}

#[rstest]
#[case::strong_wanted(&["urn:openbanking:psd2:sca"], "enrol", "second factor")]
#[case::strong_preferred(&["urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"], "issue", "second factor")]
#[case::weak_preferred(&["urn:openbanking:psd2:ca", "urn:openbanking:psd2:sca"], "issue", "second factor")]
#[case::weak(&["urn:openbanking:psd2:ca"], "issue", "second factor")]
#[case::unknown(&["urn:mace:incommon:iap:silver"], "issue", "second factor")]
#[case::strong_among_unknown(&["gold", "urn:openbanking:psd2:sca"], "enrol", "second factor")]
fn oc_29_acr_values_decide_how_strongly(
    #[case] values: &[&str],
    #[case] without: &str,
    #[case] enrolled: &str,
) {
    let mut case = Case::with(|case| {
        case.acr_values(values);
        case.recent();
    });
    assert_eq!(case.says(), without);
    // The bank asks of everybody who has a second factor, whatever the client would be content with.
    case.enrolled = true;
    assert_eq!(case.says(), enrolled);
    case.step_up();
    assert_eq!(issued(case.next()).0.acr(), SCA);
}

#[test]
fn oc_34_default_acr_values_count_where_the_request_has_none() {
    let mut case = Case::with(|case| case.client.default_acr_values = vec![SCA.to_string()]);
    case.recent();
    assert_eq!(case.says(), "enrol");
    case.acr_values(&[CA.as_str()]);
    assert_eq!(case.says(), "issue", "the request speaks for itself");
}

#[rstest]
#[case::bank(|c: &mut Case| c.bank = SecondFactorPolicy::Required)]
#[case::account(|c: &mut Case| c.user.second_factor = Some(SecondFactorPolicy::Required))]
#[case::client(|c: &mut Case| c.client.settings.second_factor = Some(SecondFactorPolicy::Required))]
#[case::acr(|c: &mut Case| c.acr_values(&["urn:openbanking:psd2:sca"]))]
#[case::scope(|c: &mut Case| {
    c.scope("payments:write");
    c.consent.as_mut().unwrap().scope = "payments:write".parse().unwrap();
})]
fn each_voice_can_demand_a_second_factor(#[case] demand: fn(&mut Case)) {
    let mut case = Case::with(demand);
    case.recent();
    assert_eq!(case.says(), "enrol", "who has none enrols first");
    case.enrolled = true;
    assert_eq!(case.says(), "second factor");
    case.step_up();
    assert_eq!(case.says(), "issue");
}

#[test]
fn the_accounts_own_policy_stands_in_place_of_the_banks() {
    let mut case = Case::with(|case| {
        case.bank = SecondFactorPolicy::Required;
        case.user.second_factor = Some(SecondFactorPolicy::IfEnrolled);
    });
    assert_eq!(case.says(), "issue");
    case.recent();
    case.client.settings.second_factor = Some(SecondFactorPolicy::Required);
    assert_eq!(case.says(), "enrol", "but the client's can only add");
    case.client.settings.second_factor = Some(SecondFactorPolicy::IfEnrolled);
    case.user.second_factor = None;
    assert_eq!(case.says(), "enrol", "and never lowers");
}

#[test]
fn a_session_that_another_tab_made_since_then_counts() {
    // The interaction began with nobody there and prompt=login; the person signed in elsewhere.
    let mut case = Case::with(|case| case.prompt(Prompt::Login));
    case.session().created_at = case.began_at + minutes(1);
    case.sign_in();
    assert_eq!(case.says(), "issue");
    // An interaction that begins after that asks again.
    case.began_at = case.session().auth_time + Duration::microseconds(1);
    assert_eq!(case.says(), "login");
}

#[test]
fn a_first_party_client_is_not_asked_about_but_still_signed_in_for() {
    let mut case = Case::with(|case| {
        case.client.settings.first_party = true;
        case.consent = None;
    });
    let (_, Granting::Implied(ask)) = issued(case.next()) else { panic!("not implied") };
    assert_eq!(ask.scope().to_string(), "accounts:read openid");
    case.prompt(Prompt::None);
    assert_eq!(case.says(), "issue, implied");
    case.session = None;
    assert_eq!(case.says(), "login_required");
}

#[test]
fn oc_15_offline_access_of_a_first_party_client_is_asked_about() {
    let case = Case::with(|case| {
        case.client.settings.first_party = true;
        case.scope("openid offline_access");
    });
    assert_eq!(case.says(), "consent");
}

#[test]
fn roles_that_allow_nothing_refuse() {
    let mut case = Case::with(|case| {
        case.scope("accounts:read payments:write");
        case.user.roles.clear();
        case.enrolled = true;
        case.step_up();
    });
    assert_eq!(case.says(), "nothing allowed");
    // With part of the roles, part of the scope is left to ask about.
    case.user.roles = vec!["account-viewer".into()];
    case.consent = None;
    let Step::Consent(ask) = case.next() else { panic!("no question") };
    assert_eq!(ask.scope().to_string(), "accounts:read");
}

#[test]
fn a_role_that_was_taken_away_is_no_longer_remembered() {
    let mut case = case();
    case.user.roles.clear();
    let (_, Granting::Remembered(consent)) = issued(case.next()) else { panic!("not remembered") };
    assert_eq!(consent.scope().to_string(), "openid");
    assert!(consent.resources().is_empty());
}

#[rstest]
#[case(|_: &mut Case| (), "open")]
#[case(|c: &mut Case| c.session = None, "login")]
#[case(|c: &mut Case| c.session().ended_at = Some(now()), "login")]
#[case(|c: &mut Case| c.session().last_seen_at = now() - minutes(15), "login")]
#[case(|c: &mut Case| c.enrolled = true, "second factor")]
#[case(|c: &mut Case| { c.enrolled = true; c.step_up(); }, "open")]
#[case(|c: &mut Case| { c.bank = SecondFactorPolicy::Required; c.recent(); }, "enrol")]
#[case(|c: &mut Case| { c.user.second_factor = Some(SecondFactorPolicy::Required); c.recent(); }, "enrol")]
#[case::only_the_persons_own(|c: &mut Case| c.client.settings.second_factor = Some(SecondFactorPolicy::Required), "open")]
fn the_account_pages_want_what_the_bank_wants(#[case] change: fn(&mut Case), #[case] expected: &str) {
    assert_eq!(Case::with(change).account(), expected);
}

#[test]
fn at_03_a_request_over_several_resource_servers_reaches_no_step() {
    let several =
        AuthorizationRequest { scope: Some("accounts:read cards:read".parse().unwrap()), ..request() };
    let refused = validate(trusted(client()), several, Hint::Absent).unwrap_err();
    let expected = AudienceFault::Ambiguous(vec![BANK.into(), CARDS.into()]);
    assert_eq!(refused, crate::checks::AuthorizationFault::Audience(expected));
}

/// Who finds an open browser sets up no factor of their own.
#[test]
fn se_03_enrolment_wants_a_fresh_sign_in() {
    let mut case = Case::with(|case| case.bank = SecondFactorPolicy::Required);
    case.recent();
    assert_eq!(case.says(), "enrol");
    case.session().auth_time = now() - minutes(6);
    assert_eq!(case.says(), "login");
    assert_eq!(case.account(), "login");
    case.sign_in();
    assert_eq!(case.says(), "enrol");
}

#[test]
fn se_03_factors_change_only_after_a_fresh_and_strong_sign_in() {
    let mut session = Session { auth_time: now() - minutes(4), ..session() };
    assert!(may_change_factors(&session, false, now()));
    assert!(!may_change_factors(&session, true, now()), "the second factor is missing");
    session.acr = SCA;
    assert!(may_change_factors(&session, true, now()));
    session.auth_time = now() - minutes(5);
    assert!(!may_change_factors(&session, true, now()), "too long ago");
}

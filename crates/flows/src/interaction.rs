//! An interaction as its pages see it: what is shown now, and the answers that end it.
//!
//! Every request of an interaction begins the same way: find it, see that it is this browser's and
//! still open, check the stored request again, and ask what comes next. Posts carry a token that is
//! derived from the browser's cookie and the interaction (BCP-16); without the cookie nobody can
//! make one.

use std::sync::Arc;

use audit::EventKind;
use consent::{Answer, BankAccount, ConsentAsk, accounts::names_own_accounts};
use jose::digest::{Digest, hmac_sha256, sha256, sha256_framed};
use mfa::TotpEnrolment;
use protocol::{InteractionId, authorization::AuthorizationRequest, secret::CsrfToken};
use tokens::{
    checks::ValidatedAuthorization,
    client::Client,
    interaction::{InteractionRecord, Purpose},
    logout::LogoutFrame,
    redirect::VerifiedRedirect,
    step::{
        AccountStep, AuthenticatorStep, Situation, Step, StepRefusal, account_step, authenticator_step,
        next_step, reauthentication_step,
    },
};

use crate::{
    authorize::{AuthorizationRefusal, AuthorizationResponse},
    context::RequestContext,
    error::{FlowError, Result},
    service::Service,
    visitor::{Cookies, Facts, Visitor},
};

/// Why an interaction can't go on. A page says so; nobody is redirected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InteractionRefusal {
    /// Unknown, expired, or answered already: the person starts again at the app.
    #[error("interaction_over")]
    Over,
    /// Of another browser, or a post without the right token (BCP-16).
    #[error("forgery")]
    Forgery,
}

/// An interaction on its way.
#[derive(Debug)]
pub struct Interaction {
    /// Its row.
    pub record: InteractionRecord,
    /// The client that asks; none for the account pages.
    pub validated: Option<ValidatedAuthorization>,
    /// Who is signed in.
    pub visitor: Option<Visitor>,
    /// What posts of its pages must carry.
    pub csrf: CsrfToken,
}

impl Interaction {
    /// The client that asks.
    pub fn client(&self) -> Option<&Arc<Client>> {
        self.validated.as_ref().map(ValidatedAuthorization::client)
    }

    /// The authorization request.
    pub fn request(&self) -> Option<&AuthorizationRequest> {
        self.validated.as_ref().map(ValidatedAuthorization::request)
    }
}

/// What the browser is shown next.
#[derive(Debug)]
pub enum Shown {
    /// The sign-in page.
    SignIn(Interaction),
    /// The page that asks who goes on: the person who is signed in, or somebody else.
    SelectAccount(Interaction),
    /// The page that asks for a one-time password.
    SecondFactor(Interaction),
    /// The page that sets up an authenticator.
    Enrol(Interaction, Box<TotpEnrolment>),
    /// The consent page, with the person's accounts where some may be chosen; and whether they were not.
    Consent(Interaction, Box<ConsentPage>),
    /// The client gets its answer.
    Respond(AuthorizationResponse),
    /// The account pages are open.
    Account,
    /// It can't go on.
    Refused(InteractionRefusal),
}

/// What a consent page asks.
#[derive(Debug)]
pub struct ConsentPage {
    /// The question.
    pub ask: ConsentAsk,
    /// The person's accounts; none where the question has nothing to do with any.
    pub accounts: Vec<BankAccount>,
    /// Whether the page comes again because no account was chosen.
    pub unchosen: bool,
}

/// An interaction that was found and may go on.
pub(crate) enum Found {
    Open(Box<Open>),
    /// The stored request no longer passes the checks, because the client changed.
    Respond(AuthorizationResponse),
    Refused(InteractionRefusal),
}

/// Everything about an open interaction.
pub(crate) struct Open {
    pub(crate) record: InteractionRecord,
    pub(crate) validated: Option<ValidatedAuthorization>,
    pub(crate) facts: Facts,
    pub(crate) csrf: CsrfToken,
}

impl Open {
    pub(crate) fn is_for_authenticator(&self) -> bool {
        self.record.purpose == Purpose::Authenticator
    }

    /// The facts that the next step is found from.
    pub(crate) fn situation(&self) -> Situation<'_> {
        Situation { chosen: self.record.chosen_session, ..self.facts.situation(self.record.created_at) }
    }

    pub(crate) fn shown(self) -> Interaction {
        let Self { record, validated, facts, csrf } = self;
        Interaction { record, validated, visitor: facts.visitor, csrf }
    }
}

impl Service {
    /// Shows what comes next, and answers the client when nothing is missing any more.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn show(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
    ) -> Result<Shown> {
        // What changes in the last moment (another tab answers, the session ends) leads to another step.
        match self.next_shown(context, id, cookies).await? {
            Some(shown) => Ok(shown),
            None => Ok(self.next_shown(context, id, cookies).await?.unwrap_or_else(over)),
        }
    }

    /// The same. `None` when something changed before the client could be answered.
    async fn next_shown(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
    ) -> Result<Option<Shown>> {
        let open = match self.open(context, id, cookies).await? {
            Found::Open(open) => open,
            Found::Respond(response) => return Ok(Some(Shown::Respond(response))),
            Found::Refused(refusal) => return Ok(Some(Shown::Refused(refusal))),
        };
        let declared = self.declared();
        let now = self.now();
        let policy = self.step_policy(&declared)?;
        let situation = open.situation();
        let Some(validated) = &open.validated else { return self.show_own(*open).map(Some) };
        let shown = match next_step(validated, &situation, &policy, now) {
            Step::Login => Shown::SignIn(open.shown()),
            Step::SelectAccount => {
                let mut shown = open.shown();
                if let Some(visitor) = &shown.visitor {
                    shown.csrf = account_token(&shown.csrf, visitor);
                }
                Shown::SelectAccount(shown)
            }
            Step::SecondFactor => Shown::SecondFactor(open.shown()),
            Step::Enrol => self.show_enrolment(*open)?,
            Step::Consent(ask) => self.show_consent(context, *open, *ask, false).await?,
            Step::Issue { authentication, consent } => {
                let issued = self.issue(context, validated, &authentication, consent, Some(&open.record));
                return Ok(issued.await?.map(Shown::Respond));
            }
            Step::Refuse(refusal) => return self.end(context, &open, refusal.into()).await,
        };
        Ok(Some(shown))
    }

    /// Shows what comes next where no client asks: on the way to the account pages.
    fn show_own(&self, open: Open) -> Result<Shown> {
        let declared = self.declared();
        let now = self.now();
        let policy = self.step_policy(&declared)?;
        let situation = open.situation();
        if open.record.purpose == Purpose::Account {
            return match account_step(&situation, &policy, now) {
                AccountStep::Login => Ok(Shown::SignIn(open.shown())),
                AccountStep::SecondFactor => Ok(Shown::SecondFactor(open.shown())),
                AccountStep::Enrol => self.show_enrolment(open),
                AccountStep::Open(_) => Ok(Shown::Account),
            };
        }
        let step = match open.record.purpose {
            Purpose::Reauthentication => reauthentication_step(&situation, &policy, now),
            _ => authenticator_step(&situation, open.facts.confirmed_at(), &policy, now),
        };
        match step {
            AuthenticatorStep::Login => Ok(Shown::SignIn(open.shown())),
            AuthenticatorStep::SecondFactor => Ok(Shown::SecondFactor(open.shown())),
            AuthenticatorStep::Enrol => self.show_enrolment(open),
            AuthenticatorStep::Done => Ok(Shown::Account),
        }
    }

    /// Asks, unless what is asked for is another's.
    async fn show_consent(
        &self,
        context: &RequestContext,
        open: Open,
        ask: ConsentAsk,
        unchosen: bool,
    ) -> Result<Shown> {
        let accounts = self.accounts_for(&open, &ask).await?;
        let asked = ask.details().iter().map(|item| item.detail.clone()).collect();
        if !names_own_accounts(&asked, &accounts) {
            let refusal = AuthorizationRefusal::Step(StepRefusal::ForeignAccount);
            return self.end(context, &open, refusal).await.map(|ended| ended.unwrap_or_else(over));
        }
        let mut shown = open.shown();
        if let Some(visitor) = &shown.visitor {
            shown.csrf = consent_token(&shown.csrf, visitor, &ask);
        }
        Ok(Shown::Consent(shown, Box::new(ConsentPage { ask, accounts, unchosen })))
    }

    /// The person's accounts, where details are asked about.
    async fn accounts_for(&self, open: &Open, ask: &ConsentAsk) -> Result<Vec<BankAccount>> {
        match &open.facts.visitor {
            Some(visitor) if !ask.details().is_empty() || !ask.standing_details().is_empty() => {
                Ok(self.0.store.accounts_of(visitor.user.id).await?)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn show_enrolment(&self, open: Open) -> Result<Shown> {
        let visitor = open.facts.visitor.as_ref();
        let visitor = visitor.ok_or(FlowError::Contradiction("enrolment without a visitor"))?;
        let enrolment = self.enrolment(visitor, open.record.id)?;
        Ok(Shown::Enrol(open.shown(), Box::new(enrolment)))
    }

    /// The person allows what the page asked; `chosen` has the accounts that they chose, for each detail of
    /// the page by its position (RFC 9396 §7.1). If something else would be asked by now (a role, the
    /// catalogue or the standing consent changed), they are asked anew.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn allow(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
        chosen: &[Vec<String>],
    ) -> Result<Shown> {
        let open = match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => open,
            Found::Respond(response) => return Ok(Shown::Respond(response)),
            Found::Refused(refusal) => return Ok(Shown::Refused(refusal)),
        };
        let declared = self.declared();
        let now = self.now();
        let situation = open.situation();
        if let Some(validated) = &open.validated
            && let Step::Consent(ask) = next_step(validated, &situation, &self.step_policy(&declared)?, now)
            && let Some(visitor) = &open.facts.visitor
            && sha256(consent_token(&open.csrf, visitor, &ask).expose()) == sha256(csrf.expose())
            && let Some(authentication) =
                mfa::Authentication::from_session(&visitor.session, &self.0.policies.sessions, now)
        {
            let accounts = self.accounts_for(&open, &ask).await?;
            let asked = ask.details().iter().map(|item| item.detail.clone()).collect();
            let answered = match ask.clone().choose(&accounts, chosen) {
                Ok(answered) if names_own_accounts(&asked, &accounts) => answered,
                _ => return self.show_consent(context, *open, *ask, true).await,
            };
            let (upsert, consent) = self.answer(validated.client(), &answered, &Answer::All, now)?;
            let under = (Some(upsert), consent);
            let issued = self.issue_under(context, validated, &authentication, under, Some(&open.record));
            if let Some(response) = issued.await? {
                return Ok(Shown::Respond(response));
            }
        }
        // Something changed since the page was made (the session ended, another tab answered): show
        // what comes next now.
        self.show(context, id, cookies).await
    }

    /// The person says no, on any page (F2-32).
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn deny(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
    ) -> Result<Shown> {
        match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => {
                let ended = self.end(context, &open, AuthorizationRefusal::Denied).await?;
                Ok(ended.unwrap_or_else(over))
            }
            Found::Respond(response) => Ok(Shown::Respond(response)),
            Found::Refused(refusal) => Ok(Shown::Refused(refusal)),
        }
    }

    /// The person goes on with the account that the page showed. If another one is signed in by now, the
    /// page comes again. Answers why not, if it can't be done.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn choose_account(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
    ) -> Result<Option<InteractionRefusal>> {
        let open = match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => open,
            Found::Respond(_) => return Ok(None),
            Found::Refused(refusal) => return Ok(Some(refusal)),
        };
        if let Some(visitor) = &open.facts.visitor
            && sha256(account_token(&open.csrf, visitor).expose()) == sha256(csrf.expose())
        {
            let mut tx = self.0.store.begin().await?;
            // No row: another tab went on meanwhile, and what comes next is found anew anyway.
            tx.choose_session(open.record.id, open.record.version, visitor.session.id).await?;
            tx.commit().await?;
        }
        Ok(None)
    }

    /// Somebody else sits at the browser: ends the session, so that the sign-in page comes next. Gives what
    /// is framed on the way there (FL-01), or why it can't be done.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn switch_user(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
    ) -> Result<std::result::Result<Vec<LogoutFrame>, InteractionRefusal>> {
        match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => match &open.facts.visitor {
                Some(visitor) => self.sign_out(context, visitor, "switched").await.map(Ok),
                None => Ok(Ok(Vec::new())),
            },
            Found::Respond(_) => Ok(Ok(Vec::new())),
            Found::Refused(refusal) => Ok(Err(refusal)),
        }
    }

    /// Ends an interaction without a code. `None` when nobody is to be answered: no client asks, or
    /// another tab ended it before.
    async fn end(
        &self,
        context: &RequestContext,
        open: &Open,
        refusal: AuthorizationRefusal,
    ) -> Result<Option<Shown>> {
        let Some(validated) = &open.validated else {
            let mut tx = self.0.store.begin().await?;
            tx.complete_interaction(open.record.id, open.record.version, self.now()).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let user = open.facts.visitor.as_ref().map(|visitor| visitor.user.id);
        let to = (validated.client(), validated.redirect().clone());
        let response = self.refuse_ending(context, &open.record, to, refusal, user).await?;
        Ok(response.map(Shown::Respond))
    }

    /// Finds an interaction for a post, which must carry the right token.
    pub(crate) async fn post(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
    ) -> Result<Found> {
        let found = self.open(context, id, cookies).await?;
        if let Found::Open(open) = &found
            && sha256(open.csrf.expose()) != sha256(transaction_part(csrf))
        {
            return self.forgery(context, id).await;
        }
        Ok(found)
    }

    async fn forgery(&self, context: &RequestContext, id: InteractionId) -> Result<Found> {
        let event = self.event(context, EventKind::ForgeryRefused, self.now()).interaction(id);
        self.record(&event.reason("wrong_browser_or_token")).await?;
        Ok(Found::Refused(InteractionRefusal::Forgery))
    }

    /// Finds an interaction of this browser that is still open, and checks its request again.
    pub(crate) async fn open(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
    ) -> Result<Found> {
        let over = Ok(Found::Refused(InteractionRefusal::Over));
        let session = cookies.session.as_ref().map(|cookie| sha256(cookie.expose()));
        let found = self.0.store.interaction_with_visit(id, session.as_ref()).await?;
        let found = found.filter(|(record, _)| record.is_open(self.now()));
        let Some((record, visit)) = found else { return over };
        let browser = cookies.browser.as_ref().filter(|cookie| sha256(cookie.expose()) == record.browser);
        let Some(browser) = browser else { return self.forgery(context, id).await };
        let csrf = csrf_token(browser.expose(), &["interaction", &record.id.to_string()]);
        if let Purpose::Device { request, expires_at, .. } = &record.purpose {
            // The device has given up: nobody is told that it is connected.
            if *expires_at <= self.now() {
                return over;
            }
            let Some(client) = self.client(&request.client_id).await? else { return over };
            let catalogue = &self.declared().catalogue;
            let Ok(validated) = ValidatedAuthorization::of_device((**request).clone(), client, catalogue)
            else {
                return over;
            };
            let facts = self.received(visit).await?;
            return Ok(Found::Open(Box::new(Open { record, validated: Some(validated), facts, csrf })));
        }
        let Purpose::Authorization { request } = &record.purpose else {
            let facts = self.received(visit).await?;
            return Ok(Found::Open(Box::new(Open { record, validated: None, facts, csrf })));
        };
        // The client may have lost the redirect URI, or itself, since the request came.
        let Some(client) = self.client(&request.client_id).await? else { return over };
        let Ok(redirect) = VerifiedRedirect::of_stored(request, &client) else { return over };
        let declared = self.declared();
        let checked = self.revalidate((**request).clone(), client.clone(), redirect.clone(), &declared);
        match checked {
            Ok(validated) => {
                let facts = self.received(visit).await?;
                Ok(Found::Open(Box::new(Open { record, validated: Some(validated), facts, csrf })))
            }
            Err(fault) => {
                let to = (&client, redirect);
                let response = self.refuse_ending(context, &record, to, fault.into(), None).await?;
                response.map_or(over, |response| Ok(Found::Respond(response)))
            }
        }
    }
}

fn over() -> Shown {
    Shown::Refused(InteractionRefusal::Over)
}

/// The token of a form: only who has the cookie can make it, and it fits one transaction (BCP-16).
pub(crate) fn csrf_token(cookie: &str, about: &[&str]) -> CsrfToken {
    let parts: Vec<&[u8]> = about.iter().map(|part| part.as_bytes()).collect();
    let tag: Digest = hmac_sha256(cookie.as_bytes(), &parts);
    CsrfToken::new(tag.to_string())
}

/// The token of a consent page: that of the transaction, whom it asks, and which question it shows,
/// so that nobody allows what they did not read, or what another person was asked in this browser
/// (F2-28, BCP-16).
fn consent_token(transaction: &CsrfToken, visitor: &Visitor, ask: &ConsentAsk) -> CsrfToken {
    let session = visitor.session.id.to_string();
    let mut question = vec![session, visitor.user.id.to_string(), ask.scope().to_string()];
    for group in ask.groups() {
        question.push(group.audience.clone().unwrap_or_default());
        question.extend(group.items.iter().map(|item| item.definition.name.to_string()));
    }
    for item in ask.details() {
        question.push(serde_json::Value::Object(item.detail.members().clone()).to_string());
    }
    let parts: Vec<&[u8]> = question.iter().map(|part| part.as_bytes()).collect();
    CsrfToken::new(format!("{}.{}", transaction.expose(), sha256_framed(&parts)))
}

/// The token of a page that shows whom one may go on as: that of the transaction, and who it is.
fn account_token(transaction: &CsrfToken, visitor: &Visitor) -> CsrfToken {
    let (session, user) = (visitor.session.id.to_string(), visitor.user.id.to_string());
    let shown = sha256_framed(&[b"account", session.as_bytes(), user.as_bytes()]);
    CsrfToken::new(format!("{}.{shown}", transaction.expose()))
}

/// The part of a posted token that every page of the transaction has.
fn transaction_part(csrf: &CsrfToken) -> &str {
    csrf.expose().split('.').next().unwrap_or_default()
}

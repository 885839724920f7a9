//! The device flow (RFC 8628): a device asks, a person decides in a browser, the device polls.
//!
//! Nothing here asks the person anything that another app would not ask: the code that they type leads,
//! once confirmed, to an interaction like any other, whose answer is always asked for (DV-05).

use std::sync::{Arc, Mutex, PoisonError};

use audit::EventKind;
use chrono::{DateTime, Utc};
use jose::digest::{sha256, sha256_framed};
use protocol::{
    InteractionId,
    authorization::AuthorizationRequest,
    device::{DeviceAuthorizationRequest, DeviceAuthorizationResponse, DeviceRequestFault, UserCode},
    params::Params,
    secret::{BrowserCookie, CsrfToken, DeviceCode},
    token::DeviceTokenRequest,
};
use tokens::{
    checks::{AuthorizationFault, ValidatedAuthorization},
    client::Client,
    code::CodeFault,
    device::{
        DeviceFault, DeviceRecord, DeviceState, INTERVAL, LIFETIME, device_digest, may_use, poll,
        user_code_digest,
    },
    interaction::Purpose,
    sender::Sender,
};

use crate::{
    client_auth::{ClientGate, Unauthenticated, admitted},
    context::RequestContext,
    error::{FlowError, Result},
    interaction::csrf_token,
    random::Draw,
    service::Service,
    token::{Answer, TokenRefusal},
    visitor::Cookies,
};

/// Wrong codes that one node hears in a minute, from everybody together (DV-04). With 34 bits and ten
/// minutes, one waiting device is found with a chance of one in forty million, one of a thousand with one
/// in forty thousand; whoever finds one connects it to an account of their own and gets nothing of the
/// person's.
const WRONG_PER_MINUTE: u32 = 60;

/// Wrong codes of the current minute.
#[derive(Debug, Default)]
pub(crate) struct WrongCodes(Mutex<(i64, u32)>);

impl WrongCodes {
    /// Counts a code as wrong before it is looked up, so that many at the same moment are no more than
    /// many one after another. `false` if no more may be tried.
    fn reserve(&self, now: DateTime<Utc>) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.timestamp() / 60;
        let before = if held.0 == minute { held.1 } else { 0 };
        let allowed = before < WRONG_PER_MINUTE;
        *held = (minute, before + u32::from(allowed));
        allowed
    }

    /// It was not wrong, or not looked up.
    fn give_back(&self, now: DateTime<Utc>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 == now.timestamp() / 60 {
            held.1 = held.1.saturating_sub(1);
        }
    }
}

/// Why a device gets no codes.
#[derive(Debug, thiserror::Error)]
pub enum DeviceRefusal {
    /// The client is not authenticated.
    #[error("client authentication failed")]
    Client(Unauthenticated),
    /// The client has sent too many requests: it may come again after so many seconds.
    #[error("too many requests; retry after {0} s")]
    Limited(u64),
    /// The request is malformed.
    #[error(transparent)]
    Form(#[from] DeviceRequestFault),
    /// The client may not use the grant (DV-06).
    #[error("grant_type_not_allowed")]
    NotAllowed,
    /// It asks for what it may not have.
    #[error(transparent)]
    Fault(#[from] AuthorizationFault),
}

/// What becomes of a code that a person typed.
#[derive(Debug)]
pub enum TypedCode {
    /// A device waits under it: the person is asked whether it is theirs.
    Confirm {
        /// Who asks.
        client: Arc<Client>,
        /// The code, as the device shows it.
        code: UserCode,
        /// What the answer must carry.
        csrf: CsrfToken,
    },
    /// Nobody waits under it, or it is over.
    Wrong,
    /// Too many wrong codes: wait so many seconds.
    Wait(i64),
}

/// What becomes of a confirmation.
#[derive(Debug)]
pub enum ConfirmedCode {
    /// The person signs in and is asked, as for any app.
    Interact(InteractionId),
    /// The code is over, or somebody else confirmed it.
    Over,
    /// Too many wrong codes: wait so many seconds.
    Wait(i64),
    /// A post without the right token (BCP-16).
    Forgery,
}

impl Service {
    /// Handles a device authorization request (RFC 8628 §3.1).
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn authorize_device(
        &self,
        context: &RequestContext,
        authorization: Option<&str>,
        body: &Params,
        gate: ClientGate<'_>,
    ) -> Result<std::result::Result<DeviceAuthorizationResponse, DeviceRefusal>> {
        let parsed = DeviceAuthorizationRequest::parse(body);
        if let Err(fault @ DeviceRequestFault::Repeated(_)) = parsed {
            return Ok(Err(fault.into()));
        }
        let endpoint = "/device_authorization";
        let client = match self.authenticate_client(context, authorization, body, endpoint).await? {
            Ok(client) => client,
            Err(refusal) => return Ok(Err(DeviceRefusal::Client(refusal))),
        };
        if let Err(seconds) = admitted(client.client(), gate) {
            return Ok(Err(DeviceRefusal::Limited(seconds)));
        }
        let id = client.client().id.clone();
        let refuse = async |refusal: DeviceRefusal| {
            let event = self.event(context, EventKind::DeviceRefused, self.now()).client(id.clone());
            self.note(event.reason(refusal.to_string())).await?;
            Ok(Err(refusal))
        };
        if !may_use(client.client()) {
            return refuse(DeviceRefusal::NotAllowed).await;
        }
        let request = match parsed {
            Ok(request) => request,
            Err(fault) => return refuse(fault.into()).await,
        };
        let request = AuthorizationRequest::of_device(id.as_str(), request.scope, request.resources);
        let registered = self.client(id.as_str()).await?;
        let registered = registered.ok_or(FlowError::Contradiction("an authenticated client of nobody"))?;
        let catalogue = &self.declared().catalogue;
        if let Err(fault) = ValidatedAuthorization::of_device(request.clone(), registered, catalogue) {
            return refuse(fault.into()).await;
        }
        let now = self.now();
        loop {
            let code = DeviceCode::from_entropy(self.entropy());
            let user_code = UserCode::from_entropy(self.random().bytes());
            let record = DeviceRecord {
                digest: device_digest(&code),
                user_code: user_code_digest(&user_code),
                client: id.clone(),
                request: request.clone(),
                state: DeviceState::Pending,
                poll_after: now,
                poll_every: INTERVAL,
                created_at: now,
                expires_at: now + LIFETIME,
            };
            // Another device may wait under the same letters.
            if self.0.store.begin_device(&record).await? != 1 {
                continue;
            }
            self.note(self.event(context, EventKind::DeviceStarted, now).client(id)).await?;
            let issuer = &self.0.policies.issuer;
            let shown = user_code.shown();
            return Ok(Ok(DeviceAuthorizationResponse {
                device_code: code,
                verification_uri: format!("{issuer}/device"),
                verification_uri_complete: format!("{issuer}/device?user_code={shown}"),
                user_code: shown,
                expires_in: LIFETIME.num_seconds(),
                interval: INTERVAL,
            }));
        }
    }

    /// Looks a typed code up. Wrong ones are counted for the browser and for everybody together; the
    /// address is limited before (DV-04).
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn typed_code(
        &self,
        context: &RequestContext,
        browser: &BrowserCookie,
        typed: &str,
    ) -> Result<TypedCode> {
        let code = UserCode::parse(typed);
        let found = match self.guess(context, browser, code.as_ref()).await? {
            Err(seconds) => return Ok(TypedCode::Wait(seconds)),
            Ok(found) => found,
        };
        let client = match found {
            Some(record) => self.client(record.client.as_str()).await?,
            None => None,
        };
        let (Some(client), Some(code)) = (client, code) else { return Ok(TypedCode::Wrong) };
        let csrf = csrf_token(browser.expose(), &["device", code.letters()]);
        Ok(TypedCode::Confirm { client, code, csrf })
    }

    /// Looks a code up, and counts it where no device waits under it. Whoever may try no more is told for
    /// how many seconds. The token of a page keeps other sites out and nobody who makes up a browser's
    /// cookie, so every way to try a code leads through here (DV-04).
    async fn guess(
        &self,
        context: &RequestContext,
        browser: &BrowserCookie,
        code: Option<&UserCode>,
    ) -> Result<std::result::Result<Option<DeviceRecord>, i64>> {
        let now = self.now();
        if !self.0.wrong_codes.reserve(now) {
            return Ok(Err(60));
        }
        let key = sha256_framed(&[b"user codes of a browser", sha256(browser.expose()).as_bytes()]);
        if let Err(seconds) = self.count_attempt(key).await? {
            self.0.wrong_codes.give_back(now);
            return Ok(Err(seconds));
        }
        let record = match code {
            None => None,
            Some(code) => self.0.store.device_by_user_code(&user_code_digest(code)).await?,
        };
        let open = |record: &DeviceRecord| record.state == DeviceState::Pending && record.expires_at > now;
        let Some(record) = record.filter(open) else {
            let event = self.event(context, EventKind::DeviceRefused, now);
            self.note(event.by(audit::Actor::Customer).reason("unknown_user_code")).await?;
            return Ok(Ok(None));
        };
        self.0.wrong_codes.give_back(now);
        self.0.store.forgive_attempts(&key).await?;
        Ok(Ok(Some(record)))
    }

    /// The person says that the code is that of their device: whoever does so first decides about it.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn confirm_code(
        &self,
        context: &RequestContext,
        cookies: &Cookies,
        typed: &str,
        csrf: &CsrfToken,
    ) -> Result<ConfirmedCode> {
        let (Some(browser), Some(code)) = (&cookies.browser, UserCode::parse(typed)) else {
            return Ok(ConfirmedCode::Forgery);
        };
        let expected = csrf_token(browser.expose(), &["device", code.letters()]);
        if sha256(expected.expose()) != sha256(csrf.expose()) {
            let event = self.event(context, EventKind::ForgeryRefused, self.now());
            self.record(&event.reason("wrong_token")).await?;
            return Ok(ConfirmedCode::Forgery);
        }
        let record = match self.guess(context, browser, Some(&code)).await? {
            Err(seconds) => return Ok(ConfirmedCode::Wait(seconds)),
            Ok(None) => return Ok(ConfirmedCode::Over),
            Ok(Some(record)) => record,
        };
        let now = self.now();
        let request = Box::new(record.request);
        let purpose = Purpose::Device { request, device: record.digest, expires_at: record.expires_at };
        let interaction = self.new_interaction(Some(record.client), purpose, browser, now);
        // Both or neither: nobody decides about a device that was taken without a place to answer.
        let mut tx = self.0.store.begin().await?;
        if tx.claim_device(&record.digest, now).await? != 1 {
            return Ok(ConfirmedCode::Over);
        }
        tx.begin_interaction(&interaction).await?;
        tx.commit().await?;
        Ok(ConfirmedCode::Interact(interaction.id))
    }

    /// Answers a poll (RFC 8628 §3.4).
    pub(crate) async fn poll_device(
        &self,
        context: &RequestContext,
        sender: &Sender,
        request: &DeviceTokenRequest,
    ) -> Answer {
        let client = sender.authenticated();
        if !may_use(client.client()) {
            return self
                .token_refused(context, Some(client), DeviceFault::GrantNotAllowed.into(), None)
                .await;
        }
        let digest = device_digest(&request.device_code);
        if let Some(allowed) = self.0.store.code(&digest).await? {
            let now = self.now();
            let declared = self.declared();
            return match tokens::code::redeem_device(sender, allowed, &declared.catalogue, now) {
                Ok(code) => self.give(context, sender, &code, &request.resources).await,
                // The device is told in its own words (RFC 8628 §3.5).
                Err(refusal) if refusal.fault == CodeFault::Expired => {
                    self.token_refused(context, Some(client), DeviceFault::Expired.into(), None).await
                }
                Err(refusal) => self.code_refused(context, client, refusal).await,
            };
        }
        let record = self.0.store.device(&digest).await?;
        let (fault, next) = poll(record.as_ref(), client.client(), self.now());
        if let Some(next) = next {
            self.0.store.polled(&digest, &next).await?;
        }
        // Waiting is no event.
        match fault {
            DeviceFault::Pending | DeviceFault::SlowDown => Ok(Err(TokenRefusal::Device(fault))),
            fault => self.token_refused(context, Some(client), fault.into(), None).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn dv_04_wrong_codes_of_everybody_are_bounded() {
        let wrong = WrongCodes::default();
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for _ in 0..WRONG_PER_MINUTE {
            assert!(wrong.reserve(start));
        }
        assert!(!wrong.reserve(start + TimeDelta::seconds(59)));
        wrong.give_back(start);
        assert!(wrong.reserve(start) && !wrong.reserve(start), "one was right");
        let later = start + TimeDelta::seconds(60);
        assert!(wrong.reserve(later));
        wrong.give_back(start);
        for _ in 1..WRONG_PER_MINUTE {
            assert!(wrong.reserve(later));
        }
        assert!(!wrong.reserve(later), "what is given back late counts for its own minute");
    }
}

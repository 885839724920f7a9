//! The token endpoint (RFC 6749 §3.2).
//!
//! Authenticate the client, read, decide, sign; then one write with the condition that only one
//! request can meet. A refusal that ends a family commits that end.

use audit::EventKind;
use chrono::{DateTime, Utc};
use jose::{Unreplayed, VerifiedDpop, digest::sha256};
use protocol::{
    GrantId, TokenId,
    params::Params,
    token::{
        ClientCredentialsRequest, CodeRequest, Confirmation, RefreshRequest, TokenRequest, TokenRequestFault,
        TokenResponse,
    },
};
use store::hot::{Redemption, RefreshUse, Rotation};
use tokens::{
    assertion_grant::AssertionGrantRefusal,
    client_auth::AuthenticatedClient,
    code::{CodeFault, CodeRefusal, RedeemableCode, redeem},
    credentials_grant::{ClientGrantFault, client_credentials},
    device::DeviceFault,
    envelope::Envelope,
    exchange::ExchangeFault,
    grant::LiveGrant,
    mint::{Authority, MintedToken, TokenEntropy},
    refresh::{Ageing, RefreshFault, RefreshRefusal, first_refresh_token, refresh},
    sender::{Sender, Unconstrained},
};

use crate::{
    client_auth::{ClientGate, Recognised, Unauthenticated, admitted},
    context::RequestContext,
    deliver::Undeliverable,
    dpop::{DpopAt, DpopRefusal},
    error::Result,
    random::Draw,
    service::Service,
};

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefusal {
    /// The client is not authenticated.
    #[error("client authentication failed")]
    Client(Unauthenticated),
    /// The client has sent too many requests: it may come again after so many seconds.
    #[error("too many requests; retry after {0} s")]
    Limited(u64),
    /// The request is malformed.
    #[error(transparent)]
    Form(#[from] TokenRequestFault),
    /// The code gives nothing.
    #[error(transparent)]
    Code(#[from] CodeFault),
    /// A `resource` that the grant does not cover.
    #[error(transparent)]
    Audience(#[from] consent::AudienceFault),
    /// The refresh token gives nothing.
    #[error(transparent)]
    Refresh(#[from] RefreshFault),
    /// The proof of a key proves nothing.
    #[error(transparent)]
    Dpop(#[from] DpopRefusal),
    /// The client's tokens must be bound, and it showed no key (F2-09, DP-09).
    #[error(transparent)]
    Unconstrained(#[from] Unconstrained),
    /// The client wants its ID tokens encrypted, and there is no key of it. Nothing is used up.
    #[error(transparent)]
    Undeliverable(#[from] Undeliverable),
    /// The device waits, or waits in vain.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// The client may not act for itself like that.
    #[error(transparent)]
    ClientGrant(#[from] ClientGrantFault),
    /// The token can't be exchanged.
    #[error(transparent)]
    Exchange(#[from] ExchangeFault),
    /// The assertion gives nothing.
    #[error(transparent)]
    Assertion(#[from] AssertionGrantRefusal),
}

/// The key of the proof that came with a request, if one came.
type ShownKey = std::result::Result<Option<VerifiedDpop>, DpopRefusal>;

pub(crate) type Answer = Result<std::result::Result<TokenResponse, TokenRefusal>>;

impl Service {
    /// Handles a token request. `authorization` is the header as it came; `gate` limits how often an
    /// authenticated client comes.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn token(
        &self,
        context: &RequestContext,
        authorization: Option<&str>,
        body: &Params,
        gate: ClientGate<'_>,
    ) -> Answer {
        // A repeated parameter is refused before anything is believed, credentials included.
        let parsed = TokenRequest::parse(body);
        if let Err(fault @ TokenRequestFault::Repeated(_)) = parsed {
            return self.token_refused(context, None, fault.into(), None).await;
        }
        let recognised = match self.recognise_client(context, authorization, body, "/token").await? {
            Ok(recognised) => recognised,
            Err(refusal) => return Ok(Err(TokenRefusal::Client(refusal))),
        };
        // Not audited: a flood must not become a flood of rows. Asked before the assertion is used up,
        // because that is a write: whoever has a signed one has more than a name.
        if let Err(seconds) = admitted(recognised.claimed(), gate) {
            return Ok(Err(TokenRefusal::Limited(seconds)));
        }
        let request = match parsed {
            Ok(request) => request,
            Err(fault) => {
                return match self.confirm_alone(context, recognised).await? {
                    Ok(client) => self.token_refused(context, Some(&client), fault.into(), None).await,
                    Err(replayed) => Ok(Err(TokenRefusal::Client(replayed))),
                };
            }
        };
        let (client, proof) = match self.shown_once(context, recognised).await? {
            Ok(shown) => shown,
            Err(refusal) => return Ok(Err(TokenRefusal::Client(refusal))),
        };
        // Before anything is looked up, so that a refusal here uses nothing up (DP-15).
        let sender = match self.sender(context, &client, proof) {
            Ok(sender) => sender,
            Err(refusal) => return self.token_refused(context, Some(&client), refusal, None).await,
        };
        match request {
            TokenRequest::AuthorizationCode(request) => self.redeem(context, &sender, &request).await,
            TokenRequest::RefreshToken(request) => self.refresh(context, &sender, &request).await,
            TokenRequest::ClientCredentials(request) => self.credentials(context, &sender, &request).await,
            TokenRequest::TokenExchange(request) => self.exchange_token(context, &sender, &request).await,
            TokenRequest::JwtBearer(request) => self.take_assertion(context, &sender, &request).await,
            TokenRequest::DeviceCode(request) => self.poll_device(context, &sender, &request).await,
        }
    }

    /// The client and the key that it shows, after the assertion and the proof of the request were used
    /// up, which is one write where there are both.
    async fn shown_once(
        &self,
        context: &RequestContext,
        recognised: Recognised,
    ) -> Result<std::result::Result<(AuthenticatedClient, ShownKey), Unauthenticated>> {
        let store = &self.0.store;
        let proof = self.unreplayed_dpop(context, DpopAt::authorization_server("POST", "/token"));
        let proved = proof.as_ref().ok().and_then(Option::as_ref).map(Unreplayed::mark);
        let (asserted, proved) = match (recognised.mark(), proved) {
            (Some(assertion), Some(proof)) => store.mark_both(&assertion, &proof).await?,
            (Some(assertion), None) => (store.mark_once(&assertion).await?, 0),
            (None, Some(proof)) => (0, store.mark_once(&proof).await?),
            (None, None) => (0, 0),
        };
        let proof = proof.and_then(|proof| {
            proof.map(|proof| proof.confirm(proved)).transpose().map_err(DpopRefusal::from)
        });
        Ok(self.confirm_client(context, recognised, asserted).await?.map(|client| (client, proof)))
    }

    /// The client with the key that its tokens will be bound to.
    fn sender(
        &self,
        context: &RequestContext,
        client: &AuthenticatedClient,
        proof: ShownKey,
    ) -> std::result::Result<Sender, TokenRefusal> {
        let certificate = context.certificate.held(self.now());
        Ok(Sender::constrain(client.clone(), proof?, certificate)?)
    }

    async fn redeem(&self, context: &RequestContext, sender: &Sender, request: &CodeRequest) -> Answer {
        let client = sender.authenticated();
        let found = self.0.store.code(&sha256(request.code.expose())).await?;
        let now = self.now();
        let declared = self.declared();
        let code = match redeem(sender, request, found, &declared.catalogue, now) {
            Ok(code) => code,
            Err(refusal) => return self.code_refused(context, client, refusal).await,
        };
        self.give(context, sender, &code, &request.resources).await
    }

    /// Gives what a code is worth, and spends it (BCP-19).
    pub(crate) async fn give(
        &self,
        context: &RequestContext,
        sender: &Sender,
        code: &RedeemableCode,
        resources: &[String],
    ) -> Answer {
        let client = sender.authenticated();
        let (now, declared) = (self.now(), self.declared());
        let grant = code.grant().grant();
        let target = match code.grant().target(&grant.scope, resources, &declared.catalogue) {
            Ok(target) => target,
            Err(fault) => {
                return self.token_refused(context, Some(client), fault.into(), Some(grant.id)).await;
            }
        };
        let mint = self.mint(&declared)?;
        let access =
            mint.access_token(sender, Authority::Code(code), &target, self.token_entropy(now), now)?;
        let person = self.told_in_id_token(grant.user, &grant.claims).await?;
        let id_token = mint.id_token(client, code.grant(), &access, code.nonce(), &person, now)?;
        let id_token = match self.delivered(client, id_token).await {
            Ok(id_token) => id_token,
            Err(fault) => {
                return self.token_refused(context, Some(client), fault.into(), Some(grant.id)).await;
            }
        };
        let refresh = first_refresh_token(sender, code.grant(), &self.0.policies.tokens, self.entropy(), now);
        let redemption = Redemption {
            code: &code.digest(),
            client: &client.client().id,
            access: access.record.as_ref(),
            refresh: refresh.as_ref().map(|(_, record)| record),
            event: &self.issued_event(context, EventKind::CodeRedeemed, code.grant(), &access, now),
            now,
        };
        if self.0.store.redeem_code(&redemption).await? != 1 {
            return self.code_refused(context, client, code.lost()).await;
        }
        Ok(Ok(response(access, refresh.map(|(token, _)| token), id_token)))
    }

    async fn refresh(&self, context: &RequestContext, sender: &Sender, request: &RefreshRequest) -> Answer {
        let client = sender.authenticated();
        let found = self.0.store.refresh_token(&sha256(request.refresh_token.expose())).await?;
        let now = self.now();
        let declared = self.declared();
        let refreshable = match refresh(sender, request, found, &declared.catalogue, now) {
            Ok(refreshable) => refreshable,
            Err(refusal) => return self.refresh_refused(context, client, refusal).await,
        };
        let grant = refreshable.grant();
        let mint = self.mint(&declared)?;
        let authority = Authority::Refresh(&refreshable);
        let access =
            mint.access_token(sender, authority, refreshable.target(), self.token_entropy(now), now)?;
        let person = self.told_in_id_token(grant.grant().user, &grant.grant().claims).await?;
        let id_token = mint.id_token(client, grant, &access, None, &person, now)?;
        let id_token = match self.delivered(client, id_token).await {
            Ok(id_token) => id_token,
            Err(fault) => {
                return self.token_refused(context, Some(client), fault.into(), Some(grant.grant().id)).await;
            }
        };
        let ageing = refreshable.ageing(&self.0.policies.tokens, self.entropy(), now);
        let event = &self.issued_event(context, EventKind::TokenRefreshed, grant, &access, now);
        let record = access.record.as_ref();
        let token = match ageing {
            Ageing::Rotate { presented, token, successor } => {
                let rotation =
                    Rotation { presented: &presented, successor: &successor, access: record, event, now };
                if self.0.store.rotate_refresh(&rotation).await? != 1 {
                    return self.refresh_refused(context, client, refreshable.lost()).await;
                }
                token
            }
            Ageing::Renew { presented, until, token, successor } => {
                let renewal =
                    Rotation { presented: &presented, successor: &successor, access: record, event, now };
                if self.0.store.renew_refresh(&renewal, until).await? != 1 {
                    return self.refresh_refused(context, client, refreshable.lost()).await;
                }
                token
            }
            Ageing::Keep { digest, touch } => {
                let used = RefreshUse { presented: &digest, idle_expires_at: touch, access: record, event };
                self.0.store.use_refresh(&used).await?;
                request.refresh_token.clone()
            }
        };
        Ok(Ok(response(access, Some(token), id_token)))
    }

    /// An ID token as the client wants it, if there is one.
    async fn delivered(
        &self,
        client: &AuthenticatedClient,
        id_token: Option<Envelope>,
    ) -> Result<Option<String>, Undeliverable> {
        match id_token {
            None => Ok(None),
            Some(envelope) => self.deliver(client.client(), envelope).await.map(Some),
        }
    }

    async fn credentials(
        &self,
        context: &RequestContext,
        sender: &Sender,
        request: &ClientCredentialsRequest,
    ) -> Answer {
        let client = sender.authenticated();
        let declared = self.declared();
        let grant = match client_credentials(client, request, &declared.catalogue) {
            Ok(grant) => grant,
            Err(fault) => return self.token_refused(context, Some(client), fault.into(), None).await,
        };
        let now = self.now();
        let mint = self.mint(&declared)?;
        let authority = Authority::Client(&grant);
        let access = mint.access_token(sender, authority, grant.target(), self.token_entropy(now), now)?;
        let event = self.event(context, EventKind::TokenIssued, now).client(client.client().id.clone());
        let event = event.detail("jti", access.claims.jti.to_string());
        match &access.record {
            // Nothing else is written of a JWT, so its event need not make it wait.
            None => self.note(event).await?,
            Some(record) => self.0.store.issue_access(record, &event).await?,
        }
        Ok(Ok(response(access, None, None)))
    }

    pub(crate) fn token_entropy(&self, now: DateTime<Utc>) -> TokenEntropy {
        TokenEntropy { id: TokenId(self.random().id(now)), value: self.entropy() }
    }

    pub(crate) fn issued_event(
        &self,
        context: &RequestContext,
        kind: EventKind,
        grant: &LiveGrant,
        access: &MintedToken,
        now: DateTime<Utc>,
    ) -> audit::Event {
        let grant = grant.grant();
        self.event(context, kind, now)
            .user(grant.user)
            .client(grant.client.clone())
            .grant(grant.id)
            .consent(grant.consent)
            .detail("jti", access.claims.jti.to_string())
            .detail("scope", access.claims.scope.to_string())
    }

    pub(crate) async fn code_refused(
        &self,
        context: &RequestContext,
        client: &AuthenticatedClient,
        refusal: CodeRefusal,
    ) -> Answer {
        let kind = match refusal.fault {
            CodeFault::Replayed => EventKind::CodeReplayed,
            _ => EventKind::TokenRefused,
        };
        self.end_family(context, client, kind, refusal.revoke, refusal.fault.into()).await
    }

    async fn refresh_refused(
        &self,
        context: &RequestContext,
        client: &AuthenticatedClient,
        refusal: RefreshRefusal,
    ) -> Answer {
        let kind = match refusal.fault {
            RefreshFault::Reused => EventKind::RefreshReuseDetected,
            _ => EventKind::TokenRefused,
        };
        self.end_family(context, client, kind, refusal.revoke, refusal.fault.into()).await
    }

    /// Commits what a refusal does beside refusing.
    async fn end_family(
        &self,
        context: &RequestContext,
        client: &AuthenticatedClient,
        kind: EventKind,
        revoke: Option<GrantId>,
        refusal: TokenRefusal,
    ) -> Answer {
        let now = self.now();
        let event = self.event(context, kind, now).client(client.client().id.clone());
        let event = event.grant(revoke).reason(refusal.to_string());
        match revoke {
            None => self.note(event).await?,
            Some(grant) => {
                let mut tx = self.0.store.begin().await?;
                tx.revoke_grant(grant, now).await?;
                tx.record(&event).await?;
                tx.commit().await?;
            }
        }
        Ok(Err(refusal))
    }

    pub(crate) async fn token_refused(
        &self,
        context: &RequestContext,
        client: Option<&AuthenticatedClient>,
        refusal: TokenRefusal,
        grant: Option<GrantId>,
    ) -> Answer {
        let event = self.event(context, EventKind::TokenRefused, self.now()).grant(grant);
        let event = event.client(client.map(|client| client.client().id.clone()));
        self.note(event.reason(refusal.to_string())).await?;
        Ok(Err(refusal))
    }
}

pub(crate) fn response(
    access: MintedToken,
    refresh_token: Option<protocol::secret::RefreshToken>,
    id_token: Option<String>,
) -> TokenResponse {
    TokenResponse {
        token_type: Confirmation::token_type(access.claims.cnf.as_ref()),
        expires_in: access.expires_in(),
        authorization_details: access.claims.authorization_details.clone(),
        scope: access.claims.scope,
        issued_token_type: None,
        access_token: access.token,
        refresh_token,
        id_token,
    }
}

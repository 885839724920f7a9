//! The token endpoint (RFC 6749 §3.2).
//!
//! Authenticate the client, read, decide, sign; then one write with the condition that only one
//! request can meet. A refusal that ends a family commits that end.

use audit::EventKind;
use chrono::{DateTime, Utc};
use jose::digest::sha256;
use protocol::{
    GrantId, TokenId,
    params::Params,
    token::{
        ClientCredentialsRequest, CodeRequest, RefreshRequest, TokenRequest, TokenRequestFault, TokenResponse,
    },
};
use store::hot::{Redemption, RefreshUse, Rotation};
use tokens::{
    client_auth::AuthenticatedClient,
    code::{CodeFault, CodeRefusal, redeem},
    credentials_grant::{ClientGrantFault, client_credentials},
    grant::LiveGrant,
    mint::{Authority, MintedToken, TokenEntropy},
    refresh::{Ageing, RefreshFault, RefreshRefusal, first_refresh_token, refresh},
};

use crate::{
    client_auth::{ClientGate, Unauthenticated, admitted},
    context::RequestContext,
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
    /// The client may not act for itself like that.
    #[error(transparent)]
    ClientGrant(#[from] ClientGrantFault),
}

type Answer = Result<std::result::Result<TokenResponse, TokenRefusal>>;

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
            return self.refused(context, None, fault.into(), None).await;
        }
        let client = match self.authenticate_client(context, authorization, body, "/token").await? {
            Ok(client) => client,
            Err(refusal) => return Ok(Err(TokenRefusal::Client(refusal))),
        };
        // Not audited: a flood must not become a flood of rows.
        if let Err(seconds) = admitted(&client, gate) {
            return Ok(Err(TokenRefusal::Limited(seconds)));
        }
        match parsed {
            Err(fault) => self.refused(context, Some(&client), fault.into(), None).await,
            Ok(TokenRequest::AuthorizationCode(request)) => self.redeem(context, &client, &request).await,
            Ok(TokenRequest::RefreshToken(request)) => self.refresh(context, &client, &request).await,
            Ok(TokenRequest::ClientCredentials(request)) => {
                self.credentials(context, &client, &request).await
            }
        }
    }

    async fn redeem(
        &self,
        context: &RequestContext,
        client: &AuthenticatedClient,
        request: &CodeRequest,
    ) -> Answer {
        let found = self.0.store.code(&sha256(request.code.expose())).await?;
        let now = self.now();
        let declared = self.declared();
        let code = match redeem(client, request, found, &declared.catalogue, now) {
            Ok(code) => code,
            Err(refusal) => return self.code_refused(context, client, refusal).await,
        };
        let grant = code.grant().grant();
        let target = match code.grant().target(&grant.scope, &request.resources, &declared.catalogue) {
            Ok(target) => target,
            Err(fault) => return self.refused(context, Some(client), fault.into(), Some(grant.id)).await,
        };
        let mint = self.mint(&declared);
        let access =
            mint.access_token(client, Authority::Grant(code.grant()), &target, self.token_entropy(now), now)?;
        let id_token = mint.id_token(client, code.grant(), &access, code.nonce(), now)?;
        let refresh =
            first_refresh_token(client.client(), code.grant(), &self.0.policies.tokens, self.entropy(), now);
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

    async fn refresh(
        &self,
        context: &RequestContext,
        client: &AuthenticatedClient,
        request: &RefreshRequest,
    ) -> Answer {
        let found = self.0.store.refresh_token(&sha256(request.refresh_token.expose())).await?;
        let now = self.now();
        let declared = self.declared();
        let refreshable = match refresh(client, request, found, &declared.catalogue, now) {
            Ok(refreshable) => refreshable,
            Err(refusal) => return self.refresh_refused(context, client, refusal).await,
        };
        let grant = refreshable.grant();
        let mint = self.mint(&declared);
        let authority = Authority::Grant(grant);
        let access =
            mint.access_token(client, authority, refreshable.target(), self.token_entropy(now), now)?;
        let id_token = mint.id_token(client, grant, &access, None, now)?;
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
            Ageing::Keep { digest, touch } => {
                let used = RefreshUse { presented: &digest, idle_expires_at: touch, access: record, event };
                self.0.store.use_refresh(&used).await?;
                request.refresh_token.clone()
            }
        };
        Ok(Ok(response(access, Some(token), id_token)))
    }

    async fn credentials(
        &self,
        context: &RequestContext,
        client: &AuthenticatedClient,
        request: &ClientCredentialsRequest,
    ) -> Answer {
        let declared = self.declared();
        let grant = match client_credentials(client, request, &declared.catalogue) {
            Ok(grant) => grant,
            Err(fault) => return self.refused(context, Some(client), fault.into(), None).await,
        };
        let now = self.now();
        let mint = self.mint(&declared);
        let authority = Authority::Client(&grant);
        let access = mint.access_token(client, authority, grant.target(), self.token_entropy(now), now)?;
        let event = self.event(context, EventKind::TokenIssued, now).client(client.client().id.clone());
        let event = event.detail("jti", access.claims.jti.to_string());
        match &access.record {
            // Nothing else is written of a JWT, so its event need not make it wait.
            None => self.note(event).await?,
            Some(record) => self.0.store.issue_access(record, &event).await?,
        }
        Ok(Ok(response(access, None, None)))
    }

    fn token_entropy(&self, now: DateTime<Utc>) -> TokenEntropy {
        TokenEntropy { id: TokenId(self.random().id(now)), value: self.entropy() }
    }

    fn issued_event(
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

    async fn code_refused(
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

    async fn refused(
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

fn response(
    access: MintedToken,
    refresh_token: Option<protocol::secret::RefreshToken>,
    id_token: Option<String>,
) -> TokenResponse {
    TokenResponse {
        token_type: "Bearer",
        expires_in: access.expires_in(),
        scope: access.claims.scope,
        access_token: access.token,
        refresh_token,
        id_token,
    }
}

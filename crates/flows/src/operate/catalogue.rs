//! Resource servers and scopes: declared, changed, deleted. The catalogue must be sound afterwards,
//! and nothing that is still named goes.

use audit::EventKind;
use chrono::TimeDelta;
use consent::{FormerSecret, IntrospectionAnswer, IntrospectionCredential, ResourceServer, ScopeDefinition};
use protocol::{ClientId, ScopeToken, secret::ClientSecret};
use store::Tx;
use tokens::client::ClientRecord;

use super::{
    Operate, OperateFault, Operated, catalogue_of, digest_of, keep_until, not_found, or_refuse, rule,
};

const SERVER: &str = "resource server";
const SCOPE: &str = "scope";

/// A resource server as it is stored now, and its new introspection secret if it got one. The secret
/// is nowhere else.
#[derive(Clone, Debug)]
pub struct ResourceServerAndSecret {
    /// The resource server.
    pub server: ResourceServer,
    /// The new secret.
    pub secret: Option<ClientSecret>,
}

impl Operate<'_> {
    /// Declares a resource server. With `introspection_id` it may introspect, and gets a secret if
    /// none is given.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn create_resource_server(
        &self,
        server: ResourceServer,
        introspection_id: Option<ClientId>,
        secret: Option<ClientSecret>,
    ) -> Operated<ResourceServerAndSecret> {
        let mut tx = self.alone().await?;
        let servers = tx.resource_servers().await?;
        if servers.iter().any(|known| known.audience == server.audience) {
            return Ok(Err(OperateFault::Exists { what: SERVER, name: server.audience }));
        }
        if introspection_id.is_none() && secret.is_some() {
            return Ok(Err(rule("introspection_id: a secret needs an identifier to go with it")));
        }
        let mut made = ResourceServerAndSecret { server, secret: None };
        if let Some(id) = introspection_id {
            or_refuse!(self.credential(&mut made, id, secret));
        }
        self.put_server(tx, servers, made, EventKind::ResourceServerCreated).await
    }

    /// Changes a resource server: `edit` gets what is stored and gives what is to be. With another
    /// `introspection_id` its secret stays; without any before, it gets one.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn update_resource_server(
        &self,
        audience: &str,
        introspection_id: Option<ClientId>,
        edit: impl FnOnce(ResourceServer) -> ResourceServer,
    ) -> Operated<ResourceServerAndSecret> {
        let mut tx = self.alone().await?;
        let servers = tx.resource_servers().await?;
        let Some(before) = servers.iter().find(|known| known.audience == audience) else {
            return Ok(Err(not_found(SERVER, audience)));
        };
        let server = ResourceServer { audience: audience.to_owned(), ..edit(before.clone()) };
        let mut made = ResourceServerAndSecret { server, secret: None };
        match (introspection_id, &mut made.server.introspection) {
            (Some(id), Some(credential)) => credential.id = id,
            (Some(id), None) => or_refuse!(self.credential(&mut made, id, None)),
            (None, _) => {}
        }
        self.put_server(tx, servers, made, EventKind::ResourceServerChanged).await
    }

    /// Gives a resource server a new introspection secret. The one that it has counts for `keep_old`
    /// yet.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn rotate_resource_server_secret(
        &self,
        audience: &str,
        given: Option<ClientSecret>,
        keep_old: TimeDelta,
    ) -> Operated<ResourceServerAndSecret> {
        let now = self.service.now();
        let secret = or_refuse!(self.secret(given));
        let mut tx = self.alone().await?;
        let servers = tx.resource_servers().await?;
        let Some(before) = servers.iter().find(|known| known.audience == audience) else {
            return Ok(Err(not_found(SERVER, audience)));
        };
        let mut server = before.clone();
        let Some(credential) = &mut server.introspection else {
            return Ok(Err(rule("it has no introspection_id, so it has no use for a secret")));
        };
        let former = |expires_at| FormerSecret { secret: credential.secret, expires_at };
        credential.former = keep_until(keep_old, now).map(former);
        credential.secret = digest_of(&secret);
        let made = ResourceServerAndSecret { server, secret: Some(secret) };
        self.put_server(tx, servers, made, EventKind::ResourceServerSecretRotated).await
    }

    /// Deletes a resource server that no scope names.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn delete_resource_server(&self, audience: &str) -> Operated<()> {
        let now = self.service.now();
        let mut tx = self.alone().await?;
        let scopes = tx.scopes().await?;
        let by = scopes.iter().filter(|scope| scope.audience.as_deref() == Some(audience));
        let types = tx.detail_types().await?;
        let details = types.iter().filter(|kind| kind.locations.iter().any(|location| location == audience));
        let by = by.map(|scope| format!("scope {}", scope.name));
        let by: Vec<String> =
            by.chain(details.map(|kind| format!("authorization details type {}", kind.name))).collect();
        if !by.is_empty() {
            return Ok(Err(OperateFault::InUse { what: SERVER, name: audience.to_owned(), by }));
        }
        if tx.remove_resource_server(audience).await? == 0 {
            return Ok(Err(not_found(SERVER, audience)));
        }
        tx.record(&self.event(EventKind::ResourceServerDeleted, now).detail("name", audience)).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Declares a scope.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn create_scope(&self, scope: ScopeDefinition) -> Operated<ScopeDefinition> {
        let mut tx = self.alone().await?;
        let scopes = tx.scopes().await?;
        if scopes.iter().any(|known| known.name == scope.name) {
            return Ok(Err(OperateFault::Exists { what: SCOPE, name: scope.name.to_string() }));
        }
        self.put_scope(tx, scopes, scope, EventKind::ScopeCreated).await
    }

    /// Changes a scope: `edit` gets what is stored and gives what is to be.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn update_scope(
        &self,
        name: &ScopeToken,
        edit: impl FnOnce(ScopeDefinition) -> Result<ScopeDefinition, Vec<String>>,
    ) -> Operated<ScopeDefinition> {
        let mut tx = self.alone().await?;
        let scopes = tx.scopes().await?;
        let Some(before) = scopes.iter().find(|known| known.name == *name) else {
            return Ok(Err(not_found(SCOPE, name)));
        };
        let edited = or_refuse!(edit(before.clone()).map_err(OperateFault::Rules));
        let scope = ScopeDefinition { name: name.clone(), ..edited };
        self.put_scope(tx, scopes, scope, EventKind::ScopeChanged).await
    }

    /// Deletes a scope. Clients that may ask for it keep it from going, unless it is taken from them
    /// too (`from_clients`). Tokens and consents lose it at once, because the catalogue no longer
    /// knows it (F2-17). Gives the clients that lost it.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn delete_scope(&self, name: &ScopeToken, from_clients: bool) -> Operated<Vec<ClientId>> {
        let now = self.service.now();
        let mut tx = self.alone().await?;
        let mut clients = tx.clients().await?;
        clients.retain(|client| {
            client.metadata.scope.as_ref().is_some_and(|scope| scope.contains(name.as_str()))
        });
        let asking = clients.iter().filter(|client| !client.disabled);
        let by: Vec<String> = asking.map(|client| format!("client {}", client.id)).collect();
        if !from_clients && !by.is_empty() {
            return Ok(Err(OperateFault::InUse { what: SCOPE, name: name.to_string(), by }));
        }
        if tx.remove_scope(name.as_str()).await? == 0 {
            return Ok(Err(not_found(SCOPE, name)));
        }
        tx.record(&self.event(EventKind::ScopeDeleted, now).detail("name", name.as_str())).await?;
        let mut lost = Vec::new();
        for client in clients {
            let mut record = ClientRecord { updated_at: now, ..client };
            record.metadata.scope =
                record.metadata.scope.map(|scope| scope.filtered(|token| token != name.as_str()));
            tx.put_client(&record).await?;
            let event = self.event(EventKind::ClientChanged, now).client(record.id.clone());
            tx.record(&event.detail("scope_removed", name.as_str())).await?;
            lost.push(record.id);
        }
        tx.commit().await?;
        Ok(Ok(lost))
    }

    fn credential(
        &self,
        made: &mut ResourceServerAndSecret,
        id: ClientId,
        given: Option<ClientSecret>,
    ) -> Result<(), OperateFault> {
        let secret = self.secret(given)?;
        made.server.introspection = Some(IntrospectionCredential {
            id,
            secret: digest_of(&secret),
            former: None,
            answer: IntrospectionAnswer::default(),
        });
        made.secret = Some(secret);
        Ok(())
    }

    async fn put_server(
        &self,
        mut tx: Tx,
        mut servers: Vec<ResourceServer>,
        made: ResourceServerAndSecret,
        kind: EventKind,
    ) -> Operated<ResourceServerAndSecret> {
        servers.retain(|known| known.audience != made.server.audience);
        servers.push(made.server.clone());
        let scopes = tx.scopes().await?;
        if let Err(fault) = catalogue_of(&mut tx, scopes, servers).await? {
            return Ok(Err(rule(fault.to_string())));
        }
        tx.put_resource_server(&made.server).await?;
        let event = self.event(kind, self.service.now());
        tx.record(&event.detail("name", &made.server.audience)).await?;
        tx.commit().await?;
        Ok(Ok(made))
    }

    async fn put_scope(
        &self,
        mut tx: Tx,
        mut scopes: Vec<ScopeDefinition>,
        scope: ScopeDefinition,
        kind: EventKind,
    ) -> Operated<ScopeDefinition> {
        scopes.retain(|known| known.name != scope.name);
        scopes.push(scope.clone());
        let roles = tx.roles().await?;
        let mut faults: Vec<String> = scope
            .roles
            .iter()
            .filter(|role| !roles.iter().any(|known| known.name == **role))
            .map(|role| format!("roles: {role} is not declared"))
            .collect();
        let servers = tx.resource_servers().await?;
        if let Err(fault) = catalogue_of(&mut tx, scopes, servers).await? {
            faults.push(fault.to_string());
        }
        if !faults.is_empty() {
            return Ok(Err(OperateFault::Rules(faults)));
        }
        tx.put_scope(&scope).await?;
        let event = self.event(kind, self.service.now());
        tx.record(&event.detail("name", scope.name.as_str())).await?;
        tx.commit().await?;
        Ok(Ok(scope))
    }
}

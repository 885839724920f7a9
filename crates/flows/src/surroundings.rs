//! What a client needs around it: scopes and types of authorization details that are declared, keys of ours for
//! what we sign for it, mutual TLS where it proves itself so.
//!
//! A file, an operator's command and a registration on the web are held to the same list. That its sector vouches
//! for it is not in here: that takes a request to somebody else's server ([`sector`](crate::sector)).

use consent::Catalogue;
use jose::Algorithm;
use protocol::{Scope, client::GrantType};
use tokens::client::{Client, ClientRecord};

use crate::service::Service;

impl Service {
    /// What is missing around a client, each as a sentence that begins with the member. `catalogue` is what
    /// will be declared when the client is.
    pub(crate) fn surroundings(&self, record: &ClientRecord, catalogue: &Catalogue) -> Vec<String> {
        let metadata = &record.metadata;
        let mut faults: Vec<String> = Vec::new();
        // Whoever never gets an ID token needs no key for it.
        let parsed = Client::parse(record).ok();
        let signed_in = |client: &Client| {
            [GrantType::AuthorizationCode, GrantType::DeviceCode].iter().any(|grant| client.may_use(*grant))
        };
        let id_token = parsed.filter(signed_in).map(|client| client.id_token_algorithm);
        let named = |name: &Option<String>| name.as_deref().and_then(|name| name.parse::<Algorithm>().ok());
        for (member, algorithm) in [
            ("id_token_signed_response_alg", id_token),
            ("userinfo_signed_response_alg", named(&metadata.userinfo_signed_response_alg)),
            ("authorization_signed_response_alg", named(&metadata.authorization_signed_response_alg)),
        ] {
            let missing = algorithm.filter(|algorithm| !self.0.policies.rotation.has(*algorithm));
            faults.extend(
                missing.map(|algorithm| format!("{member}: {algorithm} is not among keys.algorithms")),
            );
        }
        faults.extend(self.0.policies.mutual_tls.hindrance(metadata));
        let scope = metadata.scope.as_ref().map(|scope| catalogue.unknown(scope));
        let unknown = scope.iter().flat_map(Scope::iter);
        faults.extend(unknown.map(|token| format!("scope: {token} is not declared")));
        let types = metadata.authorization_details_types.iter();
        let undeclared = types.filter(|kind| catalogue.detail_types().get(kind).is_none());
        faults.extend(undeclared.map(|kind| format!("authorization_details_types: {kind} is not declared")));
        faults
    }
}

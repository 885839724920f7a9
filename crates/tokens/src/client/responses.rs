//! How a client may be answered by the authorization endpoint: response types, response modes, and the
//! signature and encryption of a response that is a JWT (JARM).

use std::collections::BTreeSet;

use jose::{Algorithm, Encryption};
use protocol::{
    client::{ClientMetadata, GrantType, ResponseMode, ResponseType},
    response_mode::{Carrier, Delivery},
    uri::is_https_url,
};

use super::{
    ClientFault, ClientKeys, algorithm,
    disclosure::{encryption, encrypts},
};
use crate::profile::Rules;

/// What a client registered about its authorization responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseRules {
    types: BTreeSet<ResponseType>,
    modes: Option<Vec<ResponseMode>>,
    /// Whether its profile leaves only signed modes (MS-05).
    signed_only: bool,
    /// What signs its responses where they are JWTs (MS-07).
    pub signing: Algorithm,
    /// How they are encrypted to it, if they are.
    pub encryption: Option<Encryption>,
}

/// Why a client may not be answered in a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeFault {
    /// It did not register this mode (MS-09).
    #[error("the client may not use this response_mode")]
    NotRegistered,
    /// Its profile wants every response signed (MS-05).
    #[error("the response_mode of this client must be jwt or one of its kind")]
    Unsigned,
    /// A token would stand readable in a query, and so in logs and histories (OAuth 2.0 Multiple Response
    /// Types §5, JARM §2.3.1).
    #[error("this response_type may not be answered in the query unless the response is encrypted")]
    TokenInQuery,
}

impl ResponseRules {
    /// Reads the members of a registration that speak of responses.
    ///
    /// `code id_token` needs the `authorization_code` grant. That `implicit` stands beside it, as OpenID
    /// Connect Registration §2 wants, is accepted and not demanded: many libraries leave it out, and it
    /// allows nothing more. `implicit` without `code id_token` is refused, because nothing would come
    /// of it (DR-04).
    pub(super) fn parse(
        metadata: &ClientMetadata,
        grants: &BTreeSet<GrantType>,
        (keys, rules): (&ClientKeys, &Rules),
        faults: &mut Vec<ClientFault>,
    ) -> Self {
        let code_flow = grants.contains(&GrantType::AuthorizationCode);
        let types: BTreeSet<ResponseType> = match &metadata.response_types {
            Some(types) => types.iter().copied().collect(),
            None if code_flow => [ResponseType::Code].into(),
            None => BTreeSet::new(),
        };
        if types.is_empty() == code_flow {
            faults.push(ClientFault::ResponseTypes);
        }
        if grants.contains(&GrantType::Implicit) && !types.contains(&ResponseType::CodeIdToken) {
            faults.push(ClientFault::ImplicitAlone);
        }
        if metadata.response_modes.as_ref().is_some_and(Vec::is_empty) {
            faults.push(ClientFault::NoResponseMode);
        }
        if metadata.initiate_login_uri.as_deref().is_some_and(|uri| !is_https_url(uri)) {
            faults.push(ClientFault::Link("initiate_login_uri"));
        }
        let signing = match &metadata.authorization_signed_response_alg {
            None => rules.default_algorithm,
            Some(name) => algorithm(name, "authorization_signed_response_alg").unwrap_or_else(|fault| {
                faults.push(fault);
                rules.default_algorithm
            }),
        };
        let encryption = encryption(
            ("authorization_encrypted_response_alg", &metadata.authorization_encrypted_response_alg),
            ("authorization_encrypted_response_enc", &metadata.authorization_encrypted_response_enc),
        );
        let encryption = encryption.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if let Some(wanted) = encryption
            && !encrypts(keys, wanted)
        {
            faults.push(ClientFault::NoEncryptionKey(wanted.key_management));
        }
        let modes = metadata.response_modes.clone();
        Self { types, modes, signed_only: rules.signed_responses, signing, encryption }
    }

    /// Whether the client may ask for this.
    pub fn admits_type(&self, response_type: ResponseType) -> bool {
        self.types.contains(&response_type)
    }

    /// Whether the client may be answered in the mode that it asks for. `jwt` and the mode that it stands
    /// for are the same.
    ///
    /// # Errors
    /// [`ModeFault`].
    pub fn admits_mode(&self, asked: Option<ResponseMode>, front_channel: bool) -> Result<(), ModeFault> {
        let delivery = Delivery::of(asked, front_channel);
        if front_channel && delivery.carrier == Carrier::Query {
            let hidden = delivery.signed && self.encryption.is_some();
            hidden.then_some(()).ok_or(ModeFault::TokenInQuery)?;
        }
        if self.signed_only && !delivery.signed {
            return Err(ModeFault::Unsigned);
        }
        let registered = |modes: &Vec<ResponseMode>| {
            modes.iter().any(|mode| Delivery::of(Some(*mode), front_channel) == delivery)
        };
        self.modes.as_ref().is_none_or(registered).then_some(()).ok_or(ModeFault::NotRegistered)
    }

    /// How an answer travels: as asked where that may be; else an error has to travel somehow, and goes
    /// the first way that is allowed. A client that registered only signed modes is never answered
    /// unsigned (MS-05).
    pub fn delivery(&self, asked: Option<ResponseMode>, front_channel: bool) -> Delivery {
        let registered = self.modes.iter().flatten().copied().map(Some);
        let mut ways = [asked, None, Some(ResponseMode::Jwt)].into_iter().chain(registered);
        let way = ways.find(|way| self.admits_mode(*way, front_channel).is_ok());
        let signed = |mode: &ResponseMode| Delivery::of(Some(*mode), front_channel).signed;
        let signs_always =
            self.signed_only || self.modes.as_ref().is_some_and(|modes| modes.iter().all(signed));
        Delivery::of(way.unwrap_or(signs_always.then_some(ResponseMode::Jwt)), front_channel)
    }
}

#[cfg(test)]
mod tests;

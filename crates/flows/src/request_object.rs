//! From raw parameters to the parameters that count: request objects by value and by reference.
//!
//! [`Service::effective_parameters`] is the one entry for `/authorize` and for pushed requests. A
//! request without object costs nothing here. One with an object is fetched if it is a reference,
//! opened if it is encrypted, verified with the client's keys (fetched, if they are elsewhere), and takes
//! the place of everything that came beside it. No transaction is open meanwhile.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use jose::{
    OpenedRequestObject, RequestObject, RequestObjectFault, RequestObjectPolicy, open_request_object,
};
use moka::sync::Cache;
use protocol::params::Params;
use tokens::{
    client::Client,
    request_object::{RequestObjectRefusal, effective},
};

use crate::service::Service;

/// So many fetched request objects are kept; each is at most as long as a token that is looked at.
const OBJECTS: u64 = 1_000;
/// How long one is kept whose owner says so; without a word it is fetched each time.
const LONGEST: TimeDelta = TimeDelta::minutes(10);
/// What request objects are served as; nothing is believed for its media type.
const MEDIA: [&str; 6] = [
    "application/oauth-authz-req+jwt",
    "application/jwt",
    "application/jose",
    "text/plain",
    "application/octet-stream",
    "application/json",
];

/// Request objects that were fetched, by URL without fragment, with the time until which they count.
pub(crate) struct FetchedObjects(Cache<String, (Arc<str>, DateTime<Utc>)>);

impl Default for FetchedObjects {
    fn default() -> Self {
        Self(Cache::new(OBJECTS))
    }
}

impl Service {
    /// The parameters of an authorization request that count, from those that came.
    ///
    /// Without `request` and `request_uri` these are the same, unless the client's requests are signed or
    /// refused (JAR-07, MS-01). With one of them they are those that the client signed, and nothing
    /// beside them (RFC 9101 §6.3, MS-04).
    ///
    /// `client` is the one whose `client_id` stands outside the object; a pushed request is of the client
    /// that has authenticated, so an object of another one is refused (PAR-06). References of pushed
    /// requests (`urn:…`) mean nothing here: who takes them does so before, and asks for the effective
    /// parameters when the request is pushed, not when it is used.
    ///
    /// # Errors
    /// [`RequestObjectRefusal`]; the answer then goes where the parameters outside say, if that is a
    /// registered place.
    pub async fn effective_parameters<'a>(
        &self,
        client: &Client,
        params: &'a Params,
    ) -> Result<Cow<'a, Params>, RequestObjectRefusal> {
        // Before anything is fetched for it.
        for name in ["request", "request_uri"] {
            if params.is_repeated(name) {
                return Err(RequestObjectRefusal::Repeated(name.to_owned()));
            }
        }
        let token: Cow<'_, str> = match (params.get("request"), params.get("request_uri")) {
            (None, None) if client.requests.signed_only => return Err(RequestObjectRefusal::Unsigned),
            (None, None) => return Ok(Cow::Borrowed(params)),
            (Some(_), Some(_)) => return Err(RequestObjectRefusal::Both),
            (Some(token), None) => Cow::Borrowed(token),
            (None, Some(uri)) => Cow::Owned(self.referenced_object(client, uri).await?.to_string()),
        };
        let object = self.verified_object(client, token.trim()).await?;
        effective(params, &object).map(Cow::Owned)
    }

    /// Opens and verifies an object; a key that is not known makes the client's keys be fetched again,
    /// once in a while.
    async fn verified_object(
        &self,
        client: &Client,
        token: &str,
    ) -> Result<RequestObject, RequestObjectRefusal> {
        let invalid = |fault: RequestObjectFault| RequestObjectRefusal::Invalid(fault.to_string());
        let rules = &client.requests;
        let opened = {
            let declared = self.declared();
            open_request_object(token, declared.keyring.decryption_keys(), &rules.encryption())
        };
        let opened: OpenedRequestObject = opened.map_err(invalid)?;
        let policy = RequestObjectPolicy {
            client_id: client.id.as_str(),
            issuer: &self.0.policies.issuer,
            algorithms: &rules.algorithms,
            bounded: rules.bounded,
            leeway: RequestObjectPolicy::LEEWAY,
        };
        let keys = self.client_keys(client).await;
        let keys = keys.map_err(|fault| RequestObjectRefusal::KeysUnavailable(fault.to_string()))?;
        match opened.verify(&keys, &policy, self.now()) {
            Err(fault) if fault.is_key_unknown() => match self.client_keys_anew(client).await {
                Some(keys) => opened.verify(&keys, &policy, self.now()).map_err(invalid),
                None => Err(invalid(fault)),
            },
            verified => verified.map_err(invalid),
        }
    }

    /// The object that a registered reference leads to (JAR-06, OUT-01).
    async fn referenced_object(
        &self,
        client: &Client,
        request_uri: &str,
    ) -> Result<Arc<str>, RequestObjectRefusal> {
        let place = client.requests.admits(request_uri).ok_or(RequestObjectRefusal::UriNotRegistered)?;
        // The whole reference is the name in the cache: with another fragment it is another version.
        let cache = &self.0.request_objects.0;
        if let Some((object, until)) = cache.get(request_uri)
            && self.now() < until
        {
            return Ok(object);
        }
        let failed = |fault: &dyn std::fmt::Display| RequestObjectRefusal::UriNotFetched(fault.to_string());
        let fetched = self.0.outbound.get(place, &MEDIA).await.map_err(|fault| failed(&fault))?;
        let text = std::str::from_utf8(&fetched.body).map_err(|fault| failed(&fault))?;
        let object: Arc<str> = text.trim().into();
        if object.len() > jose::jwe::MAX_ENCRYPTED_BYTES {
            return Err(failed(&"the answer is longer than any request object"));
        }
        let kept = fetched.max_age.and_then(|age| TimeDelta::from_std(age).ok());
        if let Some(kept) = kept.filter(|kept| !kept.is_zero()) {
            let until = self.now() + kept.min(LONGEST);
            cache.insert(request_uri.to_owned(), (Arc::clone(&object), until));
        }
        Ok(object)
    }
}

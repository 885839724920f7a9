//! The sender of a token request, with the key that its tokens will be bound to.
//!
//! A bearer token is worth as much to a thief as to its owner. A bound one is worth nothing without the
//! key (RFC 9449, RFC 8705). [`Sender`] is made in one place, which refuses to make one that may have
//! bearer tokens out of a client that may not (F2-09, DP-09), and the mint takes nothing else.
//!
//! A token is bound to one thing. A DPoP proof is sent on purpose, so it decides; a certificate, which may
//! only have served to authenticate, binds the tokens of clients that are known to want that (MT-06).

use jose::{
    Digest, VerifiedDpop,
    certificate::{CertificateFault, HeldCertificate},
};
use protocol::token::Confirmation;

use crate::{client::Client, client_auth::AuthenticatedClient};

/// An authenticated client, and what ties its access tokens to it.
#[derive(Clone, Debug)]
pub struct Sender {
    client: AuthenticatedClient,
    dpop: Option<VerifiedDpop>,
    certificate: Option<HeldCertificate>,
}

/// A client whose tokens must be bound showed nothing to bind them to (F2-09, DP-09, MT-06).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconstrained {
    /// No DPoP proof, where one was promised or only that could be.
    #[error("sender_constraint_missing")]
    Key,
    /// Neither a certificate nor a DPoP proof, where each would do.
    #[error("sender_constraint_missing")]
    Either,
    /// No certificate, where one was promised.
    #[error("client_certificate_missing")]
    Certificate,
    /// A certificate that can't be used.
    #[error("client_certificate_refused: {0}")]
    BadCertificate(#[from] CertificateFault),
}

impl Sender {
    /// Binds the tokens of a client to the key that it showed. Without one, they will be bearer tokens,
    /// if the client may have such. `certificate` is that of the connection, or why it is none.
    ///
    /// # Errors
    /// [`Unconstrained`].
    pub fn constrain(
        client: AuthenticatedClient,
        dpop: Option<VerifiedDpop>,
        certificate: Result<Option<HeldCertificate>, CertificateFault>,
    ) -> Result<Self, Unconstrained> {
        let protection = client.client().protection;
        if dpop.is_none() && protection.bound_tokens {
            match &certificate {
                Err(fault) if protection.certificate_binds => return Err(fault.clone().into()),
                Ok(Some(_)) if protection.certificate_binds => {}
                _ if protection.certificate_promised => return Err(Unconstrained::Certificate),
                _ if protection.certificate_binds => return Err(Unconstrained::Either),
                _ => return Err(Unconstrained::Key),
            }
        }
        Ok(Self { client, dpop, certificate: certificate.ok().flatten() })
    }

    /// The proof of who it is.
    pub const fn authenticated(&self) -> &AuthenticatedClient {
        &self.client
    }

    /// The client.
    pub fn client(&self) -> &Client {
        self.client.client()
    }

    /// The thumbprint of the DPoP key that it showed.
    fn key(&self) -> Option<Digest> {
        self.dpop.as_ref().map(VerifiedDpop::thumbprint)
    }

    /// The thumbprint of the certificate that it showed.
    fn shown_certificate(&self) -> Option<Digest> {
        self.certificate.as_ref().map(HeldCertificate::thumbprint)
    }

    /// The thumbprint of the certificate that its tokens are bound to.
    fn binding_certificate(&self) -> Option<Digest> {
        let binds = self.dpop.is_none() && self.client().protection.certificate_binds;
        self.shown_certificate().filter(|_| binds)
    }

    /// The thumbprint of what its tokens are bound to, key or certificate.
    pub fn thumbprint(&self) -> Option<Digest> {
        self.key().or_else(|| self.binding_certificate())
    }

    /// What its access tokens say of it (DP-05, MT-05).
    pub fn confirmation(&self) -> Option<Confirmation> {
        let text = |digest: Digest| digest.to_string();
        let (jkt, x5t_s256) = (self.key().map(text), self.binding_certificate().map(text));
        (jkt.is_some() || x5t_s256.is_some()).then_some(Confirmation { jkt, x5t_s256 })
    }

    /// Whether it showed the key or the certificate that something is bound to; what is bound to none asks
    /// for none. The thumbprints of keys and certificates can't be mistaken for each other, because what is
    /// hashed has other forms.
    pub fn holds(&self, bound_to: Option<Digest>) -> bool {
        bound_to.is_none() || bound_to == self.key() || bound_to == self.shown_certificate()
    }

    /// Whether it showed everything that an access token is bound to.
    pub fn proves(&self, bound: &Confirmation) -> bool {
        let shown = |expected: &Option<String>, shown: Option<Digest>| {
            expected.as_ref().is_none_or(|expected| Some(expected) == shown.map(|it| it.to_string()).as_ref())
        };
        let any = bound.jkt.is_some() || bound.x5t_s256.is_some();
        any && shown(&bound.jkt, self.key()) && shown(&bound.x5t_s256, self.shown_certificate())
    }
}

#[cfg(test)]
impl Sender {
    pub(crate) fn for_tests(client: Client) -> Self {
        Self { client: AuthenticatedClient::for_tests(client), dpop: None, certificate: None }
    }

    pub(crate) fn with_certificate(client: Client, certificate: HeldCertificate) -> Self {
        Self { certificate: Some(certificate), ..Self::for_tests(client) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jose::{certificate::ClientCertificate, digest::sha256};

    use super::*;
    use crate::{client::tests::client, grant::tests::now};

    /// A certificate of nobody in particular, valid from 1975 to 4096.
    pub(crate) fn certificate() -> HeldCertificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        ClientCertificate::from_der(&[certificate.der()]).unwrap().held(now()).unwrap()
    }

    fn constrain(
        client: &Client,
        certificate: Result<Option<HeldCertificate>, CertificateFault>,
    ) -> Result<Sender, Unconstrained> {
        Sender::constrain(AuthenticatedClient::for_tests(client.clone()), None, certificate)
    }

    #[test]
    fn f2_09_dp_09_without_a_key_there_is_no_sender_where_tokens_must_be_bound() {
        let mut client = client();
        assert_eq!(constrain(&client, Ok(None)).unwrap().confirmation(), None);
        client.protection.bound_tokens = true;
        // A certificate that was not promised to bind anything does not.
        for shown in [Ok(None), Ok(Some(certificate())), Err(CertificateFault::Time)] {
            assert_eq!(constrain(&client, shown).unwrap_err(), Unconstrained::Key);
        }
    }

    #[test]
    fn mt_06_mt_08_a_certificate_binds_the_tokens_of_clients_that_want_it() {
        let (mut client, certificate) = (client(), certificate());
        assert_eq!(constrain(&client, Ok(Some(certificate))).unwrap().thumbprint(), None);
        client.protection.bound_tokens = true;
        client.protection.certificate_binds = true;
        let sender = constrain(&client, Ok(Some(certificate))).unwrap();
        assert_eq!(sender.thumbprint(), Some(certificate.thumbprint()));
        let bound = sender.confirmation().unwrap();
        assert_eq!(bound.x5t_s256, Some(certificate.thumbprint().to_string()));
        assert_eq!(Confirmation::token_type(Some(&bound)), "Bearer");
        assert!(sender.proves(&bound));
        assert_eq!(constrain(&client, Ok(None)).unwrap_err(), Unconstrained::Either);
        client.protection.certificate_promised = true;
        assert_eq!(constrain(&client, Ok(None)).unwrap_err(), Unconstrained::Certificate);
        let expired = constrain(&client, Err(CertificateFault::Time)).unwrap_err();
        assert_eq!(expired, CertificateFault::Time.into());
    }

    #[test]
    fn dp_08_mt_05_what_is_bound_needs_its_key_or_its_certificate() {
        let sender = Sender::for_tests(client());
        assert!(sender.holds(None));
        assert!(!sender.holds(Some(sha256("key"))));
        let shown = certificate();
        let sender = Sender::with_certificate(client(), shown);
        assert!(sender.holds(Some(shown.thumbprint())));
        assert!(!sender.holds(Some(certificate().thumbprint())));
        let bound = |jkt: Option<&str>, x5t: Digest| Confirmation {
            jkt: jkt.map(str::to_owned),
            x5t_s256: Some(x5t.to_string()),
        };
        assert!(sender.proves(&bound(None, shown.thumbprint())));
        assert!(!sender.proves(&bound(Some("other"), shown.thumbprint())), "all of it");
        assert!(!sender.proves(&bound(None, sha256("other"))));
        assert!(!sender.proves(&Confirmation::default()), "bound to what nobody knows");
    }
}

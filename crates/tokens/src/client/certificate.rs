//! What a client registered about its certificate (RFC 8705 §2.1.2).

use jose::certificate::CertificateSubject;
use protocol::client::{AuthMethod, ClientMetadata};

use super::ClientFault;

/// Whose certificate `tls_client_auth` takes: exactly one subject is registered (MT-02). `None` for every
/// other method, which has no use for any.
pub(super) fn subject(
    metadata: &ClientMetadata,
    method: AuthMethod,
    faults: &mut Vec<ClientFault>,
) -> Option<CertificateSubject> {
    let members = [
        ("tls_client_auth_subject_dn", &metadata.tls_client_auth_subject_dn),
        ("tls_client_auth_san_dns", &metadata.tls_client_auth_san_dns),
        ("tls_client_auth_san_uri", &metadata.tls_client_auth_san_uri),
        ("tls_client_auth_san_ip", &metadata.tls_client_auth_san_ip),
        ("tls_client_auth_san_email", &metadata.tls_client_auth_san_email),
    ];
    let given: Vec<_> =
        members.into_iter().filter_map(|(member, value)| Some((member, value.as_deref()?))).collect();
    match (method, given.as_slice()) {
        (AuthMethod::TlsClientAuth, &[(member, value)]) => {
            let subject = read(member, value);
            if subject.is_none() {
                faults.push(ClientFault::CertificateSubject { member, value: value.to_owned() });
            }
            subject
        }
        (AuthMethod::TlsClientAuth, _) => {
            faults.push(ClientFault::CertificateSubjects(given.len()));
            None
        }
        (_, []) => None,
        (_, &[(member, _), ..]) => {
            faults.push(ClientFault::CertificateSubjectUnused(member));
            None
        }
    }
}

/// One name; `None` for what no certificate can have.
fn read(member: &str, value: &str) -> Option<CertificateSubject> {
    let plain = |value: &str| {
        let fits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| value.to_owned())
    };
    match member {
        "tls_client_auth_subject_dn" => value.parse().ok().map(CertificateSubject::Dn),
        // A certificate is compared with this one name, so a wildcard could only be meant as more.
        "tls_client_auth_san_dns" => {
            plain(value).filter(|name| !name.contains('*')).map(CertificateSubject::Dns)
        }
        "tls_client_auth_san_uri" => {
            plain(value).filter(|uri| uri.contains(':')).map(CertificateSubject::Uri)
        }
        "tls_client_auth_san_ip" => value.parse().ok().map(CertificateSubject::Ip),
        _ => plain(value).filter(|email| email.contains('@')).map(CertificateSubject::Email),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::client::{Client, ClientAuthentication, ClientRecord, tests::record};

    fn by_certificate(change: impl FnOnce(&mut ClientMetadata)) -> ClientRecord {
        let mut record = record();
        record.metadata.token_endpoint_auth_method = Some(AuthMethod::TlsClientAuth);
        change(&mut record.metadata);
        record
    }

    #[rstest]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_subject_dn = Some("CN=app,O=Ledgerline,C=GB".into()))]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_dns = Some("app.example".into()))]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_uri = Some("urn:app".into()))]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_ip = Some("2001:db8::1".into()))]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_email = Some("tls@app.example".into()))]
    fn mt_02_each_member_names_a_subject(#[case] change: fn(&mut ClientMetadata)) {
        let client = Client::parse(&by_certificate(change)).unwrap();
        assert!(matches!(client.authentication, ClientAuthentication::TlsCertificate(_)));
        assert!(!client.is_public());
    }

    #[rstest]
    #[case(|_: &mut ClientMetadata| {}, "there are 0")]
    #[case(
        |it: &mut ClientMetadata| {
            it.tls_client_auth_san_dns = Some("app.example".into());
            it.tls_client_auth_san_uri = Some("urn:app".into());
        },
        "there are 2"
    )]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_subject_dn = Some("Ledgerline".into()), "subject_dn")]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_dns = Some("*.app.example".into()), "san_dns")]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_dns = Some(String::new()), "san_dns")]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_uri = Some("app".into()), "san_uri")]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_ip = Some("192.0.2.0/24".into()), "san_ip")]
    #[case(|it: &mut ClientMetadata| it.tls_client_auth_san_email = Some("app".into()), "san_email")]
    #[case(
        |it: &mut ClientMetadata| {
            it.token_endpoint_auth_method = Some(AuthMethod::None);
            it.tls_client_auth_san_dns = Some("app.example".into());
        },
        "only for tls_client_auth"
    )]
    #[case(
        |it: &mut ClientMetadata| it.token_endpoint_auth_method = Some(AuthMethod::SelfSignedTlsClientAuth),
        "self_signed_tls_client_auth needs public keys"
    )]
    #[case(
        |it: &mut ClientMetadata| {
            it.tls_client_auth_san_dns = Some("app.example".into());
            it.tls_client_certificate_bound_access_tokens = true;
            it.dpop_bound_access_tokens = true;
        },
        "exclude each other"
    )]
    fn mt_02_mt_03_mt_06_what_may_not_be_registered(
        #[case] change: fn(&mut ClientMetadata),
        #[case] says: &str,
    ) {
        let faults = Client::parse(&by_certificate(change)).err().unwrap_or_default();
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|fault| fault.contains(says)), "{faults:?}");
    }
}

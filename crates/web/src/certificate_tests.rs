#![allow(clippy::unwrap_used)]
use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rcgen::{CertificateParams, KeyPair};

use super::*;

fn certificate() -> rcgen::Certificate {
    CertificateParams::new(vec!["app.example".to_owned()])
        .unwrap()
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
}

fn sent(values: &[(&HeaderName, String)]) -> HeaderMap {
    values.iter().map(|(name, value)| ((*name).clone(), HeaderValue::try_from(value).unwrap())).collect()
}

fn escaped(certificate: &rcgen::Certificate) -> String {
    utf8_percent_encode(&certificate.pem(), NON_ALPHANUMERIC).to_string()
}

fn thumbprint(presented: &PresentedCertificate) -> Option<String> {
    match presented {
        PresentedCertificate::One(certificate) => Some(certificate.thumbprint().to_string()),
        _ => None,
    }
}

#[test]
fn mt_09_each_form_gives_the_certificate_that_the_client_showed() {
    let (own, root) = (certificate(), certificate());
    let expected = ClientCertificate::from_der(&[own.der()]).unwrap().thumbprint().to_string();
    let binary = |certificate: &rcgen::Certificate| format!(":{}:", STANDARD.encode(certificate.der()));
    let envoy = format!(r#"By=spiffe://a;Subject="O=\"x;y\",C=GB";Cert="{}""#, escaped(&own));
    for (form, headers) in [
        (CertificateHeader::Rfc9440, sent(&[(&CLIENT_CERT, binary(&own))])),
        (
            CertificateHeader::Rfc9440,
            sent(&[(&CLIENT_CERT, binary(&own)), (&CLIENT_CERT_CHAIN, binary(&root))]),
        ),
        (CertificateHeader::Nginx, sent(&[(&X_SSL_CLIENT_CERT, escaped(&own))])),
        (CertificateHeader::Envoy, sent(&[(&X_FORWARDED_CLIENT_CERT, envoy)])),
    ] {
        assert_eq!(thumbprint(&form.read(&headers)).as_ref(), Some(&expected), "{form:?}");
        for other in [CertificateHeader::Rfc9440, CertificateHeader::Nginx, CertificateHeader::Envoy] {
            let read = other.read(&headers);
            assert!(other == form || matches!(read, PresentedCertificate::Absent), "{form:?} as {other:?}");
        }
    }
}

#[test]
fn mt_09_what_could_be_forged_or_misread_is_no_certificate() {
    let own = certificate();
    let cert = format!("Cert=\"{}\"", escaped(&own));
    let table = [
        (CertificateHeader::Rfc9440, vec![(&CLIENT_CERT, "certificate".to_owned())]),
        (CertificateHeader::Rfc9440, vec![(&CLIENT_CERT, ":AAAA:".to_owned())]),
        (CertificateHeader::Rfc9440, vec![(&CLIENT_CERT, format!(":{}:", STANDARD.encode(own.pem())))]),
        (CertificateHeader::Nginx, vec![(&X_SSL_CLIENT_CERT, "%2D%2D".to_owned())]),
        (
            CertificateHeader::Nginx,
            vec![(&X_SSL_CLIENT_CERT, escaped(&own)), (&X_SSL_CLIENT_CERT, escaped(&own))],
        ),
        (CertificateHeader::Envoy, vec![(&X_FORWARDED_CLIENT_CERT, format!("{cert},{cert}"))]),
        (CertificateHeader::Envoy, vec![(&X_FORWARDED_CLIENT_CERT, format!("{cert};{cert}"))]),
        (CertificateHeader::Envoy, vec![(&X_FORWARDED_CLIENT_CERT, format!("{cert}\""))]),
        (CertificateHeader::Envoy, vec![(&X_FORWARDED_CLIENT_CERT, "Hash=00".to_owned())]),
    ];
    for (form, headers) in table {
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            map.append((*name).clone(), HeaderValue::try_from(value).unwrap());
        }
        assert!(matches!(form.read(&map), PresentedCertificate::Unreadable), "{headers:?}");
    }
    let empty = sent(&[(&X_SSL_CLIENT_CERT, String::new())]);
    assert!(matches!(CertificateHeader::Nginx.read(&empty), PresentedCertificate::Absent));
}

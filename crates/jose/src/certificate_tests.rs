#![allow(clippy::unwrap_used)]
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, SanType,
};
use serde_json::json;

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CountryName, "GB");
    parameters.distinguished_name.push(DnType::OrganizationName, "Ledgerline  Ltd");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2028, 1, 1);
    parameters
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = parameters(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn issued(by: &Issuer<'_, KeyPair>, change: impl FnOnce(&mut CertificateParams)) -> ClientCertificate {
    let mut parameters = parameters("app.example");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters.subject_alt_names = vec![
        SanType::DnsName("app.example".try_into().unwrap()),
        SanType::URI("https://app.example/id".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
        SanType::Rfc822Name("Tls@App.example".try_into().unwrap()),
    ];
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    ClientCertificate::from_der(&[parameters.signed_by(&key, by).unwrap().der()]).unwrap()
}

fn trusted(authority: &CertifiedIssuer<'_, KeyPair>) -> Authorities {
    Authorities::from_pem(authority.pem().as_bytes()).unwrap()
}

fn dn(text: &str) -> CertificateSubject {
    CertificateSubject::Dn(text.parse().unwrap())
}

#[test]
fn mt_01_an_authority_vouches_and_one_subject_matches() {
    let root = authority("Root");
    let certificate = issued(&root, |_| {});
    let check = |subject: &CertificateSubject| certificate.vouched(&trusted(&root), subject, now());
    for subject in [
        dn("CN=app.example,O=Ledgerline Ltd,C=GB"),
        dn("CN=APP.example,O=ledgerline   ltd,C=gb"),
        CertificateSubject::Dns("App.Example".to_owned()),
        CertificateSubject::Uri("https://app.example/id".to_owned()),
        CertificateSubject::Ip("192.0.2.1".parse().unwrap()),
        CertificateSubject::Email("Tls@app.EXAMPLE".to_owned()),
    ] {
        assert_eq!(check(&subject), Ok(()), "{subject:?}");
    }
    for subject in [
        dn("CN=other.example,O=Ledgerline Ltd,C=GB"),
        dn("CN=app.example"),
        dn("C=GB,O=Ledgerline Ltd,CN=app.example"),
        dn("CN=app.example+O=Ledgerline Ltd,C=GB"),
        CertificateSubject::Dns("sub.app.example".to_owned()),
        CertificateSubject::Uri("https://app.example/ID".to_owned()),
        CertificateSubject::Ip("192.0.2.2".parse().unwrap()),
        CertificateSubject::Email("tls@app.example".to_owned()),
    ] {
        assert_eq!(check(&subject), Err(CertificateFault::Subject), "{subject:?}");
    }
}

#[test]
fn mt_01_strangers_servers_and_authorities_of_others_are_refused() {
    let (root, other) = (authority("Root"), authority("Root"));
    let subject = CertificateSubject::Dns("app.example".to_owned());
    let foreign = issued(&other, |_| {}).vouched(&trusted(&root), &subject, now());
    assert!(matches!(foreign, Err(CertificateFault::Chain(_))), "{foreign:?}");
    let server = issued(&root, |parameters| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let server = server.vouched(&trusted(&root), &subject, now());
    assert!(matches!(server, Err(CertificateFault::Chain(_))), "{server:?}");
}

#[test]
fn mt_08_expired_and_future_certificates_are_refused() {
    let root = authority("Root");
    let subject = CertificateSubject::Dns("app.example".to_owned());
    let past = issued(&root, |parameters| parameters.not_after = rcgen::date_time_ymd(2026, 6, 1));
    let future = issued(&root, |parameters| parameters.not_before = rcgen::date_time_ymd(2027, 6, 1));
    for certificate in [past, future] {
        assert_eq!(certificate.vouched(&trusted(&root), &subject, now()), Err(CertificateFault::Time));
        assert_eq!(certificate.in_time(now()), Err(CertificateFault::Time));
        assert_eq!(certificate.held(now()), Err(CertificateFault::Time));
    }
}

#[test]
fn mt_03_a_self_signed_certificate_counts_by_its_key() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = parameters("app").self_signed(&key).unwrap();
        let certificate = ClientCertificate::from_pem(certificate.pem().as_bytes()).unwrap();
        let members = members(&certificate.own().public_key().unwrap()).unwrap().unwrap();
        let keys = KeySet::from_value(&json!({"keys": [members]})).unwrap();
        assert_eq!(certificate.registered(&keys, now()), Ok(()));
        assert_eq!(certificate.registered(&KeySet::default(), now()), Err(CertificateFault::Unregistered));
        let late = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        assert_eq!(certificate.registered(&keys, late), Err(CertificateFault::Time));
    }
}

#[test]
fn mt_05_the_thumbprint_is_that_of_the_clients_own_certificate() {
    let root = authority("Root");
    let certificate = issued(&root, |_| {});
    let der = certificate.own().to_der().unwrap();
    assert_eq!(certificate.thumbprint(), sha256(&der));
    let chain = ClientCertificate::from_der(&[der, root.der().to_vec()]).unwrap();
    assert_eq!(chain.thumbprint(), certificate.thumbprint());
}

#[test]
fn mt_01_an_issuing_authority_can_be_trusted_without_its_root() {
    let root = authority("Root");
    let key = KeyPair::generate().unwrap();
    let mut issuing = parameters("Issuing");
    issuing.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuing_certificate = issuing.signed_by(&key, &root).unwrap();
    let certificate = issued(&Issuer::new(issuing, key), |_| {});
    let subject = CertificateSubject::Dns("app.example".to_owned());
    let trusted_alone = Authorities::from_pem(issuing_certificate.pem().as_bytes()).unwrap();
    assert_eq!(certificate.vouched(&trusted_alone, &subject, now()), Ok(()));
    // By the root alone it can only be trusted if the client sends what stands between.
    let alone = certificate.vouched(&trusted(&root), &subject, now());
    assert!(matches!(alone, Err(CertificateFault::Chain(_))), "{alone:?}");
    let own = certificate.own().to_der().unwrap();
    let chain = ClientCertificate::from_der(&[own, issuing_certificate.der().to_vec()]).unwrap();
    assert_eq!(chain.vouched(&trusted(&root), &subject, now()), Ok(()));
}

#[test]
fn f2_35_weak_keys_count_nowhere() {
    let key = openssl::rsa::Rsa::generate(1024).unwrap();
    let key = openssl::pkey::PKey::from_rsa(key).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_pubkey(&key).unwrap();
    let at = |days: i64| openssl::asn1::Asn1Time::from_unix(now().timestamp() + days * 86_400).unwrap();
    builder.set_not_before(&at(-1)).unwrap();
    builder.set_not_after(&at(1)).unwrap();
    builder.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
    let certificate = ClientCertificate::from_der(&[builder.build().to_der().unwrap()]).unwrap();
    let subject = CertificateSubject::Dns("app.example".to_owned());
    assert_eq!(certificate.held(now()), Err(CertificateFault::Key));
    assert_eq!(certificate.registered(&KeySet::default(), now()), Err(CertificateFault::Key));
    assert_eq!(certificate.vouched(&Authorities::default(), &subject, now()), Err(CertificateFault::Key));
}

#[test]
fn mt_01_attributes_without_a_short_name_are_named_by_their_number() {
    let root = authority("Root");
    let number = DnType::CustomDnType(vec![2, 5, 4, 97]);
    // organizationIdentifier, as certificates of payment service providers have it.
    let certificate = issued(&root, |parameters| {
        parameters.distinguished_name.push(number, "PSDGB-FCA-123456");
    });
    let check = |subject: &str| certificate.vouched(&trusted(&root), &dn(subject), now());
    let name = "2.5.4.97=PSDGB-FCA-123456,CN=app.example,O=Ledgerline Ltd,C=GB";
    assert_eq!(check(name), Ok(()));
    assert_eq!(check(&name.replace("123456", "123457")), Err(CertificateFault::Subject));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let refused = CertificateFault::Unreadable;
    assert_eq!(ClientCertificate::from_der::<Vec<u8>>(&[]).unwrap_err(), refused);
    assert_eq!(ClientCertificate::from_der(&[b"nothing"]).unwrap_err(), refused);
    assert_eq!(ClientCertificate::from_der(&[vec![0x30; MAX_CERTIFICATE_BYTES + 1]]).unwrap_err(), refused);
    assert_eq!(ClientCertificate::from_pem(b"").unwrap_err(), refused);
    assert!(Authorities::from_pem(b"").is_err());
    for text in ["", "nothing", "CN=", "CN=a,,"] {
        let read = text.parse::<DistinguishedName>();
        assert!(read.is_err() || text == "CN=", "{text}: {read:?}");
    }
}

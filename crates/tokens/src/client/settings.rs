//! What an operator says about a client beyond its metadata, checked.

use chrono::Duration;
use protocol::client::AuthMethod;

use super::{ClientFault, ClientRecord};
use crate::registration::HostRule;

/// A replaced refresh token counts for at most a week (F2-13).
const LONGEST_GRACE: i64 = 7 * 86_400;

/// Reads the hosts of redirect URIs that a client may push without having registered them (PAR-08), and
/// holds the other settings against the rules.
pub(super) fn parse(
    record: &ClientRecord,
    method: AuthMethod,
    faults: &mut Vec<ClientFault>,
) -> Vec<HostRule> {
    let settings = &record.settings;
    let public = method == AuthMethod::None;
    let mut fault = |member, problem| faults.push(ClientFault::Setting { member, problem });
    if let Some(grace) = settings.refresh_rotation_grace {
        if public {
            fault(
                "refresh_rotation_grace",
                "is for confidential clients; tokens of public ones always rotate",
            );
        }
        if !(1..=LONGEST_GRACE).contains(&grace) {
            fault("refresh_rotation_grace", "must be positive and at most a week");
        }
    }
    let hosts = &settings.pushed_redirect_hosts;
    if !hosts.is_empty() && public {
        fault("pushed_redirect_hosts", "is for clients that authenticate");
    }
    let known = |host: &String| HostRule::parse(host).filter(|rule| *rule != HostRule::Any);
    let parsed: Vec<HostRule> = hosts.iter().filter_map(known).collect();
    if parsed.len() < hosts.len() {
        fault("pushed_redirect_hosts", "takes hosts such as app.example and *.apps.example");
    }
    parsed
}

impl super::ClientSettings {
    /// How long a stable refresh token counts on after it was replaced, while tokens are being replaced
    /// (F2-13).
    pub fn refresh_grace(&self) -> Option<Duration> {
        self.refresh_rotation_grace.and_then(Duration::try_seconds)
    }
}

#[cfg(test)]
mod tests {
    use jose::digest::sha256;

    use super::*;
    use crate::client::{Client, ClientSettings, SecretDigest, tests::record};

    fn faults(method: AuthMethod, settings: ClientSettings) -> String {
        let mut record = record();
        record.metadata.token_endpoint_auth_method = Some(method);
        if method != AuthMethod::None {
            record.secrets = vec![SecretDigest { digest: sha256("s3cret"), expires_at: None }];
        }
        record.settings = settings;
        let faults = Client::parse(&record).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn f2_13_par_08_only_authenticated_clients_and_only_within_bounds() {
        let grace = |seconds| ClientSettings { refresh_rotation_grace: Some(seconds), ..Default::default() };
        let hosts =
            |host: &str| ClientSettings { pushed_redirect_hosts: vec![host.into()], ..Default::default() };
        let secret = AuthMethod::ClientSecretBasic;
        assert_eq!(faults(secret, grace(LONGEST_GRACE)), "");
        assert_eq!(faults(secret, hosts("*.apps.example")), "");
        for (method, settings, says) in [
            (secret, grace(0), "at most a week"),
            (secret, grace(LONGEST_GRACE + 1), "at most a week"),
            (AuthMethod::None, grace(60), "public ones always rotate"),
            (secret, hosts("*"), "takes hosts"),
            (secret, hosts("https://app.example"), "takes hosts"),
            (AuthMethod::None, hosts("app.example"), "clients that authenticate"),
        ] {
            assert!(faults(method, settings).contains(says), "{says}");
        }
    }
}

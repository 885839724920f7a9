#![allow(clippy::unwrap_used)]

use rstest::rstest;

use super::*;

const SECRET: &str = "abcdefghijklmnopqrstuvwxyz";

/// A bank with one of everything.
pub(crate) const BANK: &str = r#"
[[role]]
name = "account-viewer"
description = "May look at accounts"

[[resource_server]]
audience = "https://api.bank.example"
name = "Accounts API"
token_format = "opaque"
access_token_lifetime = "2m"
introspection = { id = "accounts-api", secret_env = "API_SECRET" }

[[scope]]
name = "accounts:read"
title = "Your accounts"
description = "Names and numbers of your accounts."
audience = "https://api.bank.example"
roles = ["account-viewer"]
max_lifetime = "180d"
[scope.text.zh-Hant]
title = "您的帳戶"
description = "帳戶名稱與號碼。"

[[client]]
client_id = "ledgerline"
client_secret = "abcdefghijklmnopqrstuvwxyz"
client_name = "Ledgerline"
redirect_uris = ["https://ledgerline.example/cb"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid accounts:read"
consent_lifetime = "90d"
second_factor = "required"

[[user]]
username = "Alice"
password = "correct horse battery"
roles = ["account-viewer"]
second_factor = "if-enrolled"
[user.claims]
name = "Alice Example"
email = "alice@example.com"
address = { country = "NZ" }
"#;

pub(crate) fn parse(text: &str) -> Result<Declared, Vec<FileFault>> {
    super::parse(text, Path::new("bank.toml"), |name| (name == "API_SECRET").then(|| SECRET.to_owned()))
}

fn shown(text: &str) -> String {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_bank_is_read() {
    let bank = parse(BANK).unwrap();
    let server = &bank.resource_servers[0];
    assert_eq!(server.access_token_lifetime, Some(120));
    assert_eq!(server.introspection.as_ref().unwrap().secret, sha256(SECRET));
    assert_eq!(bank.scopes[0].max_lifetime, Some(180 * 86_400));
    assert_eq!(bank.scopes[0].translations["zh-Hant"].title, "您的帳戶");
    let client = &bank.clients[0];
    assert_eq!(client.metadata.client_name.as_deref(), Some("Ledgerline"));
    assert_eq!(client.secret, Some(sha256(SECRET)));
    assert_eq!(client.settings.consent_lifetime, Some(90 * 86_400));
    assert!(client.settings.require_pkce, "O21-01: PKCE unless exempt");
    assert_eq!(bank.users[0].username.as_str(), "alice");
    assert_eq!(bank.users[0].claims.address.as_ref().unwrap().country.as_deref(), Some("NZ"));
}

#[rstest]
#[case("client_id = \"x\"", "bank.toml:1: unknown field `client_id`")]
#[case(
    "\n[[client]]\nclient_id = \"x\"\nredirect_uri = []",
    "bank.toml:2: client `x`: there is no member `redirect_uri`; did you mean `redirect_uris`?"
)]
#[case("[[client]]\nclient_id = \"x\"\nrequire_pcke = true", "did you mean `require_pkce`?")]
#[case("[[client]]\nclient_id = \"x\"\nclient_secret = \"short\"", "shorter than 22")]
#[case(
    "[[client]]\nclient_id = \"x\"\nclient_secret_env = \"ABSENT\"",
    "ABSENT of client_secret_env is not set"
)]
#[case(
    "[[client]]\nclient_id = \"x\"\nclient_secret = \"a\"\nclient_secret_file = \"b\"",
    "keep one of client_secret"
)]
#[case("[[client]]\nclient_id = \"x\"\njwks_file = \"absent.json\"", "absent.json cannot be read")]
#[case(
    "[[client]]\nclient_id = \"x\"\ngrant_types = [\"password\"]",
    "client `x`: unknown variant `password`"
)]
#[case("[[client]]\nclient_id = \"x\"\n[[client]]\nclient_id = \"x\"", "client `x` is declared twice")]
#[case("[[client]]\nclient_id = \"0191e3a0-0000-7000-8000-000000000000\"", "UUID")]
#[case("[[client]]\nclient_id = \"x\"\nconsent_lifetime = \"soon\"", "bank.toml:")]
#[case(
    "[[resource_server]]\naudience = \"https://a\"\nname = \"A\"\nintrospection = { id = \"a\" }",
    "introspection needs a secret"
)]
#[case("[[user]]\nusername = \"a\"\n[user.claims]\nnmae = \"A\"", "bank.toml:4: unknown field `nmae`")]
#[case(
    "[[user]]\nusername = \"a\"\npassword_hash = \"md5\"",
    "user `a`: password_hash is not an Argon2id hash"
)]
#[case("[[scope]]\nname = \"a b\"\ntitle = \"\"\ndescription = \"\"", "bank.toml:2:")]
#[case("[[role]]\nname = \n", "bank.toml:2")]
fn mistakes_name_line_and_remedy(#[case] text: &str, #[case] part: &str) {
    let shown = shown(text);
    assert!(shown.contains(part), "{shown}");
}

#[test]
fn secrets_and_keys_may_stand_in_files() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), format!("{SECRET}\n")).unwrap();
    fs::write(directory.path().join("keys.json"), r#"{"keys":[]}"#).unwrap();
    let path = directory.path().join("bank.toml");
    let text = "[[client]]\nclient_id = \"x\"\nclient_secret_file = \"secret\"\njwks_file = \"keys.json\"\n";
    fs::write(&path, text).unwrap();
    let declared = read(&path).unwrap();
    assert_eq!(declared.clients[0].secret, Some(sha256(SECRET)));
    assert_eq!(declared.clients[0].metadata.jwks, Some(serde_json::json!({"keys": []})));
}

#[test]
fn bcp_17_debug_shows_no_password() {
    let bank = parse(BANK).unwrap();
    assert!(!format!("{bank:?}").contains("correct horse"));
}

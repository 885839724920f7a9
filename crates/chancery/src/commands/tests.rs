//! Commands as an operator types them, on a database of their own.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::PathBuf};

use ::audit::EventKind;
use clap::Parser;
use serde_json::{Value, json};

use super::*;

struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let desk = Self { directory: tempfile::tempdir().unwrap() };
        let text = format!(
            "issuer = \"http://localhost:8400\"\ndatabase.url = \"sqlite:{}\"\nkeys.algorithms = [\"ES256\"]\nkeys.encryption = []\n",
            desk.path("bank.db").display()
        );
        fs::write(desk.path("chancery.toml"), text).unwrap();
        desk.text("migrate").await;
        let bank = "[[role]]\nname = \"account-viewer\"\n\
            [[resource_server]]\naudience = \"https://api.example\"\nname = \"Accounts\"\n\
            [[scope]]\nname = \"accounts:read\"\ntitle = \"Accounts\"\ndescription = \"Names and numbers\"\n\
            audience = \"https://api.example\"\nroles = [\"account-viewer\"]\n";
        fs::write(desk.path("bank.toml"), bank).unwrap();
        let file = desk.path("bank.toml");
        let applied = desk.json(&format!("apply --yes --file {}", file.display())).await;
        assert_eq!(applied["applied"], true);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// Words are separated by white space; `~` stands for a space within one.
    async fn try_run(&self, line: &str) -> Result<Answer, Failure> {
        let config = self.path("chancery.toml").display().to_string();
        let words = line.split_whitespace().map(|word| word.replace('~', " "));
        let words = ["chancery".to_owned(), "--config".to_owned(), config].into_iter().chain(words);
        answer(&Cli::try_parse_from(words).unwrap()).await
    }

    async fn text(&self, line: &str) -> String {
        self.try_run(line).await.unwrap_or_else(|failure| panic!("{line}: {failure:?}")).text().to_owned()
    }

    async fn json(&self, line: &str) -> Value {
        self.try_run(line).await.unwrap_or_else(|failure| panic!("{line}: {failure:?}")).json().clone()
    }

    async fn fails(&self, line: &str) -> (u8, String) {
        let failure = self.try_run(line).await.err().unwrap_or_else(|| panic!("{line} succeeds"));
        (failure.code, failure.message)
    }

    async fn kinds(&self) -> Vec<String> {
        let events = self.json("audit search --limit 1000").await;
        events.as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }
}

const CLIENT: &str = "clients create web --name App --redirect-uri https://app.example/cb \
                      --id-token-algorithm ES256 --scope openid~accounts:read";

#[tokio::test]
async fn a_client_from_creation_to_deletion() {
    let desk = Desk::new().await;
    let secret = desk.text(CLIENT).await;
    assert_eq!(secret.len(), 43, "the secret stands alone");
    let shown = desk.json("clients show web").await;
    assert_eq!(shown["redirect_uris"], json!(["https://app.example/cb"]));
    assert_eq!(shown["secrets"], json!([{ "expires_at": null }]));
    assert!(!shown.to_string().contains(&secret));
    let list = desk.text("clients list").await;
    assert!(list.starts_with("CLIENT ID") && list.contains("client_secret_basic"), "{list}");

    // Options replace, a document is merged, what is not named stays.
    let from =
        desk.file("patch.json", r#"{ "client_name": null, "consent_lifetime": "90d", "contacts": ["a@b"] }"#);
    let changed = desk.json(&format!("clients update web --first-party true --from {from}")).await;
    assert_eq!(changed["consent_lifetime"], 90 * 86_400);
    assert_eq!((&changed["first_party"], &changed["contacts"]), (&json!(true), &json!(["a@b"])));
    assert_eq!((&changed["client_name"], &changed["scope"]), (&Value::Null, &json!("accounts:read openid")));
    // What is shown may be given back.
    let again = desk.file("again.json", &desk.json("clients show web").await.to_string());
    let mut same = desk.json(&format!("clients update web --from {again}")).await;
    same["updated_at"] = changed["updated_at"].clone();
    assert_eq!(same, changed);

    let rotated = desk.json("clients rotate-secret web").await;
    assert_ne!(rotated["client_secret"], secret.as_str());
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2, "the old one counts yet");
    let given = desk.file("secret", "a-secret-of-my-own-choice\n");
    let rotated = desk.json(&format!("clients rotate-secret web --keep-old 0s --secret-file {given}")).await;
    assert_eq!((&rotated["client_secret"], rotated["secrets"].as_array().unwrap().len()), (&Value::Null, 1));

    let (code, asked) = desk.fails("clients delete web").await;
    assert_eq!(code, FAILED);
    assert!(asked.contains("--yes"));
    assert_eq!(desk.json("clients delete web --yes").await["removed"], true);
    assert_eq!(desk.fails("clients show web").await.0, NOT_FOUND);
    assert_eq!(desk.fails("clients delete web --yes").await.0, NOT_FOUND);
    let kinds = desk.kinds().await;
    for kind in ["client_created", "client_changed", "client_secret_rotated", "client_deleted"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind}");
    }
}

#[tokio::test]
async fn mistakes_are_told_all_at_once() {
    let desk = Desk::new().await;
    let line = "clients create bad --name ~ --redirect-uri http://app.example/cb --scope made:up";
    let (code, message) = desk.fails(line).await;
    assert_eq!(code, MISCONFIGURED);
    for part in ["redirect_uris", "client_name", "made:up is not declared"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let from = desk.file("unknown.json", r#"{ "client_nam": "App", "consent_lifetime": "soon" }"#);
    let (code, message) = desk.fails(&format!("clients create bad --from {from}")).await;
    assert_eq!(code, MISCONFIGURED);
    assert!(message.contains("client_nam") && message.contains("consent_lifetime: "), "{message}");
    let (code, message) = desk.fails("scopes create new --role nobody").await;
    assert_eq!(code, MISCONFIGURED);
    assert!(message.contains("--title") && message.contains("--description"), "{message}");
    desk.text(CLIENT).await;
    assert_eq!(desk.fails(CLIENT).await.0, FAILED, "there already");
}

#[tokio::test]
async fn the_catalogue_changes() {
    let desk = Desk::new().await;
    let api = "https://payments.example";
    let made = desk
        .json(&format!("resource-servers create {api} --introspection-id pay --token-format opaque"))
        .await;
    assert_eq!(made["introspection_secret"].as_str().unwrap().len(), 43);
    let changed =
        desk.json(&format!("resource-servers update {api} --name Pay --access-token-lifetime 2m")).await;
    assert_eq!((&changed["name"], &changed["access_token_lifetime"]), (&json!("Pay"), &json!(120)));
    assert_eq!(changed["token_format"], "opaque");
    let rotated = desk.json(&format!("resource-servers rotate-secret {api}")).await;
    assert!(rotated["former_secret_until"].is_string() && rotated["introspection_secret"].is_string());
    let list = desk.text("resource-servers list").await;
    assert!(list.contains("2m") && list.contains("pay"), "{list}");

    let create = format!(
        "scopes create payments:write --title Pay --description Pays --audience {api} --sensitive true"
    );
    desk.text(&create).await;
    let from = desk.file(
        "zh.json",
        r#"{ "translations": { "zh-Hant": { "title": "付款", "description": "代您付款" } } }"#,
    );
    let changed = desk.json(&format!("scopes update payments:write --max-lifetime 1d --from {from}")).await;
    assert_eq!((&changed["max_lifetime"], &changed["sensitive"]), (&json!(86_400), &json!(true)));
    assert_eq!(changed["translations"]["zh-Hant"]["title"], "付款");
    assert_eq!(
        desk.json("scopes update payments:write --max-lifetime none").await["max_lifetime"],
        Value::Null
    );
    assert!(desk.text("scopes list").await.contains("attention"));

    desk.text("clients create web --redirect-uri https://a.example/cb --id-token-algorithm ES256 --scope payments:write").await;
    let (code, message) = desk.fails("scopes delete payments:write --yes").await;
    assert_eq!(code, FAILED);
    assert!(message.contains("client web"), "{message}");
    assert_eq!(desk.fails(&format!("resource-servers delete {api} --yes")).await.0, FAILED);
    let deleted = desk.json("scopes delete payments:write --yes --from-clients").await;
    assert_eq!(deleted["taken_from"], json!(["web"]));
    desk.text(&format!("resource-servers delete {api} --yes")).await;
    assert_eq!(desk.fails(&format!("resource-servers show {api}")).await.0, NOT_FOUND);
    assert_eq!(desk.fails("scopes show payments:write").await.0, NOT_FOUND);
}

#[tokio::test]
async fn a_user_from_creation_to_the_lost_phone() {
    let desk = Desk::new().await;
    let password =
        desk.text("users create alice --generate-password --name Alice --role account-viewer").await;
    assert_eq!(password.len(), 24, "the password stands alone");
    let weak = desk.file("weak", "alice1990");
    let (code, message) = desk.fails(&format!("users set-password alice --password-file {weak}")).await;
    assert_eq!(code, MISCONFIGURED);
    assert!(message.contains("not acceptable") && !message.contains("alice1990"), "{message}");
    let good = desk.file("good", "violet-harbour-lantern\n");
    let set = desk.try_run(&format!("users set-password alice --password-file {good}")).await.unwrap();
    assert!(!set.text().contains("violet") && !set.json().to_string().contains("violet"));
    let shown = desk.json("users show alice").await;
    assert_eq!((&shown["authenticator"], &shown["has_password"]), (&json!("none"), &json!(true)));
    let id = shown["id"].as_str().unwrap().to_owned();

    desk.text("users create bob --no-password").await;
    let first = desk.try_run("users list --limit 1").await.unwrap();
    assert_eq!(first.json().as_array().unwrap().len(), 1);
    assert_eq!(desk.json("users list --search LIC").await[0]["username"], "alice");
    assert_eq!(desk.json("users list --after alice").await[0]["username"], "bob");

    assert_eq!(desk.json("users reset-mfa alice --yes").await["had_authenticator"], false);
    assert_eq!(desk.json(&format!("users disable {id} --yes")).await["changed"], true);
    assert_eq!(desk.json("users show alice").await["state"], "disabled");
    assert_eq!(desk.json("users enable alice").await["changed"], true);
    assert_eq!(desk.json("users sessions list alice").await, json!([]));
    assert_eq!(desk.json("users sessions end alice --all").await["ended"], 0);
    assert_eq!(desk.json("consents list --user alice").await, json!([]));
    for line in
        ["users show nobody", "users set-password nobody --generate-password", "consents list --user nobody"]
    {
        assert_eq!(desk.fails(line).await.0, NOT_FOUND, "{line}");
    }
    let nothing = "00000000-0000-0000-0000-000000000001";
    assert_eq!(desk.fails(&format!("users sessions end alice {nothing}")).await.0, NOT_FOUND);
    assert_eq!(desk.fails(&format!("consents show {nothing}")).await.0, NOT_FOUND);
    assert_eq!(desk.fails(&format!("consents revoke {nothing} --yes")).await.0, NOT_FOUND);
}

#[tokio::test]
async fn the_trail_is_searched_and_exported() {
    let desk = Desk::new().await;
    desk.text("users create alice --no-password").await;
    desk.text("users disable alice --yes").await;
    let found = desk.json("audit search --user alice --since 1h").await;
    let kinds: Vec<_> = found.as_array().unwrap().iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds.len(), 2);
    assert_eq!(found[0]["actor"], "operator");
    let shown = desk.text("audit search --kind user_disabled").await;
    assert!(shown.contains("alice") && shown.contains("operator="), "{shown}");
    assert_eq!(desk.json("audit search --outcome refusal").await, json!([]));
    assert_eq!(desk.json("audit search --until 1h").await, json!([]));

    let path = desk.path("trail.jsonl");
    let line = format!("audit export --output {}", path.display());
    let exported = desk.json(&line).await;
    let lines = fs::read_to_string(&path).unwrap();
    let events: Vec<::audit::Event> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exported["events"], events.len());
    assert!(events.len() >= 4 && events.iter().any(|event| event.kind == EventKind::UserDisabled));
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id), "oldest first");
    assert_eq!(desk.fails(&line).await.0, FAILED, "no file is overwritten");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn keys_rotate_and_say_when_and_why() {
    let desk = Desk::new().await;
    let first = desk.text("keys rotate").await;
    assert!(first.contains("signs from now on, because there was no other"), "{first}");
    let second = desk.text("keys rotate").await;
    assert!(
        second.contains("is published now")
            && second.contains("It will sign from")
            && second.contains("--force"),
        "{second}"
    );
    assert!(desk.text("keys rotate --algorithm ES256").await.contains("nothing was changed"));
    assert_eq!(desk.fails("keys rotate --algorithm EdDSA").await.0, MISCONFIGURED);
    assert_eq!(desk.fails("keys rotate --force").await.0, FAILED, "asks");
    let forced = desk.try_run("keys rotate --force --yes").await.unwrap();
    assert!(forced.text().contains("because it was forced"), "{}", forced.text());
    assert!(format!("{forced:?}").contains("FORCED"));

    let list = desk.json("keys list").await;
    let state = |state: &str| {
        let keys = list.as_array().unwrap();
        keys.iter().find(|key| key["state"] == state).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    let (active, retired) = (state("active"), state("retired"));
    assert_eq!(desk.fails(&format!("keys retire {active}")).await.0, FAILED, "nothing can take over yet");
    assert_eq!(desk.fails(&format!("keys retire {retired}")).await.0, FAILED);
    assert_eq!(desk.fails("keys retire unknown").await.0, NOT_FOUND);
    let revoked = desk.try_run(&format!("keys revoke {active} --yes")).await.unwrap();
    assert!(revoked.text().contains("revoked") && format!("{revoked:?}").contains("signs ES256 now"));
    assert!(desk.kinds().await.iter().any(|kind| kind == "key_revoked"));
}

#[tokio::test]
async fn a_wrong_configuration_is_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chancery.toml");
    fs::write(&path, "issuer = 3\n").unwrap();
    for line in ["clients list", "keys rotate", "users list", "audit search", "config check"] {
        let words = ["chancery", "--config", path.to_str().unwrap()].into_iter().chain(line.split(' '));
        let failure = answer(&Cli::try_parse_from(words).unwrap()).await.unwrap_err();
        assert_eq!(failure.code, MISCONFIGURED, "{line}");
    }
}

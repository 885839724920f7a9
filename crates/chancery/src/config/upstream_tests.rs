#![allow(clippy::unwrap_used)]

use std::path::Path;

use config::{Config, File, FileFormat};
use rstest::rstest;

use super::*;

const GOOD: &str = r#"
id = "north-bank"
issuer = "https://north.example"
client_id = "us"
own_key = "ES256"
names = { en = "North Bank", zh-Hant = "北方銀行" }
domains = ["North.example"]
acr = { "urn:north:2FA" = "two-factors", "1" = "one-factor" }
roles_claim = "groups"
roles = { "Staff" = "account-viewer" }
"#;

fn reading(table: &str) -> Result<Vec<UpstreamConfig>, (String, String, String)> {
    let text = table.split("---").map(|table| format!("[[upstream]]\n{table}\n")).collect::<String>();
    let built = Config::builder().add_source(File::from_str(&text, FileFormat::Toml)).build().unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ValueKind::Table(mut table) = built.cache.kind else { panic!("not a table") };
    read(table.remove("upstream").unwrap(), Some(directory), &[Algorithm::Es256])
}

#[test]
fn a_provider_is_read() {
    let upstream = reading(GOOD).unwrap().remove(0);
    assert!(matches!(upstream.proof, ClientProof::OwnKey(Algorithm::Es256)));
    assert_eq!(upstream.name("zh-Hant"), "北方銀行");
    assert!(upstream.answers_for("a@north.example"));
    // Letter case is the provider's own.
    assert_eq!(upstream.worth(Some("urn:north:2FA")), Acr::StrongCustomerAuthentication);
    assert_eq!(upstream.worth(Some("urn:north:2fa")), Acr::CustomerAuthentication);
    assert_eq!(upstream.roles.roles["Staff"], "account-viewer");
    assert!(upstream.logout && !upstream.just_in_time && !upstream.hidden);
}

#[rstest]
#[case("id = \"north-bank\"", "id = \"North\"", "upstream[0].id")]
#[case("https://north", "http://north", "upstream[0].issuer")]
#[case("own_key = \"ES256\"", "own_key = \"RS256\"", "upstream[0].own_key")]
#[case("own_key = \"ES256\"", "own_key = \"HS256\"", "upstream[0].own_key")]
#[case("own_key = \"ES256\"", "", "upstream[0]")]
#[case("own_key = \"ES256\"", "own_key = \"ES256\"\nkey_file = \"k\"", "upstream[0]")]
#[case("own_key = \"ES256\"", "key_file = \"nowhere.jwk\"", "upstream[0].key_file")]
#[case("own_key = \"ES256\"", "key_file = \"Cargo.toml\"", "upstream[0].key_file")]
#[case("own_key = \"ES256\"", "client_secret_file = \"nowhere\"", "upstream[0].client_secret_file")]
#[case("own_key", "client_auth = \"client_secret_basic\"\nown_key", "upstream[0].client_auth")]
#[case("two-factors", "three-factors", "upstream[0].acr")]
#[case("North.example", "@north.example", "upstream[0].domains")]
#[case("roles_claim = \"groups\"", "", "upstream[0].roles")]
#[case("own_key", "algorithms = [\"none\"]\nown_key", "upstream[0].algorithms")]
#[case("own_key", "algorithms = [\"HS256\"]\nown_key", "upstream[0].algorithms")]
#[case("own_key", "origins = [\"https://a.example/\"]\nown_key", "upstream[0].origins")]
#[case("own_key", "jitt = true\nown_key", "upstream[0]")]
fn mistakes_are_named(#[case] from: &str, #[case] to: &str, #[case] key: &str) {
    let table = GOOD.replace(from, to);
    assert_ne!(table, GOOD);
    assert_eq!(reading(&table).unwrap_err().0, key);
}

#[test]
fn a_provider_stands_once() {
    let other = GOOD.replace("north-bank", "other");
    assert_eq!(reading(&format!("{GOOD}---{GOOD}")).unwrap_err().0, "upstream[1].id");
    assert_eq!(reading(&format!("{GOOD}---{other}")).unwrap_err().0, "upstream[1].issuer");
}

#[test]
fn every_key_is_in_the_reference() {
    let source = include_str!("upstream.rs");
    let fields = source.split("struct Written {").nth(1).unwrap().split('}').next().unwrap();
    for field in fields.lines().filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name) {
        assert!(UPSTREAM_ABOUT.contains(&format!("`{field}`")), "{field}");
    }
}

//! The reference of all settings, generated from their types. `docs/configuration.md` is this text;
//! a test compares the two.

use std::fmt::Write;

use crate::config::{
    section::Entry,
    settings::{ISSUER_ABOUT, Settings},
    upstream::UPSTREAM_ABOUT,
    value::Issuer,
};

const PREFACE: &str = "# Configuration

<!-- Generated from the types in crates/chancery/src/config/settings.rs.
     Regenerate: cargo run -p chancery -- config reference > docs/configuration.md -->

`chancery serve --config chancery.toml` reads one TOML file. `chancery.example.toml` is a start.

Every setting can also come from the environment, which wins over the file: `CHANCERY__`, the section, two
underscores, the key, in capitals (`tokens.access_token` is `CHANCERY__TOKENS__ACCESS_TOKEN`, `issuer` is
`CHANCERY__ISSUER`). A list is then separated by commas; an empty variable counts as absent.

Durations are written with units: `90s`, `10m`, `1h30m`, `180d`. A relative path in the file starts at the
file's directory. A setting whose name ends with `_file` names a file that holds the secret.

`chancery config check` reports every mistake with file, key and remedy, and exits with 2 if there is one. A
key that does not exist is a mistake.
";

/// The environment variable of a setting.
pub fn variable(key: &str) -> String {
    format!("CHANCERY__{}", key.replace('.', "__").to_uppercase())
}

/// The whole reference as Markdown.
pub fn markdown() -> String {
    let issuer: Issuer = "https://login.bank.example".parse().expect("the literal is an issuer");
    let mut settings = Settings::new(issuer);
    let mut page = PREFACE.to_owned();
    page.push_str("\n## Outside any section\n");
    setting(&mut page, "issuer", "URL", "required", ISSUER_ABOUT);
    for section in settings.sections() {
        let about = prose(section.about());
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## `[{}]`\n\n{about}\n", section.name());
        for Entry { key, about, kind, value } in section.entries() {
            let default = value.map_or_else(|| "not set".to_owned(), |value| format!("default `{value}`"));
            setting(&mut page, &format!("{}.{key}", section.name()), kind, &default, &prose(about));
        }
    }
    let _ = write!(page, "\n## `[[upstream]]`\n\n{UPSTREAM_ABOUT}");
    page
}

fn setting(page: &mut String, key: &str, kind: &str, default: &str, about: &str) {
    let _ = write!(page, "\n**`{key}`** · {kind} · {default}  \n{about}\n");
}

/// Documentation lines as one paragraph.
fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_committed_reference_is_generated() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == markdown(),
            "docs/configuration.md is out of date; regenerate it with: cargo run -p chancery -- config reference > docs/configuration.md"
        );
    }

    #[test]
    fn every_setting_is_explained() {
        let mut settings = Settings::new("https://a.example".parse().unwrap());
        for section in settings.sections() {
            assert!(!section.about().is_empty(), "[{}]", section.name());
            for entry in section.entries() {
                assert!(!entry.about.is_empty(), "{}.{}", section.name(), entry.key);
            }
        }
    }

    #[test]
    fn variables_are_named_by_rule() {
        assert_eq!(variable("tokens.access_token"), "CHANCERY__TOKENS__ACCESS_TOKEN");
    }
}

//! Every sample of every page is rendered in every language and read back with
//! an HTML tokenizer. With `CHANCERY_PAGES_DIR` set, the pages are also written
//! there, to be looked at.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use askama::Template;
use chrono::{DateTime, Utc};
use fluent_syntax::ast;
use html5gum::{Token, Tokenizer};

use super::*;

/// A name as an attacker would register it.
pub(super) const HOSTILE: &str =
    r#"<script>alert(1)</script>"><img src=x onerror='x' style="x">&amp; {{ csrf }}"#;

/// A QR code as the second factor's room draws it, base64.
pub(super) fn qr() -> String {
    let builder =
        totp_rs::Builder::new().with_secret(b"Hello!\xDE\xAD\xBE\xEFHello!\xDE\xAD\xBE\xEF".as_slice());
    builder
        .with_account_name("alice")
        .with_issuer(Some("Meridian Bank"))
        .build()
        .unwrap()
        .to_qr_base64()
        .unwrap()
}

pub(super) fn frame(language: Language) -> Frame {
    Frame { bank: "Meridian Bank".to_owned(), host: "id.meridian.example".to_owned(), language }
}

pub(super) fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(super) fn client(name: &str) -> ClientCard {
    ClientCard {
        name: name.to_owned(),
        homepage: WebLink::parse("https://ledgerline.example/"),
        policy: WebLink::parse("https://ledgerline.example/privacy"),
        terms: WebLink::parse("https://ledgerline.example/terms"),
        document_host: None,
    }
}

#[derive(Debug)]
struct Tag {
    name: String,
    attributes: BTreeMap<String, String>,
    closing: bool,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

struct Rendered {
    name: String,
    language: Language,
    html: String,
    tags: Vec<Tag>,
    text: String,
}

fn pages() -> Vec<Rendered> {
    let mut pages = vec![];
    for language in Language::ALL {
        let bank = frame(language);
        let hostile = Frame { bank: HOSTILE.to_owned(), host: HOSTILE.to_owned(), language };
        for (suffix, frame) in [("", &bank), ("-hostile-bank", &hostile)] {
            let mut add = |name: &str, html: Vec<String>| {
                let number = html.into_iter().enumerate();
                pages.extend(number.map(|(number, html)| {
                    read(format!("{name}{}{suffix}-{}", number + 1, language.tag()), language, html)
                }));
            };
            add("sign-in", render(SignIn::samples(frame)));
            add("select-account", render(SelectAccount::samples(frame)));
            add("second-factor", render(SecondFactor::samples(frame)));
            add("enrol", render(Enrol::samples(frame)));
            add("recovery-codes", render(RecoveryCodes::samples(frame)));
            add("consent", render(Consent::samples(frame)));
            add("account", render(Account::samples(frame)));
            add("sign-out", render(SignOut::samples(frame)));
            add("signed-out", render(SignedOut::samples(frame)));
            add("device-code", render(EnterCode::samples(frame)));
            add("device-confirm", render(ConfirmCode::samples(frame)));
            add("device-done", render(DeviceDone::samples(frame)));
            add("signing-out", render(SigningOut::samples(frame)));
            add("problem", render(Problem::samples(frame)));
            add("form-post", render(FormPost::samples(frame)));
        }
    }
    pages
}

fn render<T: Template>(samples: Vec<T>) -> Vec<String> {
    samples.into_iter().map(|sample| Page::new(sample).html().unwrap()).collect()
}

fn read(name: String, language: Language, html: String) -> Rendered {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut tags, mut text) = (vec![], String::new());
    for token in Tokenizer::new(html.as_str()) {
        match token.unwrap() {
            Token::StartTag(tag) => tags.push(Tag {
                name: utf8(&tag.name),
                attributes: tag.attributes.iter().map(|(name, value)| (utf8(name), utf8(value))).collect(),
                closing: false,
            }),
            Token::EndTag(tag) => {
                tags.push(Tag { name: utf8(&tag.name), attributes: BTreeMap::new(), closing: true });
            }
            Token::String(string) => text.push_str(&utf8(&string)),
            Token::Error(error) => panic!("{name}: {error:?}"),
            Token::Comment(_) | Token::Doctype(_) => {}
        }
    }
    Rendered { name, language, html, tags, text }
}

impl Rendered {
    fn opening(&self, name: &str) -> impl Iterator<Item = &Tag> {
        self.tags.iter().filter(move |tag| tag.name == name && !tag.closing)
    }

    /// The tags between each `<form>` and its end, with the form's own first.
    fn forms(&self) -> Vec<&[Tag]> {
        let starts = self.tags.iter().enumerate().filter(|(_, tag)| tag.name == "form" && !tag.closing);
        starts
            .map(|(start, _)| {
                let end =
                    self.tags[start..].iter().position(|tag| tag.name == "form" && tag.closing).unwrap();
                &self.tags[start..start + end]
            })
            .collect()
    }
}

#[test]
fn bcp_13_nothing_is_inline() {
    for page in pages() {
        for tag in &page.tags {
            assert_ne!(tag.name, "style", "{}", page.name);
            for (attribute, value) in &tag.attributes {
                assert!(attribute != "style" && !attribute.starts_with("on"), "{}: {tag:?}", page.name);
                assert!(
                    !value.trim_start().to_ascii_lowercase().starts_with("javascript:"),
                    "{}: {tag:?}",
                    page.name
                );
            }
        }
        let scripts: Vec<_> = page.opening("script").map(|tag| tag.get("src").unwrap_or_default()).collect();
        let expected = ["form-post", "signing-out"].into_iter().find(|kind| page.name.starts_with(kind));
        let expected = expected.map(|kind| format!("/assets/{kind}.js?v="));
        assert!(
            scripts.len() == usize::from(expected.is_some())
                && scripts.iter().zip(&expected).all(|(src, expected)| src.starts_with(expected)),
            "{}: {scripts:?}",
            page.name
        );
    }
}

#[test]
fn bcp_12_pages_load_only_files_that_exist_and_send_no_referrer() {
    for page in pages() {
        // The page that signs out at relying parties frames them (FL-01).
        let frames = page.name.starts_with("signing-out");
        let loads = page.tags.iter().filter(|tag| {
            matches!(tag.name.as_str(), "img" | "script" | "link" | "source")
                || (tag.name == "iframe" && !frames)
        });
        for address in loads.filter_map(|tag| tag.get("src").or_else(|| tag.get("href"))) {
            let name = address.strip_prefix("/assets/").and_then(|rest| rest.split_once("?v="));
            let exists = name.is_some_and(|(name, digest)| {
                assets::asset(name).is_some_and(|asset| asset.digest == digest)
            });
            assert!(exists || address.starts_with("data:image/png;base64,"), "{}: {address}", page.name);
        }
        assert!(
            page.opening("meta")
                .any(|tag| tag.get("name") == Some("referrer") && tag.get("content") == Some("no-referrer"))
        );
    }
}

#[test]
fn hostile_text_stays_text() {
    let mut seen = 0;
    for page in pages() {
        assert!(!page.html.contains("<script>") && !page.html.contains("onerror='"), "{}", page.name);
        assert!(page.opening("img").all(|tag| tag.get("src") != Some("x")), "{}", page.name);
        seen += usize::from(page.text.contains("<script>alert(1)</script>"));
    }
    assert!(seen > 50, "the hostile samples reached the text of only {seen} pages");
}

#[test]
fn every_page_has_one_heading_a_language_a_title_and_unique_ids() {
    for page in pages() {
        assert_eq!(page.opening("h1").count(), 1, "{}", page.name);
        assert_eq!(page.opening("main").count(), 1, "{}", page.name);
        assert_eq!(page.opening("title").count(), 1, "{}", page.name);
        assert_eq!(
            page.opening("html").next().unwrap().get("lang"),
            Some(page.language.tag()),
            "{}",
            page.name
        );
        assert!(page.opening("img").all(|tag| tag.attributes.contains_key("alt")), "{}", page.name);
        let mut ids = BTreeSet::new();
        for id in page.tags.iter().filter_map(|tag| tag.get("id")) {
            assert!(ids.insert(id), "{}: id {id} twice", page.name);
        }
        for tag in &page.tags {
            let references =
                ["for", "aria-describedby", "aria-labelledby"].into_iter().filter_map(|name| tag.get(name));
            for id in references.flat_map(str::split_whitespace) {
                assert!(ids.contains(id), "{}: nothing has id {id}", page.name);
            }
        }
    }
}

#[test]
fn every_visible_input_has_a_label_and_says_what_it_completes() {
    let expected = BTreeMap::from([
        ("username", "username"),
        ("password", "current-password"),
        ("otp", "one-time-code"),
        ("recovery_code", "off"),
        ("current_password", "current-password"),
        ("new_password", "new-password"),
        ("user_code", "off"),
        ("realm", "email"),
    ]);
    let mut seen = BTreeSet::new();
    for page in pages() {
        let labels: BTreeSet<_> = page.opening("label").filter_map(|tag| tag.get("for")).collect();
        for input in page
            .opening("input")
            .filter(|tag| tag.get("type") != Some("hidden") && tag.get("hidden").is_none())
        {
            let name = input.get("name").unwrap();
            assert!(labels.contains(input.get("id").unwrap()), "{}: {name} has no label", page.name);
            // What is ticked is not typed.
            if name.starts_with("accounts-") {
                assert_eq!(input.get("autocomplete"), None, "{}: {name}", page.name);
                continue;
            }
            assert_eq!(input.get("autocomplete"), expected.get(name).copied(), "{}: {name}", page.name);
            seen.insert(name.to_owned());
        }
    }
    assert_eq!(seen.len(), expected.len());
}

#[test]
fn bcp_16_every_post_carries_the_csrf_token() {
    for page in pages() {
        for form in page.forms() {
            let action = form[0].get("action").unwrap();
            // A code that is typed in only leads to the page that asks; that one carries the token (DV-05).
            let own_endpoint = action.starts_with('/') && action != "/device";
            let token = form.iter().find(|tag| tag.get("name") == Some("csrf"));
            assert_eq!(form[0].get("method"), Some("post"), "{}", page.name);
            assert_eq!(
                token.and_then(|tag| tag.get("value")),
                own_endpoint.then_some("q3Vw8Jm1"),
                "{}: {:?}",
                page.name,
                form[0]
            );
            assert!(
                form.iter().any(|tag| tag.name == "button" && tag.get("type") == Some("submit")),
                "{}",
                page.name
            );
        }
    }
}

#[test]
fn the_names_that_people_automate_by_are_stable() {
    let expected: [(&str, &[&str]); 8] = [
        ("sign-in1-en", &["username", "password", "login-submit", "cancel"]),
        ("second-factor1-en", &["otp", "otp-submit", "recovery_code", "recovery-submit", "cancel"]),
        ("enrol1-en", &["secret", "otp", "enrol-submit", "cancel"]),
        ("recovery-codes1-en", &["recovery-codes", "codes-saved"]),
        ("consent1-en", &["consent-allow", "consent-deny"]),
        ("account1-en", &["withdraw-c1", "withdraw-c2", "current_password", "new_password", "sign-out"]),
        ("sign-out1-en", &["sign-out", "stay"]),
        ("problem1-en", &["correlation-id", "error-detail"]),
    ];
    let pages = pages();
    for (name, ids) in expected {
        let page = pages.iter().find(|page| page.name == name).unwrap();
        for id in ids {
            assert!(page.tags.iter().any(|tag| tag.get("id") == Some(id)), "{name} has no {id}");
        }
    }
    assert!(
        !pages.iter().any(|page| page.name == "sign-in4-en" && page.html.contains("cancel")),
        "nothing to cancel without an app"
    );
}

#[test]
fn f2_28_consent_shows_who_what_how_long_and_where_to() {
    let page = pages().into_iter().find(|page| page.name == "consent2-en").unwrap();
    for words in [
        "Ledgerline",
        "Alice Moreau",
        "See your balances",
        "How much money",
        "Everyday account ···· 4417",
        "alice.moreau@example.com",
        "Until 21 February 2027, 10:30 UTC",
        "since 2 August 2026",
        "Stays connected when you are away",
        "127.0.0.1:8402",
    ] {
        assert!(page.text.contains(words), "{words}");
    }
    let classes: Vec<_> = page
        .opening("button")
        .filter(|tag| tag.get("name") == Some("decision"))
        .map(|tag| tag.get("class"))
        .collect();
    assert_eq!(classes, [Some("choice"), Some("choice")], "both answers carry equal weight");
    let news = |page: &Rendered| page.tags.iter().filter(|tag| tag.get("class") == Some("mark new")).count();
    assert_eq!(news(&page), 2, "one widened item, and staying connected");
    assert_eq!(
        news(pages().iter().find(|page| page.name == "consent1-en").unwrap()),
        0,
        "a first request marks nothing"
    );
}

#[test]
fn all_languages_have_the_same_messages_and_use_them_all() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [english, chinese] =
        Language::ALL.map(|language| messages(&root.join("locales").join(language.tag())));
    assert_eq!(english, chinese, "ids and variables differ");

    let mut sources = String::new();
    for folder in ["templates", "templates/part", "src/pages"] {
        for file in std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
        {
            sources.push_str(&std::fs::read_to_string(file).unwrap());
        }
    }
    for id in english.keys().filter(|id| !id.starts_with("claim-") && !id.starts_with("detail-action-")) {
        assert!(sources.contains(&format!("\"{id}\"")), "nobody says {id}");
    }
    for page in pages() {
        assert!(!page.html.contains("Unknown localization"), "{}", page.name);
        assert!(
            !page.text.contains("{$") && !page.text.contains("{ $"),
            "{}: a variable is missing",
            page.name
        );
    }
}

/// Message id → its variables.
fn messages(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut messages = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let resource = fluent_syntax::parser::parse(text.as_str()).unwrap();
        for entry in resource.body {
            if let ast::Entry::Message(message) = entry {
                let written = fluent_syntax::serializer::serialize(&ast::Resource {
                    body: vec![ast::Entry::Message(message.clone())],
                });
                let variables = written
                    .split('$')
                    .skip(1)
                    .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned())
                    .collect();
                assert!(
                    messages.insert(message.id.name.to_owned(), variables).is_none(),
                    "{} twice",
                    message.id.name
                );
            }
        }
    }
    messages
}

#[test]
fn pages_are_written_out_to_be_looked_at() {
    let Some(folder) = std::env::var_os("CHANCERY_PAGES_DIR") else { return };
    for page in pages() {
        std::fs::write(Path::new(&folder).join(format!("{}.html", page.name)), page.html).unwrap();
    }
}

//! The languages of the pages: which one a browser gets, and how texts and
//! dates read in it.
//!
//! Every word a customer reads stands in `locales/<tag>/*.ftl`; templates and
//! contexts know only message ids. A language is added by a directory and a
//! variant here; a test compares the ids and variables of all directories.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use fluent_langneg::{NegotiationStrategy, negotiate_languages, parse_accepted_languages};
use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{LanguageIdentifier, Loader, langid, static_loader};

static_loader! {
    static TEXTS = {
        locales: "./locales",
        fallback_language: "en",
        // The invisible isolation marks would end up in titles and in the texts people automate by;
        // `plain` removes from arguments what the marks would have defended against.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

const ENGLISH: LanguageIdentifier = langid!("en");
const TRADITIONAL_CHINESE: LanguageIdentifier = langid!("zh-Hant");

/// A language the pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, also the language of everyone whose own is missing.
    #[default]
    English,
    /// Chinese in traditional characters.
    TraditionalChinese,
}

impl Language {
    /// Every language, in the order of preference among equals.
    pub const ALL: [Self; 2] = [Self::English, Self::TraditionalChinese];

    /// The best language for a reader: first `ui_locales` as the client sent it (space-separated
    /// BCP 47 tags, OIDC Core §3.1.2.1), then the browser's `Accept-Language`. Unknown or malformed
    /// tags are passed over and never fail a request (OC-07). Whoever asks for nothing that there is
    /// reads `fallback`.
    #[must_use]
    pub fn negotiate(ui_locales: Option<&str>, accept_language: Option<&str>, fallback: Self) -> Self {
        let mut wanted = parse_accepted_languages(&ui_locales.unwrap_or_default().replace(' ', ","));
        wanted.extend(parse_accepted_languages(accept_language.unwrap_or_default()));
        let offered = Self::ALL.map(Self::identifier);
        let best = negotiate_languages(&wanted, &offered, None, NegotiationStrategy::Lookup);
        Self::ALL
            .into_iter()
            .find(|language| best.first().is_some_and(|id| **id == language.identifier()))
            .unwrap_or(fallback)
    }

    /// The BCP 47 tag, for the `lang` attribute.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::TraditionalChinese => "zh-Hant",
        }
    }

    /// The text of a message without variables.
    #[must_use]
    pub fn text(self, id: &str) -> String {
        TEXTS.lookup(&self.identifier(), id)
    }

    /// The text of a message, or nothing where no such message exists.
    #[must_use]
    pub fn try_text(self, id: &str) -> Option<String> {
        TEXTS.try_lookup(&self.identifier(), id)
    }

    /// The text of a message with string variables.
    #[must_use]
    pub fn with(self, id: &str, variables: &[(&'static str, &str)]) -> String {
        let variables =
            variables.iter().map(|(name, value)| (Cow::Borrowed(*name), FluentValue::from(plain(value))));
        TEXTS.lookup_with_args(&self.identifier(), id, &variables.collect())
    }

    /// The text of a message with one number, in the plural form it asks for.
    #[must_use]
    pub fn count(self, id: &str, count: u64) -> String {
        let variables = HashMap::from([(Cow::Borrowed("count"), FluentValue::from(count))]);
        TEXTS.lookup_with_args(&self.identifier(), id, &variables)
    }

    /// A day, such as `21 February 2027` (in UTC).
    #[must_use]
    pub fn date(self, at: &DateTime<Utc>) -> String {
        at.format(match self {
            Self::English => "%-d %B %Y",
            Self::TraditionalChinese => "%Y 年 %-m 月 %-d 日",
        })
        .to_string()
    }

    /// A moment to the minute, with its time zone said: the server does not know the reader's.
    #[must_use]
    pub fn moment(self, at: &DateTime<Utc>) -> String {
        at.format(match self {
            Self::English => "%-d %B %Y, %H:%M UTC",
            Self::TraditionalChinese => "%Y 年 %-m 月 %-d 日 %H:%M（UTC）",
        })
        .to_string()
    }

    /// How long to wait, rounded up: seconds below two minutes, whole minutes above.
    #[must_use]
    pub fn wait(self, seconds: u64) -> String {
        if seconds < 120 {
            self.count("wait-seconds", seconds.max(1))
        } else {
            self.count("wait-minutes", seconds.div_ceil(60))
        }
    }

    const fn identifier(self) -> LanguageIdentifier {
        match self {
            Self::English => ENGLISH,
            Self::TraditionalChinese => TRADITIONAL_CHINESE,
        }
    }
}

/// A name from outside without control and bidirectional-override characters, so that an app cannot
/// rearrange the bank's sentence around its own name.
fn plain(value: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    value.chars().filter(|c| !c.is_control() && !reorders(*c)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_reader_gets_the_best_language_there_is() {
        let cases = [
            (None, None, Language::English),
            (None, Some("zh-TW,zh;q=0.9,en;q=0.8"), Language::TraditionalChinese),
            (None, Some("zh-HK"), Language::TraditionalChinese),
            (None, Some("zh-Hans-CN,en"), Language::English),
            (None, Some("en-GB,zh-TW;q=0.5"), Language::English),
            (None, Some("de-AT,zh-Hant;q=0.5,en;q=0.1"), Language::TraditionalChinese),
            (None, Some("de"), Language::English),
        ];
        for (ui_locales, accept, expected) in cases {
            assert_eq!(
                Language::negotiate(ui_locales, accept, Language::English),
                expected,
                "{ui_locales:?} {accept:?}"
            );
        }
    }

    #[test]
    fn oc_07_ui_locales_come_first_and_never_fail() {
        let cases = [
            ("zh-Hant en", "en", Language::TraditionalChinese),
            ("fr-CA en", "zh-TW", Language::English),
            ("fr", "zh-TW", Language::TraditionalChinese),
            ("!!! \u{0} ,,;;==", "zh-TW", Language::TraditionalChinese),
            ("", "", Language::English),
        ];
        for (ui_locales, accept, expected) in cases {
            assert_eq!(
                Language::negotiate(Some(ui_locales), Some(accept), Language::English),
                expected,
                "{ui_locales:?} {accept:?}"
            );
        }
    }

    #[test]
    fn dates_read_in_the_language_and_say_their_zone() {
        let at = "2027-02-01T09:05:59Z".parse().unwrap();
        assert_eq!(Language::English.date(&at), "1 February 2027");
        assert_eq!(Language::English.moment(&at), "1 February 2027, 09:05 UTC");
        assert_eq!(Language::TraditionalChinese.date(&at), "2027 年 2 月 1 日");
        assert_eq!(Language::TraditionalChinese.moment(&at), "2027 年 2 月 1 日 09:05（UTC）");
    }

    #[test]
    fn waiting_time_is_rounded_up_and_plural() {
        assert_eq!(Language::English.wait(0), "1 second");
        assert_eq!(Language::English.wait(30), "30 seconds");
        assert_eq!(Language::English.wait(121), "3 minutes");
        assert_eq!(Language::TraditionalChinese.wait(121), "3 分鐘");
    }

    #[test]
    fn a_name_cannot_rearrange_the_sentence_around_it() {
        let text =
            Language::English.with("sign-in-continue", &[("client", "Ledger\u{202E}enil\u{2069}\u{0}\n")]);
        assert_eq!(text, "to continue to Ledgerenil");
    }
}

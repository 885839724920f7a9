//! Scopes (RFC 6749 §3.3): a set of case-sensitive tokens, written with single spaces between
//! them. Kept sorted, so that two equal scopes read alike everywhere.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

/// One scope value, such as `openid` or `accounts:read`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopeToken(String);

/// A character that RFC 6749 §3.3 does not allow in a scope token, or no character at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope token has one or more characters of %x21 / %x23-5B / %x5D-7E")]
pub struct MalformedScope;

impl ScopeToken {
    /// The token as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ScopeToken {
    type Error = MalformedScope;
    fn try_from(text: String) -> Result<Self, MalformedScope> {
        let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(MalformedScope);
        }
        Ok(Self(text))
    }
}

impl FromStr for ScopeToken {
    type Err = MalformedScope;
    fn from_str(text: &str) -> Result<Self, MalformedScope> {
        text.to_owned().try_into()
    }
}

impl From<ScopeToken> for String {
    fn from(token: ScopeToken) -> Self {
        token.0
    }
}

impl fmt::Display for ScopeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ScopeToken {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A set of scope tokens; possibly empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Scope(BTreeSet<ScopeToken>);

impl Scope {
    /// The scope without any token.
    pub const fn empty() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether there is no token in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `token` is in it.
    pub fn contains(&self, token: &str) -> bool {
        self.0.contains(token)
    }

    /// Whether every token of `self` is also in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The tokens that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The tokens that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The tokens of `self` that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// The tokens, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &ScopeToken> {
        self.0.iter()
    }

    /// Only the tokens that `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.iter().filter(|token| keep(token.as_str())).cloned().collect()
    }
}

impl FromIterator<ScopeToken> for Scope {
    fn from_iter<I: IntoIterator<Item = ScopeToken>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

impl FromStr for Scope {
    type Err = MalformedScope;
    /// Tolerates repeated spaces, which real clients send.
    fn from_str(text: &str) -> Result<Self, MalformedScope> {
        text.split(' ').filter(|part| !part.is_empty()).map(str::parse).collect()
    }
}

impl TryFrom<String> for Scope {
    type Error = MalformedScope;
    fn try_from(text: String) -> Result<Self, MalformedScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, token) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc6749_3_3_characters() {
        assert_eq!("a\"b".parse::<Scope>(), Err(MalformedScope));
        assert_eq!("a\\b".parse::<Scope>(), Err(MalformedScope));
        assert_eq!("caf\u{e9}".parse::<Scope>(), Err(MalformedScope));
        assert_eq!("b  a b".parse::<Scope>().unwrap().to_string(), "a b");
        assert!("".parse::<Scope>().unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn scopes_round_trip(text in "[!#-\\[\\]-~]{1,9}( [!#-\\[\\]-~]{1,9}){0,5}") {
            let scope: Scope = text.parse().unwrap();
            prop_assert_eq!(&scope, &scope.to_string().parse().unwrap());
            prop_assert!(text.split(' ').all(|token| scope.contains(token)));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,64}") {
            let _ = text.parse::<Scope>();
        }
    }
}

//! What is wrong with a configuration, in words that lead to the fix.

use std::fmt;

/// One mistake in the configuration. All of them are collected, then shown together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the value came from: a file's path or an environment variable; for a setting that was not
    /// given, the file in which it would be.
    pub origin: String,
    /// The setting's full key, such as `tokens.code`; empty if the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n    {}", self.problem, self.remedy)
    }
}

/// The name among `known` that `mistyped` was probably meant to be.
pub fn did_you_mean<'a>(mistyped: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(mistyped, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near_or_absent() {
        let known = ["access_token", "refresh_idle", "code"];
        assert_eq!(did_you_mean("acces_token", known), Some("access_token"));
        assert_eq!(did_you_mean("zzz", known), None);
    }
}

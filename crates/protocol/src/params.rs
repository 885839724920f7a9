//! The strict reader of form bodies and query strings.
//!
//! Stock form parsers keep the last of two equal names, or join them, or drop both; each choice has
//! let an attacker show one value to a check and another to the code behind it. Here a repeated
//! parameter is an error (O21-04, RFC 6749 §3.1, §3.2) unless its specification lets it repeat.
//! Empty values count as absent. Unknown parameters are kept and ignored by those who don't ask.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use percent_encoding::percent_decode;
use serde::{Deserialize, Serialize};

/// At most so many parameters in one request.
pub const MAX_PARAMETERS: usize = 100;
/// At most so many bytes in one name.
pub const MAX_NAME: usize = 128;
/// At most so many bytes in one decoded value; `state` and request objects can be long (F2-30).
pub const MAX_VALUE: usize = 32 * 1024;

/// Parameters that may repeat: `resource` (RFC 8707 §2) and `audience` (RFC 8693 §2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// Why a form body or query string can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsFault {
    /// Not UTF-8 after percent-decoding, or with a control character that no parameter needs.
    #[error("a parameter is not valid UTF-8 text")]
    NotText,
    /// More than [`MAX_PARAMETERS`].
    #[error("more than {MAX_PARAMETERS} parameters")]
    TooMany,
    /// A name over [`MAX_NAME`] or a value over [`MAX_VALUE`].
    #[error("a parameter is too long")]
    TooLong,
}

/// The parameters of one request. Duplicates stay visible until they are asked for, so that an
/// authorization endpoint can still find out where an error about them may go.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    first: BTreeMap<String, String>,
    more: BTreeMap<String, Vec<String>>,
    repeated: BTreeSet<String>,
}

impl std::fmt::Debug for Params {
    /// Names only: values may be codes, tokens and secrets (BCP-17).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.first.keys()).finish()
    }
}

impl Params {
    /// Reads `application/x-www-form-urlencoded` bytes: a body, or a query string.
    ///
    /// # Errors
    /// [`ParamsFault`] when the bytes are no text or pass a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParamsFault> {
        let mut params = Self::default();
        let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for (index, pair) in pairs.enumerate() {
            if index >= MAX_PARAMETERS {
                return Err(ParamsFault::TooMany);
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if name.len() > MAX_NAME || value.len() > MAX_VALUE {
                return Err(ParamsFault::TooLong);
            }
            params.push(name, value);
        }
        Ok(params)
    }

    /// Adds one decoded parameter.
    fn push(&mut self, name: String, value: String) {
        if value.is_empty() {
            return;
        }
        match self.first.entry(name) {
            Entry::Vacant(place) => {
                place.insert(value);
            }
            Entry::Occupied(place) if REPEATABLE.contains(&place.key().as_str()) => {
                self.more.entry(place.key().clone()).or_default().push(value);
            }
            Entry::Occupied(place) => {
                self.repeated.insert(place.key().clone());
            }
        }
    }

    /// The value of `name`; the first one where it is repeated.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.first.get(name).map(String::as_str)
    }

    /// Every value of a parameter that may repeat.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let more = self.more.get(name).map(Vec::as_slice).unwrap_or_default();
        self.first.get(name).into_iter().chain(more).map(String::as_str)
    }

    /// The first name, in order of the alphabet, that came twice though it may not (O21-04).
    pub fn repeated(&self) -> Option<&str> {
        self.repeated.first().map(String::as_str)
    }

    /// Whether `name` came twice though it may not; what it says can't be trusted then.
    pub fn is_repeated(&self, name: &str) -> bool {
        self.repeated.contains(name)
    }

    /// The parameters as a query string, repeated ones still repeated, so that whoever reads it
    /// refuses what would have been refused here.
    pub fn to_query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.first {
            query.append_pair(name, value);
        }
        for (name, value) in self.more.iter().flat_map(|(name, values)| values.iter().map(move |v| (name, v)))
        {
            query.append_pair(name, value);
        }
        for name in &self.repeated {
            query.append_pair(name, "repeated");
        }
        query.finish()
    }

    /// Names that came with a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.first.keys().map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut params = Self::default();
        for (name, value) in pairs {
            params.push(name, value);
        }
        params
    }
}

/// One form-decoded text: `+` is a space, `%XX` a byte. NUL is refused, because PostgreSQL can't
/// hold it in text and no parameter needs it.
fn decode(bytes: &[u8]) -> Result<String, ParamsFault> {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = percent_decode(&spaced).decode_utf8().map_err(|_| ParamsFault::NotText)?;
    if text.contains('\0') { Err(ParamsFault::NotText) } else { Ok(text.into_owned()) }
}

/// The user name and password of HTTP Basic credentials, each form-decoded (OC-23,
/// RFC 6749 §2.3.1). `credentials` is what follows the scheme name.
pub fn basic_credentials(credentials: &str) -> Option<(String, crate::secret::ClientSecret)> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes = zeroize::Zeroizing::new(STANDARD.decode(credentials.trim()).ok()?);
    let mut halves = bytes.splitn(2, |byte| *byte == b':');
    let user = decode(halves.next()?).ok()?;
    let password = decode(halves.next()?).ok()?;
    (!user.is_empty()).then(|| (user, password.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn o21_04_repeated_empty_and_unknown() {
        let params = Params::parse(b"scope=a&scope=b&state=&x=1&resource=r1&resource=r2").unwrap();
        assert_eq!(params.repeated(), Some("scope"));
        assert_eq!(params.get("state"), None);
        assert_eq!(params.get("x"), Some("1"));
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["r1", "r2"]);
        assert!(!params.is_repeated("resource"));
    }

    #[test]
    fn o21_04_an_empty_twin_is_no_repetition() {
        assert_eq!(Params::parse(b"scope=&scope=a").unwrap().repeated(), None);
        assert_eq!(Params::parse(b"scope=a&scope=").unwrap().repeated(), None);
    }

    #[test]
    fn oc_08_a_query_keeps_what_was_posted() {
        let params = Params::parse(b"a=1%26&resource=x&resource=y&scope=p&scope=q").unwrap();
        let again = Params::parse(params.to_query().as_bytes()).unwrap();
        assert_eq!(again, params);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        assert_eq!(Params::parse(b"a=%ff"), Err(ParamsFault::NotText));
        assert_eq!(Params::parse(b"a=%00"), Err(ParamsFault::NotText));
        let many = "a=1&".repeat(MAX_PARAMETERS + 1);
        assert_eq!(Params::parse(many.as_bytes()), Err(ParamsFault::TooMany));
        let long = format!("a={}", "x".repeat(MAX_VALUE + 1));
        assert_eq!(Params::parse(long.as_bytes()), Err(ParamsFault::TooLong));
    }

    #[test]
    fn f2_30_a_long_state_is_kept() {
        let state = "s".repeat(4000);
        let params = Params::parse(format!("state={state}").as_bytes()).unwrap();
        assert_eq!(params.get("state"), Some(state.as_str()));
    }

    #[test]
    fn oc_23_basic_is_form_decoded() {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let (user, password) = basic_credentials(&STANDARD.encode("a%3Ab:p%2Bq+r")).unwrap();
        assert_eq!((user.as_str(), password.expose()), ("a:b", "p+q r"));
        assert!(basic_credentials("!!!").is_none());
        assert!(basic_credentials(&STANDARD.encode("nocolon")).is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Params::parse(&bytes);
        }

        #[test]
        fn encoded_values_round_trip(value in "[^\\x00]{1,60}") {
            let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("v", &value).finish();
            let params = Params::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(params.get("v"), Some(value.as_str()));
        }
    }
}

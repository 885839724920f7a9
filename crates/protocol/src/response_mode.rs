//! How an authorization response travels: what the names of `response_mode` mean.
//!
//! A mode names two things at once: the carrier (query, fragment, posted form) and whether the
//! parameters travel as they are or inside one signed JWT (JARM). `jwt` alone leaves the carrier to the
//! response type. [`Delivery`] is the answer to both; nothing behind this module asks for names.

use crate::client::{ResponseMode, ResponseType};

/// What carries the response to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// The query of the redirect URI.
    Query,
    /// Its fragment, which the browser keeps from servers on the way.
    Fragment,
    /// A form that the browser posts to it.
    FormPost,
}

/// How a response travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// What carries it.
    pub carrier: Carrier,
    /// Whether its parameters are inside a signed JWT, the only parameter `response` (MS-06).
    pub signed: bool,
}

impl Delivery {
    /// What a requested mode means, or the default where none was requested. An answer that may hold a
    /// token (`front_channel`) defaults to the fragment, any other to the query (OAuth 2.0 Multiple
    /// Response Types §5, JARM §2.3.4).
    pub const fn of(mode: Option<ResponseMode>, front_channel: bool) -> Self {
        let default = if front_channel { Carrier::Fragment } else { Carrier::Query };
        let (carrier, signed) = match mode {
            None => (default, false),
            Some(ResponseMode::Query) => (Carrier::Query, false),
            Some(ResponseMode::Fragment) => (Carrier::Fragment, false),
            Some(ResponseMode::FormPost) => (Carrier::FormPost, false),
            Some(ResponseMode::Jwt) => (default, true),
            Some(ResponseMode::QueryJwt) => (Carrier::Query, true),
            Some(ResponseMode::FragmentJwt) => (Carrier::Fragment, true),
            Some(ResponseMode::FormPostJwt) => (Carrier::FormPost, true),
        };
        Self { carrier, signed }
    }
}

impl ResponseType {
    /// The response type that a request names; the order of its words says nothing (RFC 6749 §3.1.1).
    pub fn requested(text: &str) -> Option<Self> {
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.sort_unstable();
            words
        };
        let wanted = sorted(text);
        Self::ALL.iter().copied().find(|known| sorted(known.as_str()) == wanted)
    }

    /// Whether the authorization endpoint answers with an ID token beside the code.
    pub const fn has_id_token(self) -> bool {
        matches!(self, Self::CodeIdToken)
    }

    /// Whether a requested type, known or not, asks for anything but a code. Its errors then travel
    /// where its tokens would have (RFC 6749 §4.2.2.1).
    pub fn is_front_channel(text: &str) -> bool {
        text.split(' ').any(|word| matches!(word, "token" | "id_token"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("code", Some(ResponseType::Code))]
    #[case("code id_token", Some(ResponseType::CodeIdToken))]
    #[case("id_token code", Some(ResponseType::CodeIdToken))]
    #[case("code code", None)]
    #[case("code  id_token", None)]
    #[case("id_token", None)]
    #[case("code token", None)]
    #[case("code id_token token", None)]
    #[case("none", None)]
    #[case("Code", None)]
    fn bcp_07_o21_02_only_codes_and_id_tokens_beside_them(
        #[case] text: &str,
        #[case] expected: Option<ResponseType>,
    ) {
        assert_eq!(ResponseType::requested(text), expected);
    }

    #[rstest]
    #[case(None, (Carrier::Query, false), (Carrier::Fragment, false))]
    #[case(Some("query"), (Carrier::Query, false), (Carrier::Query, false))]
    #[case(Some("fragment"), (Carrier::Fragment, false), (Carrier::Fragment, false))]
    #[case(Some("form_post"), (Carrier::FormPost, false), (Carrier::FormPost, false))]
    #[case(Some("jwt"), (Carrier::Query, true), (Carrier::Fragment, true))]
    #[case(Some("query.jwt"), (Carrier::Query, true), (Carrier::Query, true))]
    #[case(Some("fragment.jwt"), (Carrier::Fragment, true), (Carrier::Fragment, true))]
    #[case(Some("form_post.jwt"), (Carrier::FormPost, true), (Carrier::FormPost, true))]
    fn ms_08_what_the_modes_mean(
        #[case] name: Option<&str>,
        #[case] code: (Carrier, bool),
        #[case] with_token: (Carrier, bool),
    ) {
        let mode = name.map(|name| ResponseMode::parse(name).unwrap());
        for (front_channel, expected) in [(false, code), (true, with_token)] {
            let delivery = Delivery::of(mode, front_channel);
            assert_eq!((delivery.carrier, delivery.signed), expected, "{name:?} {front_channel}");
        }
    }
}

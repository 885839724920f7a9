//! The URL that a proof is for (`htu`, RFC 9449 §4.2), compared by what RFC 3986 §6.2.2 and §6.2.3 call
//! the same: letter case of scheme and host, default port, unreserved characters that were escaped, dot
//! segments. Query and fragment do not count.
//!
//! What only a forgiving reader takes for a URL (a backslash, white space, a missing slash, an address
//! in octal) is no URL here, so no two readers can disagree about what was signed (DP-02).

use url::Url;

/// The longest `htu` that is looked at, in bytes.
const MAX_TARGET: usize = 2000;

/// Whether two http or https URLs are the same target of a request.
pub fn same_target(left: &str, right: &str) -> bool {
    // What every client library sends: the endpoint as metadata spell it.
    if left == right && !left.contains(['?', '#', '%']) {
        return true;
    }
    normal(left).is_some_and(|left| normal(right) == Some(left))
}

/// The one spelling of a target; `None` if it is none.
fn normal(text: &str) -> Option<String> {
    let fits = text.len() <= MAX_TARGET && text.bytes().all(is_uri_byte);
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = fits.then(|| text.get(..end)).flatten()?;
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    if authority.contains('@') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https") || !scheme.eq_ignore_ascii_case(url.scheme()) {
        return None;
    }
    let host = url.host_str()?;
    if !is_as_written(authority, host) {
        return None;
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}{}", url.scheme(), unescaped(url.path())?))
}

/// RFC 3986 §2: what may stand in a URI at all.
fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// Whether a host is written as it is, but for letter case: reading folds numbers, escapes and more
/// into addresses.
fn is_as_written(authority: &str, host: &str) -> bool {
    let (written, rest) = authority.split_at_checked(host.len()).unwrap_or_default();
    written.eq_ignore_ascii_case(host)
        && (rest.is_empty()
            || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit())))
}

/// Escapes in their one spelling: none for an unreserved character, capital digits for others. `None`
/// where a percent sign begins no escape.
fn unescaped(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, escape)) = rest.split_once('%') {
        out.push_str(before);
        let digits = escape.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        match u8::from_str_radix(digits, 16).ok()? {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = escape.get(2..)?;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TOKEN: &str = "https://as.example/token";

    #[rstest]
    #[case("https://as.example/token")]
    #[case("HTTPS://as.example/token")]
    #[case("https://AS.Example/token")]
    #[case("https://as.example:443/token")]
    #[case("https://as.example:/token")]
    #[case("https://as.example/token?x=1")]
    #[case("https://as.example/token#frag")]
    #[case("https://as.example/token?https://evil.example#")]
    #[case("https://as.example/./token")]
    #[case("https://as.example/a/../token")]
    #[case("https://as.example/%74oken")]
    fn dp_02_spellings_of_the_same_target(#[case] spelling: &str) {
        assert!(same_target(spelling, TOKEN) && same_target(TOKEN, spelling));
    }

    #[rstest]
    #[case("")]
    #[case("/token")]
    #[case("as.example/token")]
    #[case("//as.example/token")]
    #[case("http://as.example/token")]
    #[case("http://as.example:443/token")]
    #[case("https://as.example:8443/token")]
    #[case("https:as.example/token")]
    #[case("https:/as.example/token")]
    #[case("https:///as.example/token")]
    #[case("https:\\\\as.example\\token")]
    #[case("https://as.example\\token")]
    #[case(" https://as.example/token")]
    #[case("https://as.example/token ")]
    #[case("https://as.example/to\tken")]
    #[case("https://as.example/token\n")]
    #[case("https://as.example./token")]
    #[case("https://as.example.evil.example/token")]
    #[case("https://user@as.example/token")]
    #[case("https://as.example@evil.example/token")]
    #[case("https://as.example%2ftoken")]
    #[case("https://%61s.example/token")]
    #[case("https://as.example/Token")]
    #[case("https://as.example/token/")]
    #[case("https://as.example//token")]
    #[case("https://as.example/token%00")]
    #[case("https://as.example/token%2F")]
    #[case("https://as.example/token;x")]
    #[case("https://as.example/par")]
    #[case("https://as.example/%7")]
    #[case("https://ａs.example/token")]
    #[case("wss://as.example/token")]
    fn dp_02_other_targets_and_what_is_no_url(#[case] spelling: &str) {
        assert!(!same_target(spelling, TOKEN) && !same_target(TOKEN, spelling));
    }

    #[rstest]
    #[case("http://127.0.0.1:8400/token", true)]
    #[case("http://127.1:8400/token", false)]
    #[case("http://0x7f.0.0.1:8400/token", false)]
    #[case("http://2130706433:8400/token", false)]
    #[case("http://[::1]:8400/token", false)]
    fn dp_02_addresses_are_taken_as_they_are_written(#[case] spelling: &str, #[case] same: bool) {
        assert_eq!(same_target(spelling, "http://127.0.0.1:8400/token"), same);
    }

    #[test]
    fn dp_02_what_is_no_url_is_not_even_itself() {
        assert!(!same_target("https://as.example/%zz", "https://as.example/%zz"));
        assert!(same_target("https://[2001:DB8::1]/t", "https://[2001:db8::1]/t"));
    }

    proptest! {
        #[test]
        fn nothing_panics(left in "\\PC{0,60}", right in "[ -~]{0,60}") {
            let _ = same_target(&left, &right);
            let _ = same_target(&format!("https://{left}"), &format!("https://{right}"));
        }

        #[test]
        fn dp_02_no_other_path_passes(path in "[a-z%/.;0-9]{0,20}") {
            let spelling = format!("https://as.example/{path}");
            if same_target(&spelling, TOKEN) {
                let read = Url::parse(&spelling).unwrap();
                prop_assert_eq!(percent_encoding::percent_decode_str(read.path()).decode_utf8_lossy(), "/token");
            }
        }
    }
}

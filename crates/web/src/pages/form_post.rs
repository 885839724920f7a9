//! The response mode `form_post`: a form that takes the browser back to the app
//! (OAuth 2.0 Form Post Response Mode §2, OC-12). A script of ours submits it;
//! without scripts the customer presses the button.

use askama::Template;

use super::frame::{Field, Frame};

/// The page that carries an authorization response. Its layer must send `no-store`, and a CSP whose
/// `form-action` admits `action`.
#[derive(Template)]
#[template(path = "form_post.html")]
pub struct FormPost {
    /// The frame.
    pub frame: Frame,
    /// The verified redirect URI.
    pub action: String,
    /// The response parameters.
    pub fields: Vec<Field>,
    /// The app's name.
    pub client: String,
}

#[cfg(test)]
impl FormPost {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample = |client: &str, value: &str| Self {
            frame: frame.clone(),
            action: "https://ledgerline.example/callback?a=1&b=2".to_owned(),
            fields: vec![
                Field::new("code", "SplxlOBeZQQYbYS6WxSbIA"),
                Field::new("state", value),
                Field::new("iss", "https://id.meridian.example"),
            ],
            client: client.to_owned(),
        };
        vec![sample("Ledgerline", "xyz"), sample(super::tests::HOSTILE, super::tests::HOSTILE)]
    }
}

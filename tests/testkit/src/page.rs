//! A page as a browser without JavaScript sees it, and the forms on it.
//!
//! Fields are filled by name and forms are sent by the id of the button pressed, because those are what the
//! pages promise to people who automate them. Filling a field that the form does not have is a failure.

use reqwest::header::HeaderMap;
use scraper::{ElementRef, Html, Selector};
use url::Url;

/// What a browser shows after a navigation has come to rest.
#[derive(Debug, Clone)]
pub struct Page {
    /// The address it came from.
    pub url: Url,
    /// The HTTP status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The HTML.
    pub body: String,
    /// Set when the navigation left the site: nothing was sent to the other site.
    pub departure: Option<Departure>,
}

/// A navigation to another site, with what it carries there: an authorization response, usually.
#[derive(Debug, Clone)]
pub struct Departure {
    /// Where to, query included.
    pub url: Url,
    /// The parameters of query and fragment, or of the posted form (`response_mode=form_post`).
    pub parameters: Vec<(String, String)>,
}

impl Departure {
    /// A parameter's value; `None` when it is absent.
    ///
    /// # Panics
    /// When it is there twice.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut values = self.parameters.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} is there twice in {}", self.url);
        value
    }

    /// The authorization code.
    ///
    /// # Panics
    /// When there is none, with what came instead.
    #[must_use]
    pub fn code(&self) -> &str {
        self.parameter("code").unwrap_or_else(|| panic!("no code but {:?} at {}", self.parameters, self.url))
    }

    /// The error code of a refusal.
    ///
    /// # Panics
    /// When there is none, with what came instead.
    #[must_use]
    pub fn error(&self) -> &str {
        self.parameter("error")
            .unwrap_or_else(|| panic!("no error but {:?} at {}", self.parameters, self.url))
    }
}

/// A form, ready to be filled and sent.
#[derive(Debug, Clone)]
pub struct Form {
    /// `GET` or `POST`.
    pub method: String,
    /// Where it is sent.
    pub action: Url,
    /// What it sends, in document order: hidden fields, typed values, chosen options, the pressed button.
    pub fields: Vec<(String, String)>,
    /// The names of every control on it, whether or not it sends a value now.
    names: Vec<String>,
    /// The page it is on, which browsers name in `Origin`.
    pub(crate) page: Url,
    pub(crate) hides_origin: bool,
}

impl Form {
    /// Fills a control: replaces what the form sends under this name.
    ///
    /// # Panics
    /// When the form has no control of this name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        assert!(self.has(name), "the form at {} has no field {name:?}, only {:?}", self.page, self.names);
        match self.fields.iter().position(|(n, _)| n == name) {
            Some(first) => {
                value.clone_into(&mut self.fields[first].1);
                let mut index = 0;
                self.fields.retain(|(n, _)| {
                    index += 1;
                    n != name || index - 1 == first
                });
            }
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Adds a value that the page does not offer: another tick of the same name, or a forgery.
    #[must_use]
    pub fn also(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends nothing under this name: unticks, or omits.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(n, _)| n != name);
        self
    }

    /// Whether it has a control of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    /// What it sends under this name (the first value).
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Page {
    /// Returns itself when the status is `status`.
    ///
    /// # Panics
    /// When it is not, with the page's text.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected status at {}; the page says: {}", self.url, self.text());
        self
    }

    /// Where the navigation left for.
    ///
    /// # Panics
    /// When it stayed, with the page's text.
    pub fn departed(&self) -> &Departure {
        self.departure
            .as_ref()
            .unwrap_or_else(|| panic!("still at {} ({}), which says: {}", self.url, self.status, self.text()))
    }

    /// A header field's value; `None` when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether there is an element with this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        !self.texts(&format!("[id=\"{id}\"]")).is_empty()
    }

    /// The texts of all elements that match a CSS selector, white space normalized.
    ///
    /// # Panics
    /// When the selector is malformed.
    #[must_use]
    pub fn texts(&self, css: &str) -> Vec<String> {
        Html::parse_document(&self.body).select(&selector(css)).map(text_of).collect()
    }

    /// The values of an attribute on all elements that match a CSS selector and have it.
    ///
    /// # Panics
    /// When the selector is malformed.
    #[must_use]
    pub fn attributes(&self, css: &str, attribute: &str) -> Vec<String> {
        let document = Html::parse_document(&self.body);
        document.select(&selector(css)).filter_map(|e| e.attr(attribute)).map(str::to_owned).collect()
    }

    /// The text that a person reads, white space normalized.
    #[must_use]
    pub fn text(&self) -> String {
        self.texts("body").join(" ")
    }

    /// The form that the button with this id sends, with the button's own value in it.
    ///
    /// # Panics
    /// When there is no such button, or it is in no form.
    #[must_use]
    pub fn form(&self, button: &str) -> Form {
        let document = Html::parse_document(&self.body);
        let pressed = document
            .select(&selector(&format!("[id=\"{button}\"]")))
            .next()
            .unwrap_or_else(|| panic!("no button {button:?} at {}, which says: {}", self.url, self.text()));
        let owner = match pressed.attr("form") {
            Some(id) => document.select(&selector(&format!("form[id=\"{id}\"]"))).next(),
            None => pressed.ancestors().filter_map(ElementRef::wrap).find(|e| e.value().name() == "form"),
        };
        let owner = owner.unwrap_or_else(|| panic!("the button {button:?} at {} is in no form", self.url));
        let mut form = self.read(&document, owner);
        if let Some(action) = pressed.attr("formaction") {
            form.action = self.resolve(action);
        }
        if let Some(name) = pressed.attr("name") {
            form.fields.push((name.to_owned(), pressed.attr("value").unwrap_or_default().to_owned()));
        }
        form
    }

    /// The first form that goes to another site: the page of `response_mode=form_post`.
    #[must_use]
    pub fn form_to_another_site(&self) -> Option<Form> {
        let document = Html::parse_document(&self.body);
        document
            .select(&selector("form"))
            .map(|form| self.read(&document, form))
            .find(|form| form.action.origin() != self.url.origin())
    }

    fn resolve(&self, reference: &str) -> Url {
        self.url.join(reference).unwrap_or_else(|e| panic!("{reference:?} at {} is no URL: {e}", self.url))
    }

    fn read(&self, document: &Html, form: ElementRef<'_>) -> Form {
        let outside = form.attr("id").map(|id| selector(&format!("[form=\"{id}\"]")));
        let inside = selector("input, select, textarea, button");
        let elements = form.select(&inside).chain(outside.iter().flat_map(|css| document.select(css)));
        let (mut names, mut fields) = (Vec::new(), Vec::new());
        for element in elements.filter(|e| e.attr("disabled").is_none()) {
            let Some(name) = element.attr("name").filter(|name| !name.is_empty()) else {
                continue;
            };
            names.push(name.to_owned());
            fields.extend(values_of(element).into_iter().map(|value| (name.to_owned(), value)));
        }
        Form {
            method: form.attr("method").unwrap_or("get").to_ascii_uppercase(),
            action: self.resolve(form.attr("action").unwrap_or_default()),
            fields,
            names,
            page: self.url.clone(),
            hides_origin: self.header("referrer-policy") == Some("no-referrer")
                || document.select(&selector("meta[name=referrer][content=no-referrer]")).next().is_some(),
        }
    }
}

/// What a control sends when nobody touches it.
fn values_of(element: ElementRef<'_>) -> Vec<String> {
    let value = |otherwise: &str| element.attr("value").unwrap_or(otherwise).to_owned();
    match (element.value().name(), element.attr("type").unwrap_or("text")) {
        ("input", "submit" | "button" | "reset" | "image" | "file") | ("button", _) => Vec::new(),
        ("input", "checkbox" | "radio") if element.attr("checked").is_none() => Vec::new(),
        ("input", "checkbox" | "radio") => vec![value("on")],
        ("textarea", _) => vec![element.text().collect()],
        ("select", _) => chosen(element),
        _ => vec![value("")],
    }
}

fn chosen(select: ElementRef<'_>) -> Vec<String> {
    let value = |option: ElementRef<'_>| option.attr("value").map_or_else(|| text_of(option), str::to_owned);
    let options = selector("option");
    let marked: Vec<String> =
        select.select(&options).filter(|o| o.attr("selected").is_some()).map(value).collect();
    if marked.is_empty() && select.attr("multiple").is_none() {
        select.select(&options).next().map(value).into_iter().collect()
    } else {
        marked
    }
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).unwrap_or_else(|e| panic!("{css:?} is no CSS selector: {e}"))
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Page {
        Page {
            url: "http://localhost:1/interaction/7".parse().unwrap(),
            status: 200,
            headers: HeaderMap::new(),
            body: body.to_owned(),
            departure: None,
        }
    }

    const CONSENT: &str = r#"<form id=f method=post action=/interaction/7/consent>
        <input type=hidden name=csrf value=abc>
        <input type=checkbox name=account value=1 checked><input type=checkbox name=account value=2>
        <select name=days><option value=30>30<option value=90 selected>90</select>
        <button id=consent-allow name=decision value=allow>Allow</button>
        <button id=consent-deny name=decision value=deny>Deny</button></form>
        <button id=cancel form=f formaction=/interaction/7/cancel>Cancel</button>"#;

    #[test]
    fn a_button_sends_its_form() {
        let form = page(CONSENT).form("consent-allow");
        let fields: Vec<_> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(form.method, "POST");
        assert_eq!(form.action.as_str(), "http://localhost:1/interaction/7/consent");
        assert_eq!(fields, [("csrf", "abc"), ("account", "1"), ("days", "90"), ("decision", "allow")]);
    }

    #[test]
    fn a_button_outside_may_send_it_elsewhere() {
        let form = page(CONSENT).form("cancel");
        assert_eq!(form.action.path(), "/interaction/7/cancel");
        assert_eq!(form.value("csrf"), Some("abc"));
        assert_eq!(form.value("decision"), None);
    }

    #[test]
    fn fields_are_filled_added_and_left_out() {
        let form =
            page(CONSENT).form("consent-allow").with("days", "30").also("account", "2").without("csrf");
        let fields: Vec<_> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(fields, [("account", "1"), ("days", "30"), ("decision", "allow"), ("account", "2")]);
    }

    #[test]
    #[should_panic(expected = "has no field \"otp\"")]
    fn a_field_that_is_not_there_cannot_be_filled() {
        let _ = page(CONSENT).form("consent-allow").with("otp", "123456");
    }

    #[test]
    fn texts_and_foreign_forms_are_found() {
        let page = page("<p id=x>  a\n b </p><form action='https://app.example/cb' method=post></form>");
        assert!(page.has("x") && !page.has("y"));
        assert_eq!(page.texts("#x"), ["a b"]);
        assert_eq!(page.form_to_another_site().unwrap().action.host_str(), Some("app.example"));
    }
}

//! A browser without JavaScript: cookies, redirects within a site, forms.
//!
//! It stays on one site. A redirect or a form to another origin is not sent but reported as a
//! [`Departure`], so that a test holds the authorization response in its hands.

use std::sync::Arc;

use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{Client, RequestBuilder};
use url::Url;

use crate::page::{Departure, Form, Page};

/// One browser profile: a new one has no cookies.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    jar: Arc<Jar>,
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// A browser for plain http.
    #[must_use]
    pub fn new() -> Self {
        Self::trusting(&[])
    }

    /// A browser that trusts these PEM certificates for https.
    #[must_use]
    pub fn trusting(roots: &[&str]) -> Self {
        let jar = Arc::new(Jar::default());
        let client = crate::http_client(roots)
            .cookie_provider(Arc::clone(&jar))
            .build()
            .expect("a client with the test's own certificates can be built");
        Self { client, jar }
    }

    /// Opens an address, as if typed or followed from another site, and follows redirects within its site.
    pub async fn open(&self, url: impl AsRef<str>) -> Page {
        answered(self.try_open(url).await)
    }

    /// The same where the server may be away: an error is a request that nobody answered.
    ///
    /// # Errors
    /// When a connection fails or ends too early, or time runs out.
    pub async fn try_open(&self, url: impl AsRef<str>) -> Result<Page, reqwest::Error> {
        let url = parse(url.as_ref());
        self.try_navigate(self.client.get(url.clone()), url).await
    }

    /// Fills the fields by name, presses the button with this id, and follows where it leads.
    pub async fn submit(&self, page: &Page, button: &str, fields: &[(&str, &str)]) -> Page {
        let form = fields.iter().fold(page.form(button), |form, (name, value)| form.with(name, value));
        self.send(form).await
    }

    /// Sends a form, with the `Origin` and `Sec-Fetch-Site` that browsers send along.
    pub async fn send(&self, form: Form) -> Page {
        answered(self.try_send(form).await)
    }

    /// The same where the server may be away.
    ///
    /// # Errors
    /// As [`Browser::try_open`].
    pub async fn try_send(&self, form: Form) -> Result<Page, reqwest::Error> {
        let mut target = form.action.clone();
        if form.method == "GET" {
            target.query_pairs_mut().clear().extend_pairs(&form.fields);
        }
        if target.origin() != form.page.origin() {
            return Ok(left(form.page, target, form.fields));
        }
        if form.method == "GET" {
            return self.try_navigate(self.client.get(target.clone()), target).await;
        }
        // Under `Referrer-Policy: no-referrer` browsers post with an opaque origin.
        let origin =
            if form.hides_origin { "null".to_owned() } else { form.page.origin().ascii_serialization() };
        let request = self
            .client
            .post(target.clone())
            .header("origin", origin)
            .header("sec-fetch-site", "same-origin")
            .form(&form.fields);
        self.try_navigate(request, target).await
    }

    /// Posts a form that comes from another site (`SameSite=Lax` cookies stay at home): what an attacker's
    /// page, or an app that posts its authorization request, makes a browser do.
    pub async fn post_from_another_site(&self, url: impl AsRef<str>, fields: &[(&str, &str)]) -> Page {
        let url = parse(url.as_ref());
        let bare = crate::http_client(&[]).build().expect("a plain client can be built");
        let request = bare
            .post(url.clone())
            .header("origin", "https://elsewhere.example")
            .header("sec-fetch-site", "cross-site")
            .form(fields);
        answered(self.try_navigate(request, url).await)
    }

    /// The value of a cookie that would be sent to `url`.
    #[must_use]
    pub fn cookie(&self, url: impl AsRef<str>, name: &str) -> Option<String> {
        let header = self.jar.cookies(&parse(url.as_ref()))?;
        let cookies = header.to_str().ok()?.split("; ");
        cookies.filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
    }

    /// Plants a cookie, in `Set-Cookie` syntax, as if `url` had set it.
    pub fn plant_cookie(&self, url: impl AsRef<str>, cookie: &str) {
        self.jar.add_cookie_str(cookie, &parse(url.as_ref()));
    }

    /// The client beneath, with this profile's cookies, for requests that no page would make.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn try_navigate(&self, request: RequestBuilder, mut url: Url) -> Result<Page, reqwest::Error> {
        let mut request = request;
        for _ in 0..20 {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            // The jar belongs to the profile; a request made without it (from another site) still sets cookies.
            self.keep_cookies(&headers, &url);
            let next =
                headers.get(LOCATION).filter(|_| matches!(status, 301..=303)).map(|to| resolve(&url, to));
            match next {
                Some(next) if next.origin() == url.origin() => {
                    request = self.client.get(next.clone());
                    url = next;
                }
                next => {
                    let body = response.text().await?;
                    let departure = next.map(|url| Departure { parameters: carried(&url), url });
                    return Ok(Page { url, status, headers, body, departure });
                }
            }
        }
        panic!("more than 20 redirects, the last to {url}");
    }

    fn keep_cookies(&self, headers: &reqwest::header::HeaderMap, url: &Url) {
        let mut cookies = headers.get_all(reqwest::header::SET_COOKIE).iter();
        self.jar.set_cookies(&mut cookies, url);
    }
}

fn answered(page: Result<Page, reqwest::Error>) -> Page {
    page.unwrap_or_else(|e| panic!("{} does not answer: {e}", e.url().map_or("the server", Url::as_str)))
}

fn left(from: Url, to: Url, fields: Vec<(String, String)>) -> Page {
    let departure = Some(Departure { url: to, parameters: fields });
    Page { url: from, status: 200, headers: Default::default(), body: String::new(), departure }
}

fn carried(url: &Url) -> Vec<(String, String)> {
    let fragment = url.fragment().unwrap_or_default().as_bytes();
    let pairs = url.query_pairs().chain(url::form_urlencoded::parse(fragment));
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn resolve(url: &Url, location: &HeaderValue) -> Url {
    let location = location.to_str().expect("a Location is ASCII");
    url.join(location).unwrap_or_else(|e| panic!("{location:?} at {url} is no URL: {e}"))
}

fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|e| panic!("{url:?} is no URL: {e}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A site in miniature: `/start` sets a cookie and redirects to a form, whose post (`/go`) redirects to an
    /// app when the cookie came along. Answers with the request itself where a test wants to see it.
    async fn site() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = String::new();
                let complete = |text: &str| {
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    body.len() >= length.map_or(0, |length| length.parse().unwrap())
                };
                while !complete(&request) {
                    let mut buffer = [0; 4096];
                    let count = stream.read(&mut buffer).await.unwrap();
                    request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                }
                let answer = answer(&request);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        base
    }

    fn answer(request: &str) -> String {
        let page = |body: &str| {
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        let to = |location: &str, more: &str| {
            format!(
                "HTTP/1.1 303 See Other\r\nconnection: close\r\ncontent-length: 0\r\nlocation: {location}\r\n{more}\r\n"
            )
        };
        match request.split_whitespace().nth(1) {
            Some("/start") => to("/form", "set-cookie: tab=7; HttpOnly; Path=/\r\n"),
            Some("/form") => page(
                "<meta name=referrer content=no-referrer>
                <form method=post action=/go><input name=username><button id=login-submit>Go</button></form>",
            ),
            Some("/go") if request.contains("cookie: tab=7") && request.contains("origin: null") => {
                to("http://app.example/cb?code=c%201&state=s", "")
            }
            _ => page(request),
        }
    }

    #[tokio::test]
    async fn forms_cookies_and_redirects_lead_to_the_app() {
        let (base, browser) = (site().await, Browser::new());
        let page = browser.open(format!("{base}/start")).await;
        assert_eq!((page.url.path(), page.status), ("/form", 200));
        assert_eq!(browser.cookie(&base, "tab").as_deref(), Some("7"));
        let page = browser.submit(&page, "login-submit", &[("username", "alice")]).await;
        let departure = page.departed();
        assert_eq!(departure.url.host_str(), Some("app.example"));
        assert_eq!(departure.code(), "c 1");
        assert_eq!(departure.parameter("iss"), None);
    }

    #[tokio::test]
    async fn a_post_from_another_site_carries_no_cookie() {
        let (base, browser) = (site().await, Browser::new());
        let _ = browser.open(format!("{base}/start")).await;
        let page = browser.post_from_another_site(format!("{base}/go"), &[("username", "alice")]).await;
        assert!(page.body.contains("sec-fetch-site: cross-site") && !page.body.contains("tab=7"));
        assert!(page.departure.is_none());
    }
}

//! Requests and answers, and who carries them.
//!
//! In: what a receiver is to be sent. Out: what it said. Never here: what either means.
//!
//! A receiver's code talks to a [`Wire`] alone. One goes out to the network
//! ([`super::web::Network`]), the other keeps what would have been sent ([`Recorder`]), for previews
//! and tests.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::mail::Mail;
use super::trouble::Trouble;
use crate::notify::config::{EmailConfig, HttpConfig, Secret};
use crate::notify::deliver::FailureKind;
use crate::secret::MASK;
pub use crate::web_client::Request;

/// The name by which receivers know us.
pub const USER_AGENT: &str = concat!("Tidewatch/", env!("CARGO_PKG_VERSION"));

/// Shortest text that is masked: masking shorter ones would hide letters of words, not secrets.
const SECRET_BYTES_MIN: usize = 4;

/// An answer of HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its `Content-Type`; empty if it has none.
    pub content_type: String,
    /// The pause it asks for.
    pub retry_after: Option<Duration>,
    /// The beginning of its body.
    pub body: String,
}

/// Carries requests and mails.
pub trait Wire {
    /// Sends a request, and waits for the answer at most `timeout` where given.
    fn send(
        &mut self,
        http: &HttpConfig,
        request: Request,
        timeout: Option<Duration>,
    ) -> Result<Answer, Trouble>;

    /// Hands a mail to the mail server; what that said.
    fn mail(&mut self, config: &EmailConfig, mail: Mail) -> Result<String, Trouble>;
}

/// Texts that nobody is to see.
#[derive(Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Reads a secret and remembers it.
    ///
    /// # Errors
    /// It cannot be read: as with Alertmanager that ends the delivery, and the group's next turn is
    /// the next try. Receivers that are to try again at once say so.
    pub fn read(&mut self, secret: &Secret) -> Result<String, Trouble> {
        let text = secret.read().map_err(|why| Trouble::lasting(FailureKind::Other, why))?;
        self.add(&text);
        Ok(text)
    }

    /// Remembers a text.
    pub fn add(&mut self, text: &str) {
        for form in [text.to_owned(), crate::url_text::segment(text).to_string()] {
            if form.len() >= SECRET_BYTES_MIN && !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // The longest first, so that no part of one is left over.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    /// Remembers what follows the host in a URL that lets its holder in.
    pub fn add_url(&mut self, url: &str) {
        let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
        match behind.find(['/', '?']) {
            Some(at) if behind.len() > at + 1 => self.add(&behind[at + 1..]),
            _ => {}
        }
        self.add_login(url);
    }

    /// Remembers user and password of a URL.
    pub fn add_login(&mut self, url: &str) {
        let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
        if let Some((login, _)) = behind.split(['/', '?']).next().unwrap_or("").rsplit_once('@') {
            self.add(login);
        }
    }

    /// `text` with every one of them masked.
    pub fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
}

/// What would be sent, secrets masked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preview {
    /// `GET`, `POST`, `PUT`, or `SMTP` for a mail.
    pub method: String,
    /// The URL, or the mail server.
    pub url: String,
    /// Name and value of each header; of a mail sender and recipients.
    pub headers: Vec<(String, String)>,
    /// The body, or the whole mail.
    pub body: String,
}

/// A wire that leads nowhere: it keeps what is sent, and answers as it was told, else with success.
#[derive(Default)]
pub struct Recorder {
    /// What was sent.
    pub sent: Vec<Preview>,
    /// Answers to come.
    pub answers: VecDeque<Result<Answer, Trouble>>,
}

impl Wire for Recorder {
    fn send(
        &mut self,
        _: &HttpConfig,
        request: Request,
        _: Option<Duration>,
    ) -> Result<Answer, Trouble> {
        let invented = invented_answer(&request);
        self.sent.push(Preview {
            method: request.method.to_owned(),
            url: request.url,
            headers: request.headers,
            body: request.body.unwrap_or_default(),
        });
        self.answers.pop_front().unwrap_or(Ok(invented))
    }

    fn mail(&mut self, config: &EmailConfig, mail: Mail) -> Result<String, Trouble> {
        let mut headers = vec![("MAIL FROM".to_owned(), mail.from)];
        headers.extend(mail.to.into_iter().map(|to| ("RCPT TO".to_owned(), to)));
        self.sent.push(Preview {
            method: "SMTP".to_owned(),
            url: config.smarthost.to_string(),
            headers,
            body: mail.text,
        });
        Ok("250 recorded".to_owned())
    }
}

/// What lets a delivery of several requests go on that is only looked at.
fn invented_answer(request: &Request) -> Answer {
    let body = match request.url.as_str() {
        url if url.contains("/gettoken?") => r#"{"access_token":"TOKEN"}"#,
        url if url.contains("/message/send?") => r#"{"errcode":0}"#,
        url if url.contains("/search") => r#"{"issues":[]}"#,
        _ => r#"{"ok":true,"success":true}"#,
    };
    Answer {
        status: 200,
        content_type: "application/json".to_owned(),
        retry_after: None,
        body: body.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut secrets = Secrets::default();
        secrets.add("a b+c");
        secrets.add("abc");
        secrets.add_url("https://user:pw@hooks.example/services/T0/B1?x=1");
        assert_eq!(
            secrets.mask("https://user:pw@hooks.example/services/T0/B1?x=1 a%20b%2Bc a b+c"),
            "https://<secret>@hooks.example/<secret> <secret> <secret>"
        );
        secrets.add_url("https://hooks.example/");
        assert_eq!(secrets.mask("https://hooks.example/"), "https://hooks.example/");
    }
}

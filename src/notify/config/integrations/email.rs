//! `email_configs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::super::global::some_host_port;
use super::super::inherit::one_optional_secret;
use super::super::receiver::Complete;
use super::super::{Global, HostPort, Inherited, Secret, TlsConfig, TlsVersion};

/// Mail to an address.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct EmailConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// Addresses, comma-separated; a template.
    pub to: String,
    /// The sender; a template.
    pub from: String,
    /// What the mail server is greeted with.
    pub hello: String,
    /// The mail server.
    #[serde(deserialize_with = "smarthost")]
    pub smarthost: Inherited<HostPort>,
    /// The user there; empty for no login.
    pub auth_username: String,
    /// Its password, for PLAIN and LOGIN.
    pub auth_password: Option<Secret>,
    auth_password_file: Option<PathBuf>,
    auth_password_env: Option<String>,
    /// Its secret, for CRAM-MD5.
    pub auth_secret: Option<Secret>,
    auth_secret_file: Option<PathBuf>,
    auth_secret_env: Option<String>,
    /// Identity for PLAIN; may be empty.
    pub auth_identity: String,
    /// Headers by name in its usual spelling (`Reply-To`); values are templates.
    pub headers: BTreeMap<String, String>,
    /// The message as HTML; a template, empty for none.
    pub html: String,
    /// The message as plain text; a template, empty for none.
    pub text: String,
    /// Whether mail is sent over TLS only.
    pub require_tls: Inherited<bool>,
    /// Certificates of the mail server.
    pub tls_config: Inherited<TlsConfig>,
    /// Whether the connection begins with TLS; by the port (465) when `None`.
    pub force_implicit_tls: Option<bool>,
    /// Whether mails of a group form a thread.
    pub threading: Threading,
}

/// Whether mails of a group form a thread.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Threading {
    /// Whether they do.
    pub enabled: bool,
    /// When a new one begins; given when they do.
    pub thread_by_date: Option<ThreadBy>,
}

/// When a new thread begins.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ThreadBy {
    /// Never.
    None,
    /// Each day.
    Daily,
}

impl Default for EmailConfig {
    fn default() -> EmailConfig {
        EmailConfig {
            send_resolved: false,
            to: String::new(),
            from: String::new(),
            hello: String::new(),
            smarthost: Inherited::default(),
            auth_username: String::new(),
            auth_password: None,
            auth_password_file: None,
            auth_password_env: None,
            auth_secret: None,
            auth_secret_file: None,
            auth_secret_env: None,
            auth_identity: String::new(),
            headers: BTreeMap::new(),
            html: r#"{{ template "email.default.html" . }}"#.to_owned(),
            text: String::new(),
            require_tls: Inherited::default(),
            tls_config: Inherited::default(),
            force_implicit_tls: None,
            threading: Threading::default(),
        }
    }
}

impl Complete for EmailConfig {
    fn complete(&mut self, global: &Global, _: &Path) -> Result<(), String> {
        one_optional_secret!(self, auth_password, auth_password_file, auth_password_env);
        one_optional_secret!(self, auth_secret, auth_secret_file, auth_secret_env);
        if self.to.is_empty() {
            return Err("missing to address in email config".to_owned());
        }
        self.headers = usual_spelling(std::mem::take(&mut self.headers))?;
        self.check_threading()?;
        self.take_over(global)?;
        self.check()
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}

impl EmailConfig {
    /// The smarthost's port as a number; names are those that are usual for mail.
    ///
    /// # Errors
    /// A sentence: it is none.
    pub fn port(&self) -> Result<u16, String> {
        match self.smarthost.port.as_str() {
            "smtp" => Ok(25),
            "submission" => Ok(587),
            "submissions" | "smtps" => Ok(465),
            port => port.parse().map_err(|_| format!("{port:?} is no port of a mail server")),
        }
    }

    /// What could not be done when a mail is sent is refused now.
    fn check(&self) -> Result<(), String> {
        self.port().map_err(|why| format!("smarthost: {why}"))?;
        if self.tls_config.max_version.is_some_and(|max| max < TlsVersion::V13) {
            return Err("tls_config.max_version below TLS13 is not supported for mail".to_owned());
        }
        if self.hello.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("hello must not hold white space".to_owned());
        }
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
        };
        match self.headers.keys().find(|name| !is_name(name)) {
            Some(name) => Err(format!("headers: {name:?} is no name of a header")),
            None => Ok(()),
        }
    }

    fn check_threading(&self) -> Result<(), String> {
        if !self.threading.enabled {
            return Ok(());
        }
        for header in ["References", "In-Reply-To"] {
            if self.headers.contains_key(header) {
                return Err(format!("threading.enabled conflicts with custom {header} header"));
            }
        }
        match self.threading.thread_by_date {
            Some(_) => Ok(()),
            None => Err("threading.thread_by_date must be either 'none' or 'daily'".to_owned()),
        }
    }

    fn take_over(&mut self, global: &Global) -> Result<(), String> {
        let smarthost = global.smtp_smarthost.as_ref();
        self.smarthost.inherit(smarthost, "no global SMTP smarthost set")?;
        or(&mut self.from, &global.smtp_from);
        if self.from.is_empty() {
            return Err("no global SMTP from set".to_owned());
        }
        or(&mut self.hello, &global.smtp_hello);
        or(&mut self.auth_username, &global.smtp_auth_username);
        or(&mut self.auth_identity, &global.smtp_auth_identity);
        let password = self.auth_password.take();
        self.auth_password = password.or_else(|| global.smtp_auth_password.clone());
        let secret = self.auth_secret.take();
        self.auth_secret = secret.or_else(|| global.smtp_auth_secret.clone());
        self.require_tls.inherit(Some(&global.smtp_require_tls), "no require_tls")?;
        self.force_implicit_tls = self.force_implicit_tls.or(global.smtp_force_implicit_tls);
        match &mut self.tls_config.0 {
            Some(tls) => tls.complete(None),
            None => self.tls_config.inherit(Some(&global.smtp_tls_config), "no tls_config"),
        }
    }
}

fn smarthost<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Inherited<HostPort>, D::Error> {
    some_host_port(deserializer).map(Inherited)
}

fn or(own: &mut String, global: &str) {
    if own.is_empty() {
        global.clone_into(own);
    }
}

/// Header names as they are usually spelled, `reply-to` as `Reply-To`.
fn usual_spelling(headers: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for (name, value) in headers {
        let name = canonical(&name);
        if all.contains_key(&name) {
            return Err(format!("duplicate header {name:?} in email config"));
        }
        all.insert(name, value);
    }
    Ok(all)
}

/// Go's `CanonicalMIMEHeaderKey`: a name with other characters than a header may have stays.
fn canonical(name: &str) -> String {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.bytes().all(is_token) {
        return name.to_owned();
    }
    let mut upper = true;
    let spelled = name.chars().map(|c| {
        let spelled = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        spelled
    });
    spelled.collect()
}

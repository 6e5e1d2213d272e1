//! `http_config`: how a web service is reached.
//!
//! What is written there and cannot be done is refused here, when the configuration is loaded.
//!
//! Source of the keys and rules: Prometheus, `prometheus/common/config`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use ureq::http::{HeaderName, HeaderValue};

use super::{proxy, tls};
use crate::secret::{Secret, chosen};

/// Headers that say how a request is sent, or that we set ourselves: not to be set by anybody else.
const RESERVED_HEADERS: [&str; 17] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "transfer-encoding",
    "te",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// How a web service is reached. At most one of the ways to log in is set.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// An `Authorization` header; old `bearer_token` keys end up here, too.
    pub authorization: Option<Authorization>,
    /// A token fetched from a server first.
    pub oauth2: Option<Box<Oauth2Config>>,
    pub(crate) bearer_token: Option<Secret>,
    pub(crate) bearer_token_file: Option<PathBuf>,
    /// Certificates.
    pub tls_config: TlsConfig,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be used; HTTP/1.1 always may.
    pub enable_http2: bool,
    /// A proxy all requests go through; may hold a password.
    pub proxy_url: Option<Secret>,
    /// Hosts that are reached without it, comma-separated.
    pub no_proxy: String,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say which proxy to use.
    pub proxy_from_environment: bool,
    /// Headers for the proxy alone.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    /// Further headers of each request.
    pub http_headers: BTreeMap<String, HeaderValues>,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: None,
            bearer_token_file: None,
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            http_headers: BTreeMap::new(),
        }
    }
}

/// User and password.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user's name, perhaps in a file.
    pub username: Option<Secret>,
    username_file: Option<PathBuf>,
    username_env: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
}

/// An `Authorization` header: `type`, a space, the credentials.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// Its first word.
    #[serde(rename = "type")]
    pub scheme: String,
    /// What follows.
    pub credentials: Option<Secret>,
    credentials_file: Option<PathBuf>,
    credentials_env: Option<String>,
}

impl Default for Authorization {
    fn default() -> Authorization {
        Authorization {
            scheme: "Bearer".to_owned(),
            credentials: None,
            credentials_file: None,
            credentials_env: None,
        }
    }
}

impl Authorization {
    /// `Bearer` and a token.
    pub fn bearer(token: Secret) -> Authorization {
        Authorization { credentials: Some(token), ..Authorization::default() }
    }
}

/// A token fetched with a client's credentials (RFC 6749, 4.4).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth2Config {
    /// The client's name.
    pub client_id: String,
    /// Its secret; there is one once the section is checked.
    pub client_secret: Option<Secret>,
    client_secret_file: Option<PathBuf>,
    client_secret_env: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Where the token is fetched.
    pub token_url: String,
    /// The kind of grant; there is one kind only.
    grant_type: Option<String>,
    /// Further parameters of the request.
    pub endpoint_params: BTreeMap<String, String>,
    /// Certificates of that server.
    pub tls_config: TlsConfig,
    /// As in [`HttpConfig`].
    pub proxy_url: Option<Secret>,
    /// As in [`HttpConfig`].
    pub no_proxy: String,
    /// As in [`HttpConfig`].
    pub proxy_from_environment: bool,
    /// As in [`HttpConfig`].
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// Certificates; each is given as PEM text or as a file of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Authorities to trust instead of the built-in ones.
    pub ca: Option<Secret>,
    pub(crate) ca_file: Option<PathBuf>,
    /// The own certificate chain.
    pub cert: Option<Secret>,
    pub(crate) cert_file: Option<PathBuf>,
    /// Its key.
    pub key: Option<Secret>,
    pub(crate) key_file: Option<PathBuf>,
    /// The name the certificate is checked for, instead of the host's.
    pub server_name: String,
    /// Whether any certificate is taken.
    pub insecure_skip_verify: bool,
    /// Oldest version.
    pub min_version: Option<TlsVersion>,
    /// Newest version.
    pub max_version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.0
    #[serde(rename = "TLS10")]
    V10,
    /// 1.1
    #[serde(rename = "TLS11")]
    V11,
    /// 1.2
    #[serde(rename = "TLS12")]
    V12,
    /// 1.3
    #[serde(rename = "TLS13")]
    V13,
}

/// The values of one further header.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderValues {
    /// Values anybody may see.
    pub values: Vec<String>,
    /// Values nobody may see.
    pub secrets: Vec<Secret>,
    /// Files that hold one value each.
    pub files: Vec<PathBuf>,
}

impl HttpConfig {
    /// Checks the section and sees its paths from `base`.
    ///
    /// # Errors
    /// A sentence that names the key: it contradicts another, or asks for what cannot be done.
    pub fn complete(&mut self, base: &Path) -> Result<(), String> {
        self.take_over_bearer_token()?;
        self.proxy_url.take_if(|url| url.inline() == Some(""));
        let ways = [self.basic_auth.is_some(), self.authorization.is_some(), self.oauth2.is_some()];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            return Err(
                "at most one of basic_auth, oauth2 & authorization must be configured".into()
            );
        }
        if let Some(auth) = &mut self.basic_auth {
            auth.complete().map_err(|why| format!("basic_auth: {why}"))?;
            see_from(base, &mut auth.username);
            see_from(base, &mut auth.password);
        }
        if let Some(auth) = &mut self.authorization {
            auth.complete()?;
            see_from(base, &mut auth.credentials);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            oauth2.complete(base)?;
        }
        self.tls_config.complete(Some(base))?;
        self.check_proxy()?;
        for (name, values) in &mut self.http_headers {
            values.complete(name, base).map_err(|why| format!("http_headers: {why}"))?;
        }
        Ok(())
    }

    /// Everything in it that nobody is to see, but for passwords within the URL of a proxy.
    pub fn secrets(&self) -> Vec<Secret> {
        let basic = self.basic_auth.iter().filter_map(|basic| basic.password.clone());
        let auth = self.authorization.iter().filter_map(|auth| auth.credentials.clone());
        let oauth2 = self.oauth2.iter().filter_map(|oauth2| oauth2.client_secret.clone());
        let headers = self.http_headers.values().flat_map(|values| {
            let files = values.files.iter().cloned().map(Secret::File);
            values.secrets.iter().cloned().chain(files)
        });
        let connect = self.proxy_connect_header.values().flatten().cloned();
        basic.chain(auth).chain(oauth2).chain(headers).chain(connect).collect()
    }

    /// User and password as they are sent, when it logs in so.
    ///
    /// # Errors
    /// A sentence: one of them cannot be read.
    pub fn basic(&self) -> Result<Option<String>, String> {
        let Some(basic) = &self.basic_auth else { return Ok(None) };
        let text = |secret: &Option<Secret>| secret.as_ref().map(Secret::read).transpose();
        let user = text(&basic.username)?.unwrap_or_default();
        let password = text(&basic.password)?.unwrap_or_default();
        Ok(Some(BASE64_STANDARD.encode(format!("{user}:{password}"))))
    }

    fn take_over_bearer_token(&mut self) -> Result<(), String> {
        let old = match (self.bearer_token.take(), self.bearer_token_file.take()) {
            (None, None) => return Ok(()),
            (Some(token), None) => token,
            (None, Some(path)) => Secret::File(path),
            (Some(_), Some(_)) => {
                return Err(
                    "at most one of bearer_token & bearer_token_file must be configured".into()
                );
            }
        };
        if self.basic_auth.is_some() || self.authorization.is_some() || self.oauth2.is_some() {
            let why = "bearer_token cannot be given beside basic_auth, authorization or oauth2";
            return Err(why.to_owned());
        }
        self.authorization = Some(Authorization::bearer(old));
        Ok(())
    }

    fn check_proxy(&self) -> Result<(), String> {
        let (url, environment) = (self.proxy_url.as_ref(), self.proxy_from_environment);
        if environment && url.is_some() {
            return Err("if proxy_from_environment is configured, proxy_url must not be".into());
        }
        if environment && !self.no_proxy.is_empty() {
            return Err("if proxy_from_environment is configured, no_proxy must not be".into());
        }
        if url.is_none() && !self.no_proxy.is_empty() {
            return Err("if no_proxy is configured, proxy_url must be, too".into());
        }
        if url.is_none() && !environment && !self.proxy_connect_header.is_empty() {
            let why = "if proxy_connect_header is configured, proxy_url or \
                       proxy_from_environment must be, too";
            return Err(why.to_owned());
        }
        if let Some(url) = url.and_then(Secret::inline) {
            proxy::parse(url).map_err(|why| format!("proxy_url: {why}"))?;
        }
        for (name, values) in &self.proxy_connect_header {
            check_header(name, values).map_err(|why| format!("proxy_connect_header: {why}"))?;
        }
        Ok(())
    }
}

fn see_from(base: &Path, secret: &mut Option<Secret>) {
    if let Some(Secret::File(path)) = secret {
        *path = base.join(&*path);
    }
}

/// Values are not repeated: they may be secret.
fn check_header(name: &str, values: &[Secret]) -> Result<(), String> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("{name:?} is not a header's name"));
    }
    let is_good = |value: &str| HeaderValue::from_str(value).is_ok();
    match values.iter().filter_map(Secret::inline).all(is_good) {
        true => Ok(()),
        false => Err(format!("a value of {name} has characters that no header may have")),
    }
}

impl HeaderValues {
    fn complete(&mut self, name: &str, base: &Path) -> Result<(), String> {
        if RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(format!("setting header {name:?} is not allowed"));
        }
        self.files.iter_mut().for_each(|path| *path = base.join(&*path));
        check_header(name, &self.all().collect::<Vec<_>>())
    }

    /// All values, in the order in which they are sent.
    pub fn all(&self) -> impl Iterator<Item = Secret> {
        let values = self.values.iter().cloned().map(Secret::Inline);
        let files = self.files.iter().cloned().map(Secret::File);
        values.chain(self.secrets.iter().cloned()).chain(files)
    }
}

impl BasicAuth {
    fn complete(&mut self) -> Result<(), String> {
        let (file, env) = (&self.username_file, &self.username_env);
        self.username = chosen("username", self.username.take(), file, env)?;
        let (file, env) = (&self.password_file, &self.password_env);
        self.password = chosen("password", self.password.take(), file, env)?;
        Ok(())
    }
}

impl Authorization {
    fn complete(&mut self) -> Result<(), String> {
        let (file, env) = (&self.credentials_file, &self.credentials_env);
        self.credentials = chosen("credentials", self.credentials.take(), file, env)?;
        self.scheme = match self.scheme.trim() {
            "" => "Bearer".to_owned(),
            scheme => scheme.to_owned(),
        };
        if self.scheme.eq_ignore_ascii_case("basic") {
            return Err("authorization type cannot be \"basic\", use basic_auth instead".into());
        }
        Ok(())
    }
}

impl Oauth2Config {
    fn complete(&mut self, base: &Path) -> Result<(), String> {
        let (file, env) = (&self.client_secret_file, &self.client_secret_env);
        let secret = chosen("client_secret", self.client_secret.take(), file, env);
        self.client_secret = secret.map_err(|why| format!("oauth2: {why}"))?;
        see_from(base, &mut self.client_secret);
        if self.client_id.is_empty() {
            return Err("oauth2 client_id must be configured".into());
        }
        if self.client_secret.is_none() {
            return Err("oauth2 client_secret must be configured".into());
        }
        if let Some(other) = self.grant_type.as_ref().filter(|kind| *kind != "client_credentials") {
            return Err(format!("oauth2 grant_type {other:?} is not supported"));
        }
        match url::Url::parse(&self.token_url) {
            _ if self.token_url.is_empty() => Err("oauth2 token_url must be configured".into()),
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            _ => Err("oauth2 token_url is not a URL of HTTP with a host".to_owned()),
        }?;
        self.tls_config.complete(Some(base)).map_err(|why| format!("oauth2: {why}"))?;
        self.http().check_proxy().map_err(|why| format!("oauth2: {why}"))
    }

    /// How the server is reached that hands out tokens.
    pub fn http(&self) -> HttpConfig {
        HttpConfig {
            tls_config: self.tls_config.clone(),
            proxy_url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            proxy_from_environment: self.proxy_from_environment,
            proxy_connect_header: self.proxy_connect_header.clone(),
            ..HttpConfig::default()
        }
    }
}

impl TlsConfig {
    /// Checks the section; with a `base`, paths are seen from there.
    ///
    /// # Errors
    /// A sentence that names the key: it contradicts another, or asks for what cannot be done.
    pub fn complete(&mut self, base: Option<&Path>) -> Result<(), String> {
        let base = base.unwrap_or(Path::new(""));
        for (key, inline, file) in [
            ("ca", &mut self.ca, &mut self.ca_file),
            ("cert", &mut self.cert, &mut self.cert_file),
            ("key", &mut self.key, &mut self.key_file),
        ] {
            match (&inline, file.take()) {
                (_, None) => {}
                (None, Some(path)) => *inline = Some(Secret::File(base.join(path))),
                (Some(_), Some(_)) => {
                    let why = format!("at most one of {key} and {key}_file must be configured");
                    return Err(format!("tls_config: {why}"));
                }
            }
        }
        self.check().map_err(|why| format!("tls_config: {why}"))
    }

    fn check(&self) -> Result<(), String> {
        if self.cert.is_some() != self.key.is_some() {
            return Err("a certificate and its key must be configured together".into());
        }
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && min > max
        {
            return Err("max_version must not be below min_version".into());
        }
        if self.max_version.is_some_and(|max| max < TlsVersion::V12) {
            return Err("max_version: no version below TLS12 is spoken".into());
        }
        tls::check(self)
    }
}

/// Defines a section that holds the keys of `http_config` beside its own; `http` takes these out.
/// Of the keys under `unused` only the names are known.
macro_rules! http_section {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $($(#[$own_meta:meta])* $own:ident: $type:ty,)* }
        unused { $($unused:ident,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $vis struct $name {
            $($(#[$own_meta])* $own: $type,)*
            $($unused: Option<serde::de::IgnoredAny>,)*
            basic_auth: Option<$crate::web_client::config::BasicAuth>,
            authorization: Option<$crate::web_client::config::Authorization>,
            oauth2: Option<Box<$crate::web_client::config::Oauth2Config>>,
            bearer_token: Option<$crate::secret::Secret>,
            bearer_token_file: Option<std::path::PathBuf>,
            tls_config: $crate::web_client::config::TlsConfig,
            follow_redirects: Option<bool>,
            enable_http2: Option<bool>,
            proxy_url: Option<$crate::secret::Secret>,
            no_proxy: String,
            proxy_from_environment: bool,
            proxy_connect_header:
                std::collections::BTreeMap<String, Vec<$crate::secret::Secret>>,
            http_headers:
                std::collections::BTreeMap<String, $crate::web_client::config::HeaderValues>,
        }

        impl $name {
            /// The keys that are there and known by name only.
            #[allow(dead_code)] // some sections know all their keys
            fn unused(&self) -> Vec<&'static str> {
                let keys: &[(&'static str, bool)] =
                    &[$((stringify!($unused), self.$unused.is_some()),)*];
                keys.iter().filter(|(_, is_there)| *is_there).map(|(key, _)| *key).collect()
            }

            /// How it is reached; paths are seen from `base`.
            fn http(
                &self,
                base: &std::path::Path,
            ) -> Result<$crate::web_client::config::HttpConfig, String> {
                let mut http = $crate::web_client::config::HttpConfig {
                    basic_auth: self.basic_auth.clone(),
                    authorization: self.authorization.clone(),
                    oauth2: self.oauth2.clone(),
                    bearer_token: self.bearer_token.clone(),
                    bearer_token_file: self.bearer_token_file.clone(),
                    tls_config: self.tls_config.clone(),
                    follow_redirects: self.follow_redirects.unwrap_or(true),
                    enable_http2: self.enable_http2.unwrap_or(true),
                    proxy_url: self.proxy_url.clone(),
                    no_proxy: self.no_proxy.clone(),
                    proxy_from_environment: self.proxy_from_environment,
                    proxy_connect_header: self.proxy_connect_header.clone(),
                    http_headers: self.http_headers.clone(),
                };
                http.complete(base)?;
                Ok(http)
            }
        }
    };
}

pub(crate) use http_section;

//! `http_config`: how a web service is reached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::absolute;
use super::inherit::{one_optional_secret, one_secret};
use super::{Inherited, Secret, WebUrl};

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
    bearer_token: Option<Secret>,
    bearer_token_file: Option<PathBuf>,
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
    /// Its secret.
    pub client_secret: Inherited<Secret>,
    client_secret_file: Option<PathBuf>,
    client_secret_env: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Where the token is fetched.
    pub token_url: Inherited<WebUrl>,
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
    ca_file: Option<PathBuf>,
    /// The own certificate chain.
    pub cert: Option<Secret>,
    cert_file: Option<PathBuf>,
    /// Its key.
    pub key: Option<Secret>,
    key_file: Option<PathBuf>,
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
    pub(super) fn complete(&mut self, base: &Path) -> Result<(), String> {
        self.take_over_bearer_token()?;
        let ways = [self.basic_auth.is_some(), self.authorization.is_some(), self.oauth2.is_some()];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            return Err(
                "at most one of basic_auth, oauth2 & authorization must be configured".into()
            );
        }
        if let Some(auth) = &mut self.basic_auth {
            auth.complete()?;
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
        check_proxy(&self.proxy_url, &self.no_proxy, self.proxy_from_environment)?;
        for values in self.http_headers.values_mut() {
            values.files.iter_mut().for_each(|path| *path = absolute(base, path));
        }
        Ok(())
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
}

fn see_from(base: &Path, secret: &mut Option<Secret>) {
    if let Some(Secret::File(path)) = secret {
        *path = absolute(base, path);
    }
}

fn check_proxy(url: &Option<Secret>, no_proxy: &str, environment: bool) -> Result<(), String> {
    if environment && url.is_some() {
        return Err("if proxy_from_environment is configured, proxy_url must not be".into());
    }
    if environment && !no_proxy.is_empty() {
        return Err("if proxy_from_environment is configured, no_proxy must not be".into());
    }
    if url.is_none() && !no_proxy.is_empty() {
        return Err("if no_proxy is configured, proxy_url must be, too".into());
    }
    Ok(())
}

impl BasicAuth {
    fn complete(&mut self) -> Result<(), String> {
        one_optional_secret!(self, username, username_file, username_env);
        one_optional_secret!(self, password, password_file, password_env);
        Ok(())
    }
}

impl Authorization {
    fn complete(&mut self) -> Result<(), String> {
        one_optional_secret!(self, credentials, credentials_file, credentials_env);
        if self.scheme.eq_ignore_ascii_case("basic") {
            return Err("authorization type cannot be \"basic\", use basic_auth instead".into());
        }
        Ok(())
    }
}

impl Oauth2Config {
    fn complete(&mut self, base: &Path) -> Result<(), String> {
        one_secret!(self, client_secret, client_secret_file, client_secret_env);
        see_from(base, &mut self.client_secret.0);
        if self.client_id.is_empty() {
            return Err("oauth2 client_id must be configured".into());
        }
        self.client_secret.inherit(None, "oauth2 client_secret must be configured")?;
        self.token_url.inherit(None, "oauth2 token_url must be configured")?;
        self.tls_config.complete(Some(base))?;
        check_proxy(&self.proxy_url, &self.no_proxy, self.proxy_from_environment)
    }
}

impl TlsConfig {
    /// Checks the section; with a `base`, paths are seen from there.
    pub(super) fn complete(&mut self, base: Option<&Path>) -> Result<(), String> {
        let base = base.unwrap_or(Path::new(""));
        for (key, inline, file) in [
            ("ca", &mut self.ca, &mut self.ca_file),
            ("cert", &mut self.cert, &mut self.cert_file),
            ("key", &mut self.key, &mut self.key_file),
        ] {
            match (&inline, file.take()) {
                (_, None) => {}
                (None, Some(path)) => *inline = Some(Secret::File(absolute(base, &path))),
                (Some(_), Some(_)) => {
                    return Err(format!("at most one of {key} and {key}_file must be configured"));
                }
            }
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err("a certificate and its key must be configured together".into());
        }
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && min > max
        {
            return Err("tls_config.max_version must not be below min_version".into());
        }
        Ok(())
    }
}

//! `global`: what receivers take over, and how long alerts last.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::go_duration::PromDuration;
use super::inherit::one_optional_secret;
use super::web::check_secret_url;
use super::{HttpConfig, Secret, TlsConfig, WebUrl};

/// `global`, its defaults filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Global {
    pub(super) resolve_timeout: PromDuration,
    /// How web services are reached.
    pub http_config: HttpConfig,
    /// Jira's address.
    pub jira_api_url: Option<WebUrl>,
    /// Sender of e-mails.
    pub smtp_from: String,
    /// What the mail server is greeted with.
    pub smtp_hello: String,
    /// The mail server.
    #[serde(deserialize_with = "some_host_port")]
    pub smtp_smarthost: Option<HostPort>,
    /// The user there.
    pub smtp_auth_username: String,
    /// Its password.
    pub smtp_auth_password: Option<Secret>,
    smtp_auth_password_file: Option<PathBuf>,
    smtp_auth_password_env: Option<String>,
    /// Its secret for CRAM-MD5.
    pub smtp_auth_secret: Option<Secret>,
    smtp_auth_secret_file: Option<PathBuf>,
    smtp_auth_secret_env: Option<String>,
    /// Identity for PLAIN.
    pub smtp_auth_identity: String,
    /// Whether mail is sent over TLS only.
    pub smtp_require_tls: bool,
    /// Certificates of the mail server.
    pub smtp_tls_config: TlsConfig,
    /// Whether the connection to the mail server begins with TLS; by its port when not given.
    pub smtp_force_implicit_tls: Option<bool>,
    /// Slack's address for us.
    pub slack_api_url: Option<Secret>,
    slack_api_url_file: Option<PathBuf>,
    slack_api_url_env: Option<String>,
    /// Token of a Slack app.
    pub slack_app_token: Option<Secret>,
    slack_app_token_file: Option<PathBuf>,
    slack_app_token_env: Option<String>,
    /// Where a Slack app posts.
    pub slack_app_url: WebUrl,
    /// PagerDuty's address.
    pub pagerduty_url: WebUrl,
    /// Opsgenie's address.
    pub opsgenie_api_url: WebUrl,
    /// Key there.
    pub opsgenie_api_key: Option<Secret>,
    opsgenie_api_key_file: Option<PathBuf>,
    opsgenie_api_key_env: Option<String>,
    /// WeChat's address.
    pub wechat_api_url: WebUrl,
    /// Secret there.
    pub wechat_api_secret: Option<Secret>,
    wechat_api_secret_file: Option<PathBuf>,
    wechat_api_secret_env: Option<String>,
    /// The company there.
    pub wechat_api_corp_id: String,
    /// VictorOps' address.
    pub victorops_api_url: WebUrl,
    /// Key there.
    pub victorops_api_key: Option<Secret>,
    victorops_api_key_file: Option<PathBuf>,
    victorops_api_key_env: Option<String>,
    /// Telegram's address.
    pub telegram_api_url: WebUrl,
    /// Token of a Telegram bot.
    pub telegram_bot_token: Option<Secret>,
    telegram_bot_token_file: Option<PathBuf>,
    telegram_bot_token_env: Option<String>,
    /// Webex' address.
    pub webex_api_url: WebUrl,
    /// Rocket.Chat's address.
    pub rocketchat_api_url: WebUrl,
    /// Token there.
    pub rocketchat_token: Option<Secret>,
    rocketchat_token_file: Option<PathBuf>,
    rocketchat_token_env: Option<String>,
    /// Whose token it is.
    pub rocketchat_token_id: Option<Secret>,
    rocketchat_token_id_file: Option<PathBuf>,
    rocketchat_token_id_env: Option<String>,
    /// Mattermost's address for us.
    pub mattermost_webhook_url: Option<Secret>,
    mattermost_webhook_url_file: Option<PathBuf>,
    mattermost_webhook_url_env: Option<String>,
}

impl Default for Global {
    fn default() -> Global {
        Global {
            resolve_timeout: PromDuration(Duration::from_secs(5 * 60)),
            http_config: HttpConfig::default(),
            jira_api_url: None,
            smtp_from: String::new(),
            smtp_hello: "localhost".to_owned(),
            smtp_smarthost: None,
            smtp_auth_username: String::new(),
            smtp_auth_password: None,
            smtp_auth_password_file: None,
            smtp_auth_password_env: None,
            smtp_auth_secret: None,
            smtp_auth_secret_file: None,
            smtp_auth_secret_env: None,
            smtp_auth_identity: String::new(),
            smtp_require_tls: true,
            smtp_tls_config: TlsConfig::default(),
            smtp_force_implicit_tls: None,
            slack_api_url: None,
            slack_api_url_file: None,
            slack_api_url_env: None,
            slack_app_token: None,
            slack_app_token_file: None,
            slack_app_token_env: None,
            slack_app_url: WebUrl::constant("https://slack.com/api/chat.postMessage"),
            pagerduty_url: WebUrl::constant("https://events.pagerduty.com/v2/enqueue"),
            opsgenie_api_url: WebUrl::constant("https://api.opsgenie.com/"),
            opsgenie_api_key: None,
            opsgenie_api_key_file: None,
            opsgenie_api_key_env: None,
            wechat_api_url: WebUrl::constant("https://qyapi.weixin.qq.com/cgi-bin/"),
            wechat_api_secret: None,
            wechat_api_secret_file: None,
            wechat_api_secret_env: None,
            wechat_api_corp_id: String::new(),
            victorops_api_url: WebUrl::constant(
                "https://alert.victorops.com/integrations/generic/20131114/alert/",
            ),
            victorops_api_key: None,
            victorops_api_key_file: None,
            victorops_api_key_env: None,
            telegram_api_url: WebUrl::constant("https://api.telegram.org"),
            telegram_bot_token: None,
            telegram_bot_token_file: None,
            telegram_bot_token_env: None,
            webex_api_url: WebUrl::constant("https://webexapis.com/v1/messages"),
            rocketchat_api_url: WebUrl::constant("https://open.rocket.chat/"),
            rocketchat_token: None,
            rocketchat_token_file: None,
            rocketchat_token_env: None,
            rocketchat_token_id: None,
            rocketchat_token_id_file: None,
            rocketchat_token_id_env: None,
            mattermost_webhook_url: None,
            mattermost_webhook_url_file: None,
            mattermost_webhook_url_env: None,
        }
    }
}

impl Global {
    /// Checks the section; paths of its `http_config` are seen from `base`.
    pub(super) fn complete(&mut self, base: &Path) -> Result<(), String> {
        if self.resolve_timeout.0.is_zero() {
            return Err("global resolve_timeout must be more than 0".to_owned());
        }
        self.http_config.complete(base)?;
        self.smtp_tls_config.complete(None)?;
        self.one_secret_each()?;
        for (key, secret) in [
            ("slack_api_url", &self.slack_api_url),
            ("mattermost_webhook_url", &self.mattermost_webhook_url),
        ] {
            check_secret_url(key, secret.as_ref())?;
        }
        self.check_slack()
    }

    fn one_secret_each(&mut self) -> Result<(), String> {
        one_optional_secret!(
            self,
            smtp_auth_password,
            smtp_auth_password_file,
            smtp_auth_password_env
        );
        one_optional_secret!(self, smtp_auth_secret, smtp_auth_secret_file, smtp_auth_secret_env);
        one_optional_secret!(self, slack_api_url, slack_api_url_file, slack_api_url_env);
        one_optional_secret!(self, slack_app_token, slack_app_token_file, slack_app_token_env);
        one_optional_secret!(self, opsgenie_api_key, opsgenie_api_key_file, opsgenie_api_key_env);
        one_optional_secret!(
            self,
            wechat_api_secret,
            wechat_api_secret_file,
            wechat_api_secret_env
        );
        one_optional_secret!(
            self,
            victorops_api_key,
            victorops_api_key_file,
            victorops_api_key_env
        );
        one_optional_secret!(
            self,
            telegram_bot_token,
            telegram_bot_token_file,
            telegram_bot_token_env
        );
        one_optional_secret!(self, rocketchat_token, rocketchat_token_file, rocketchat_token_env);
        one_optional_secret!(
            self,
            rocketchat_token_id,
            rocketchat_token_id_file,
            rocketchat_token_id_env
        );
        one_optional_secret!(
            self,
            mattermost_webhook_url,
            mattermost_webhook_url_file,
            mattermost_webhook_url_env
        );
        Ok(())
    }

    /// A token and a webhook exclude each other, unless the webhook is where the token is used.
    fn check_slack(&self) -> Result<(), String> {
        let url = self.slack_api_url.as_ref();
        let same = url.and_then(Secret::inline) == Some(self.slack_app_url.as_str());
        if url.is_some() && self.slack_app_token.is_some() && !same {
            return Err("at most one of slack_app_token/slack_app_token_file & \
                slack_api_url/slack_api_url_file must be configured"
                .to_owned());
        }
        Ok(())
    }
}

/// `HOST:PORT`; the host may be empty or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Without brackets.
    pub host: String,
    /// A number or the name of a service; not empty.
    pub port: String,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An address; an empty text, as without a value, is none.
pub(super) fn some_host_port<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HostPort>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| HostPort::parse(&text).map_err(de::Error::custom)).transpose()
}

impl HostPort {
    fn parse(text: &str) -> Result<HostPort, String> {
        let bad = |why: &str| format!("address {text:?}: {why}");
        let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("missing port in address"))?;
        if port.is_empty() {
            return Err(bad("port cannot be empty"));
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(bad("too many colons in address"));
        }
        Ok(HostPort { host: bare.unwrap_or(host).to_owned(), port: port.to_owned() })
    }
}

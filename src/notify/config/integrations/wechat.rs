//! `wechat_configs`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::inherit::one_secret;
use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret, WebUrl};
use super::complete_http;

/// WeChat Work.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct WechatConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// The secret.
    pub api_secret: Inherited<Secret>,
    api_secret_file: Option<PathBuf>,
    api_secret_env: Option<String>,
    /// The company; not empty.
    pub corp_id: String,
    /// The text.
    pub message: String,
    /// Where the API is; ends with a slash.
    pub api_url: Inherited<WebUrl>,
    /// To which users.
    pub to_user: String,
    /// To which departments.
    pub to_party: String,
    /// To which tags.
    pub to_tag: String,
    /// Which application sends.
    pub agent_id: String,
    /// `text` or `markdown`.
    pub message_type: String,
}

impl Default for WechatConfig {
    fn default() -> WechatConfig {
        let template = |field: &str| format!(r#"{{{{ template "wechat.default.{field}" . }}}}"#);
        WechatConfig {
            send_resolved: false,
            http_config: Inherited::default(),
            api_secret: Inherited::default(),
            api_secret_file: None,
            api_secret_env: None,
            corp_id: String::new(),
            message: template("message"),
            api_url: Inherited::default(),
            to_user: template("to_user"),
            to_party: template("to_party"),
            to_tag: template("to_tag"),
            agent_id: template("agent_id"),
            message_type: "text".to_owned(),
        }
    }
}

impl Complete for WechatConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        if self.message_type.is_empty() {
            "text".clone_into(&mut self.message_type);
        }
        if !["text", "markdown"].contains(&self.message_type.as_str()) {
            let kind = &self.message_type;
            return Err(format!("wechat message type {kind:?} is neither text nor markdown"));
        }
        one_secret!(self, api_secret, api_secret_file, api_secret_env);
        let missing = "no global Wechat Api Secret set either inline or in a file";
        self.api_secret.inherit(global.wechat_api_secret.as_ref(), missing)?;
        if self.corp_id.is_empty() {
            self.corp_id.clone_from(&global.wechat_api_corp_id);
        }
        if self.corp_id.is_empty() {
            return Err("no global Wechat CorpID set".to_owned());
        }
        self.api_url.inherit(Some(&global.wechat_api_url), "no global Wechat URL set")?;
        self.api_url = self.api_url.with_slash().into();
        Ok(())
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}

//! `telegram_configs`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::inherit::one_secret;
use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret, WebUrl};
use super::complete_http;

/// A Telegram chat.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TelegramConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where the API is.
    pub api_url: Inherited<WebUrl>,
    /// The bot's token.
    pub bot_token: Inherited<Secret>,
    bot_token_file: Option<PathBuf>,
    bot_token_env: Option<String>,
    /// The chat's number, unless a file holds it.
    pub chat_id: i64,
    /// File that holds the chat's number.
    pub chat_id_file: Option<PathBuf>,
    /// Which thread of the chat; 0 for none.
    pub message_thread_id: i64,
    /// The text.
    pub message: String,
    /// Whether it arrives without a sound.
    pub disable_notifications: bool,
    /// `HTML`, `Markdown`, `MarkdownV2` or empty.
    pub parse_mode: String,
}

impl Default for TelegramConfig {
    fn default() -> TelegramConfig {
        TelegramConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            api_url: Inherited::default(),
            bot_token: Inherited::default(),
            bot_token_file: None,
            bot_token_env: None,
            chat_id: 0,
            chat_id_file: None,
            message_thread_id: 0,
            message: r#"{{ template "telegram.default.message" . }}"#.to_owned(),
            disable_notifications: false,
            parse_mode: "HTML".to_owned(),
        }
    }
}

impl Complete for TelegramConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        self.chat_id_file.take_if(|path| path.as_os_str().is_empty());
        match (self.chat_id, &self.chat_id_file) {
            (0, None) => return Err("missing chat_id or chat_id_file on telegram_config".into()),
            (0, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                return Err("at most one of chat_id & chat_id_file must be configured".into());
            }
        }
        if !["", "Markdown", "MarkdownV2", "HTML"].contains(&self.parse_mode.as_str()) {
            return Err(
                "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML \
                or empty string"
                    .to_owned(),
            );
        }
        one_secret!(self, bot_token, bot_token_file, bot_token_env);
        let missing = "missing bot_token or bot_token_file on telegram_config";
        self.bot_token.inherit(global.telegram_bot_token.as_ref(), missing)?;
        self.api_url.inherit(Some(&global.telegram_api_url), "no global Telegram URL set")
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}

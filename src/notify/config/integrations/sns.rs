//! `sns_configs`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited};
use super::complete_http;
use crate::aws::Sigv4;

/// Amazon SNS: a topic, a target or a phone.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct SnsConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where the API is, when not Amazon's of the region; a template.
    pub api_url: String,
    /// Who signs the requests.
    pub sigv4: Sigv4,
    /// The topic; a template. One of the three is given, or all.
    pub topic_arn: String,
    /// The phone; a template.
    pub phone_number: String,
    /// The target; a template.
    pub target_arn: String,
    /// Subject of mails.
    pub subject: String,
    /// The text.
    pub message: String,
    /// Attributes by name.
    pub attributes: BTreeMap<String, String>,
    /// Accepted; there is only one client here.
    use_aws_http_client: bool,
}

impl Default for SnsConfig {
    fn default() -> SnsConfig {
        SnsConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            api_url: String::new(),
            sigv4: Sigv4::default(),
            topic_arn: String::new(),
            phone_number: String::new(),
            target_arn: String::new(),
            subject: r#"{{ template "sns.default.subject" . }}"#.to_owned(),
            message: r#"{{ template "sns.default.message" . }}"#.to_owned(),
            attributes: BTreeMap::new(),
            use_aws_http_client: false,
        }
    }
}

impl Complete for SnsConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        let targets = [&self.topic_arn, &self.phone_number, &self.target_arn];
        // One of them, or all three: Alertmanager compares whether they are empty one by one.
        if targets.into_iter().filter(|target| !target.is_empty()).count() % 2 == 0 {
            return Err(
                "must provide either a Target ARN, Topic ARN, or Phone Number for SNS config"
                    .to_owned(),
            );
        }
        self.sigv4.check()
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}

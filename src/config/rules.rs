//! Where rules are, and when they are evaluated.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::{EVALUATION_INTERVAL, Overrides, positive};
use super::error::ConfigError;
use super::glob::glob;
use super::parse_duration;
use super::raw::{PromDuration, RawConfig, RawGlobal};

/// Time after which a firing alert is sent again (as in Prometheus).
const RESEND_DELAY: Duration = Duration::from_secs(60);
/// How old the latest sample of an alert's series may be when its state is restored from it (as in
/// Prometheus).
const OUTAGE_TOLERANCE: Duration = Duration::from_secs(60 * 60);
/// Least time from such a restoration to firing (as in Prometheus).
const GRACE_PERIOD: Duration = Duration::from_secs(10 * 60);

/// Rules and when they are evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesConfig {
    /// Patterns of rule files; relative ones are below the directory of the configuration file.
    pub files: Vec<PathBuf>,
    /// Time between two evaluations of groups that do not say it (`global.evaluation_interval`).
    pub interval: Duration,
    /// How far queries and samples of rules are shifted back (`global.rule_query_offset`).
    pub query_offset: Duration,
    /// Time after which a firing alert is sent again.
    pub resend_delay: Duration,
    /// How old the latest sample of an alert's series may be when its state is restored from it.
    pub outage_tolerance: Duration,
    /// Least time from such a restoration to firing.
    pub grace_period: Duration,
}

impl RulesConfig {
    /// The rule files, each once, in the order of the patterns.
    ///
    /// # Errors
    /// A pattern is malformed.
    pub fn find(&self) -> Result<Vec<PathBuf>, String> {
        let mut found: Vec<PathBuf> = Vec::new();
        for pattern in &self.files {
            for path in glob(pattern)? {
                if !found.contains(&path) {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }
}

/// Builds it. `base` is the directory of the configuration file.
///
/// # Errors
/// A value cannot be used.
pub(super) fn build(
    raw: &RawConfig,
    global: &RawGlobal,
    overrides: &Overrides,
    base: &Path,
) -> Result<RulesConfig, ConfigError> {
    let files = raw.rule_files.iter().flat_map(|files| files.value.iter().flatten());
    let interval = global.evaluation_interval;
    Ok(RulesConfig {
        files: files.map(|file| base.join(file)).collect(),
        interval: positive("evaluation_interval", None, interval, EVALUATION_INTERVAL)?,
        query_offset: global
            .rule_query_offset
            .map_or(Duration::ZERO, |PromDuration(offset)| offset),
        resend_delay: flag(
            "rules.alert.resend-delay",
            overrides.resend_delay.as_deref(),
            RESEND_DELAY,
        )?,
        outage_tolerance: flag(
            "rules.alert.for-outage-tolerance",
            overrides.outage_tolerance.as_deref(),
            OUTAGE_TOLERANCE,
        )?,
        grace_period: flag(
            "rules.alert.for-grace-period",
            overrides.grace_period.as_deref(),
            GRACE_PERIOD,
        )?,
    })
}

/// A flag's duration; 0 is allowed.
fn flag(key: &'static str, text: Option<&str>, default: Duration) -> Result<Duration, ConfigError> {
    let invalid = |message| ConfigError::Invalid { key, message };
    text.map_or(Ok(default), |text| parse_duration(text).map_err(|e| invalid(e.to_string())))
}

//! Since when alerts are there, read back from the series `ALERTS_FOR_STATE`: for data written by
//! Prometheus, or by a server whose own state was lost. Source: Prometheus' `rules/group.go`.

use std::collections::HashMap;

use super::alert::AlertState;
use super::group::Settings;
use super::rule::Rule;
use super::seams::Environment;
use super::spec::RuleKind;
use crate::model::labels::METRIC_NAME;
use crate::model::{Labels, Matcher, Selector, SeriesData, Timestamp, is_stale_nan};

/// How long ago the latest sample may be, in ms (`--rules.alert.for-outage-tolerance`).
pub const OUTAGE_TOLERANCE_MS: i64 = 60 * 60 * 1000;
/// Least time from a restoration to firing, in ms (`--rules.alert.for-grace-period`). Rules with a
/// shorter `for` are not restored: waiting for it again is quicker.
pub const GRACE_PERIOD_MS: i64 = 10 * 60 * 1000;

/// Sets since when the alerts of a rule are there, as far as its series tell.
pub(super) fn restore(
    rule: &Rule,
    environment: &Environment<'_>,
    now: Timestamp,
    settings: &Settings,
) {
    let RuleKind::Alerting { hold_ms, .. } = rule.spec().kind else { return };
    if hold_ms < settings.grace_period_ms || rule.alerts().active().next().is_none() {
        return;
    }
    let told = match told(rule, environment, now, settings.outage_tolerance_ms) {
        Ok(told) => told,
        Err(why) => {
            tracing::warn!("rule {}: state of its alerts is not restored: {why}", rule.spec());
            return;
        }
    };
    let grace_ms = settings.grace_period_ms;
    rule.alerts().move_active(|labels, alert| {
        debug_assert!(alert.state != AlertState::Inactive, "only active alerts are moved");
        let (at, value) = told.get(labels)?;
        Some(active_at(now.0, *at, *value, hold_ms, grace_ms))
    });
}

/// Since when an alert is there, when the series had `value` (seconds) at `at`.
fn active_at(now: i64, at: i64, value: f64, hold_ms: i64, grace_ms: i64) -> i64 {
    let was_active_at = (value as i64).saturating_mul(1000);
    let left = hold_ms.saturating_sub(at.saturating_sub(was_active_at));
    if left <= 0 {
        was_active_at
    } else if left < grace_ms {
        now.saturating_add(grace_ms).saturating_sub(hold_ms)
    } else {
        // The time of the outage does not count.
        was_active_at.saturating_add(now.saturating_sub(at))
    }
}

/// Time and value of the latest sample of each series of the rule that has not ended.
fn told(
    rule: &Rule,
    environment: &Environment<'_>,
    now: Timestamp,
    tolerance_ms: i64,
) -> Result<HashMap<Labels, (i64, f64)>, String> {
    let spec = rule.spec();
    let mut matchers = vec![
        Matcher::equal(METRIC_NAME, "ALERTS_FOR_STATE"),
        Matcher::equal("alertname", &*spec.name),
    ];
    let fixed = spec.labels.iter().filter(|(name, text)| text.is_plain() && **name != *"alertname");
    matchers.extend(fixed.map(|(name, text)| Matcher::equal(&**name, text.source())));
    let start = now.saturating_sub(tolerance_ms);
    let selector = Selector::new(&matchers, start, now);
    let found = environment.source.select(&selector).map_err(|error| error.to_string())?;
    let mut told = HashMap::new();
    let mut data = SeriesData::default();
    for index in 0..found.len() {
        found.read(index, &mut data).map_err(|error| error.to_string())?;
        let latest = data.timestamps.last().zip(data.values.last());
        if let Some((at, value)) = latest.filter(|(_, value)| !is_stale_nan(**value)) {
            told.insert(found.labels(index).without_metric_name(), (*at, *value));
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_as_prometheus_counts_it() {
        const M: i64 = 60_000;
        let active = |now, at, value: i64, hold| active_at(now, at, value as f64, hold, 10 * M);
        // Fired before the outage: unchanged.
        assert_eq!(active(100 * M, 90 * M, 60 * 60, 30 * M), 60 * M);
        // Nearly: ten minutes of grace.
        assert_eq!(active(100 * M, 85 * M, 60 * 60, 30 * M), 80 * M);
        // Long to go: the outage of ten minutes does not count.
        assert_eq!(active(100 * M, 90 * M, 80 * 60, 30 * M), 90 * M);
    }
}

//! Recording rules: the series a rule makes of its result.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::label_merge::merge;
use super::spec::RuleSpec;
use crate::model::Labels;
use crate::model::labels::METRIC_NAME;
use crate::promql::VectorSample;

/// Labels of series.
pub(super) type SeriesLabels = HashSet<Labels, FixedState>;

/// Gives the elements of a result their series: the rule's name, and its labels over theirs.
///
/// # Errors
/// Two elements make the same series, there are more than the limit allows, or a label is too long.
pub(super) fn record(
    rule: &RuleSpec,
    limit: usize,
    result: &mut [VectorSample],
) -> Result<SeriesLabels, String> {
    let mut overrides: Vec<(&str, &str)> = vec![(METRIC_NAME, &rule.name)];
    overrides.extend(rule.labels.iter().map(|(name, text)| (&**name, text.source())));
    overrides.sort_unstable();
    let mut series = SeriesLabels::default();
    series.reserve(result.len());
    let mut packed = Vec::new();
    for sample in result.iter_mut() {
        packed.clear();
        merge(&mut packed, &sample.labels, "", &overrides);
        sample.labels = Labels::from_packed(&packed).map_err(|error| error.to_string())?;
        if !series.insert(sample.labels.clone()) {
            return Err(
                "vector contains metrics with the same labelset after applying rule labels"
                    .to_owned(),
            );
        }
    }
    if limit > 0 && result.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", result.len()));
    }
    Ok(series)
}

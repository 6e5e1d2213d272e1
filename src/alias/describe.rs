//! What the metadata says of aliases.

use super::resolve::{Family, table};
use crate::model::MetricMetadata;

/// Metadata of the aliases whose stored metrics have some, or of the one called `metric`. A metric
/// that is stored speaks for itself.
pub(super) fn metadata(
    metric: Option<&str>,
    stored: &dyn Fn(&str) -> Option<MetricMetadata>,
) -> Vec<(String, MetricMetadata)> {
    let families = &table().families;
    let describe = |(name, family): (&String, &Family)| {
        let described = |metric: &&'static str| Some((*metric, stored(metric)?));
        let (metric, found) = family.stored.iter().find_map(described)?;
        if stored(name).is_some() {
            return None;
        }
        let help = format!("Alias of {metric}: {}", found.help);
        Some((name.clone(), MetricMetadata { metric_type: family.metric_type, help, ..found }))
    };
    match metric {
        Some(metric) => families.get_key_value(metric).and_then(describe).into_iter().collect(),
        None => families.iter().filter_map(describe).collect(),
    }
}

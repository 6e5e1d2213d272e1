//! Where parts hand in how their metrics are read, and where they are gathered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::family::MetricFamily;

type Collector = Arc<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;

/// All metrics of the process; cheap to clone.
///
/// A part keeps its metrics as fields of a struct of its own, behind an `Arc`, and registers one
/// closure that turns them into families.
#[derive(Clone, Default)]
pub struct Registry {
    // Locked when a part registers at start and when metrics are gathered, never while they count.
    collectors: Arc<Mutex<Vec<Collector>>>,
}

impl Registry {
    /// A registry without metrics.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a part's metrics. The closure is called at each gathering: it must be quick and must
    /// not block.
    pub fn register(&self, collector: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static) {
        self.lock().push(Arc::new(collector));
    }

    /// All families of this moment, ordered by name. Families of one name are put together.
    pub fn gather(&self) -> Vec<MetricFamily> {
        // Copied out, so that a collector may register another part.
        let collectors = self.lock().clone();
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        for family in collectors.iter().flat_map(|collect| collect()) {
            match families.get_mut(family.name.as_ref()) {
                Some(known) => known.samples.extend(family.samples),
                None => {
                    families.insert(family.name.clone().into_owned(), family);
                }
            }
        }
        families.into_values().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Collector>> {
        // The list is whole after any panic: every change is a single push.
        self.collectors.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("collectors", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted_and_put_together() {
        let registry = Registry::new();
        registry.register(|| vec![MetricFamily::gauge("b", "B.").value(1.0)]);
        registry.register(|| {
            vec![
                MetricFamily::gauge("b", "B.").with(&[("part", "two")], 2.0),
                MetricFamily::gauge("a", "A.").value(3.0),
            ]
        });
        let families = registry.gather();
        assert_eq!(families.iter().map(|f| f.name.as_ref()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(families[1].samples.len(), 2);
    }
}

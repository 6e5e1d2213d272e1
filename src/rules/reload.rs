//! From the groups that run and the groups that are to run: which stay, which take over, which end.

use std::collections::HashMap;
use std::sync::Arc;

use super::group::{Group, Settings};
use super::saved;
use super::seams::StateStore;
use super::spec::GroupSpec;

/// The groups after a change.
#[derive(Debug, Default)]
pub struct Changed {
    /// All that run now, ascending by file and name.
    pub groups: Vec<Arc<Group>>,
    /// Those that are no more; they are not evaluated any longer.
    pub removed: Vec<Arc<Group>>,
}

/// Replaces `running` by groups for `specs`. Unchanged ones go on untouched. A changed one takes
/// over from its predecessor, which ends with its present evaluation. At the start of the process
/// (`is_start`) groups get the state that was kept.
pub fn change(
    running: &[Arc<Group>],
    specs: Vec<GroupSpec>,
    settings: Settings,
    store: &dyn StateStore,
    is_start: bool,
) -> Changed {
    let mut before: HashMap<String, &Arc<Group>> =
        running.iter().map(|group| (group.spec().key(), group)).collect();
    let mut groups = Vec::new();
    for spec in specs {
        let old = before.remove(&spec.key());
        if let Some(old) = old.filter(|old| is_same(old, &spec, settings)) {
            groups.push(Arc::clone(old));
            continue;
        }
        let group = Group::new(Arc::new(spec), settings, !is_start);
        match old {
            Some(old) => group.take_over(old, store),
            None if is_start => group.load(store),
            None => {}
        }
        groups.push(Arc::new(group));
    }
    let removed: Vec<Arc<Group>> = before.into_values().map(Arc::clone).collect();
    removed.iter().for_each(|group| group.retire(store));
    if is_start {
        forget_others(store, &groups);
    }
    groups.sort_by(|a, b| (&a.spec().file, &a.spec().name).cmp(&(&b.spec().file, &b.spec().name)));
    Changed { groups, removed }
}

fn is_same(old: &Group, spec: &GroupSpec, settings: Settings) -> bool {
    let same_settings = Settings {
        interval_ms: spec.interval_ms.map_or(settings.interval_ms, |_| old.settings().interval_ms),
        query_offset_ms: spec
            .query_offset_ms
            .map_or(settings.query_offset_ms, |_| old.settings().query_offset_ms),
        ..settings
    };
    **old.spec() == *spec && old.settings() == same_settings
}

/// What was kept of groups that are not configured any more goes.
fn forget_others(store: &dyn StateStore, groups: &[Arc<Group>]) {
    let gone = saved::of_other_groups(store, groups.iter().map(|group| &**group.spec()));
    let gone = gone.and_then(|keys| {
        let changes: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
        if changes.is_empty() { Ok(()) } else { store.change(changes) }
    });
    if let Err(why) = gone {
        tracing::warn!("state of removed rule groups is not removed: {why}");
    }
}

//! Ids out of names: `ti.finish.my_dag.my_task.success`.
//!
//! In: a name and the form it may have. Out: the ids. Never here: what they mean.
//!
//! Ids may contain dots (task groups do), so where a DAG's id ends is not in the name. DAG ids that
//! were seen where nothing follows them tell it; without one the first part is the DAG's id.

use std::collections::BTreeSet;

/// Ids by label name, in the order of the name.
pub(super) type Ids<'a> = Vec<(&'static str, &'a str)>;

/// The ids of `name` by `form`; `None` when it has another form.
pub(super) fn ids<'a>(
    form: &'static str,
    name: &'a str,
    dags: &BTreeSet<String>,
) -> Option<Ids<'a>> {
    let open = form.find('{')?;
    let close = form.rfind('}')?;
    let inner = name.strip_prefix(&form[..open])?.strip_suffix(&form[close + 1..])?;
    if inner.is_empty() {
        return None;
    }
    let keys: Vec<&'static str> =
        form[open + 1..close].split("}.{").filter(|key| !key.is_empty()).collect();
    match keys.iter().position(|key| *key == "dag_id") {
        Some(at) if keys.get(at + 1) == Some(&"task_id") => around_task(&keys, at, inner, dags),
        _ => plain(&keys, inner),
    }
}

/// One part for each key, the last one taking the rest. Fewer parts than keys leave out the first.
fn plain<'a>(keys: &[&'static str], inner: &'a str) -> Option<Ids<'a>> {
    let parts: Vec<&str> = inner.splitn(keys.len(), '.').collect();
    let keys = &keys[keys.len() - parts.len()..];
    Some(keys.iter().copied().zip(parts).collect())
}

/// Parts before and after the DAG and task, which share what is between.
fn around_task<'a>(
    keys: &[&'static str],
    at: usize,
    inner: &'a str,
    dags: &BTreeSet<String>,
) -> Option<Ids<'a>> {
    let (before, after) = (&keys[..at], &keys[at + 2..]);
    let mut ids = Ids::new();
    let mut middle = inner;
    for key in before {
        let (part, rest) = middle.split_once('.')?;
        ids.push((key, part));
        middle = rest;
    }
    let mut behind = Ids::new();
    for key in after.iter().rev() {
        let (rest, part) = middle.rsplit_once('.')?;
        behind.push((key, part));
        middle = rest;
    }
    let (dag, task) = split_task(middle, dags)?;
    ids.extend([("dag_id", dag), ("task_id", task)]);
    ids.extend(behind.into_iter().rev());
    Some(ids)
}

/// Splits behind the longest known DAG id, else behind the first part.
fn split_task<'a>(text: &'a str, dags: &BTreeSet<String>) -> Option<(&'a str, &'a str)> {
    let mut from_behind = text.rmatch_indices('.').map(|(at, _)| at);
    let known = from_behind.find(|at| dags.contains(&text[..*at]));
    let at = known.or_else(|| text.find('.'))?;
    let (dag, task) = (&text[..at], &text[at + 1..]);
    (!dag.is_empty() && !task.is_empty()).then_some((dag, task))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: &'static str, name: &str) -> String {
        let dags = BTreeSet::from(["defer.dag-1".to_owned(), "defer".to_owned()]);
        ids(form, name, &dags).map_or_else(String::new, |ids| {
            let ids: Vec<String> = ids.iter().map(|(key, id)| format!("{key}={id}")).collect();
            ids.join(" ")
        })
    }

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let finish = "ti.finish.{dag_id}.{task_id}.{state}";
        assert_eq!(shown(finish, "ti.finish.d.t.success"), "dag_id=d task_id=t state=success");
        assert_eq!(
            shown(finish, "ti.finish.d.grp.inner.failed"),
            "dag_id=d task_id=grp.inner state=failed"
        );
        assert_eq!(
            shown(finish, "ti.finish.defer.dag-1.a.b.failed"),
            "dag_id=defer.dag-1 task_id=a.b state=failed"
        );
        assert_eq!(shown(finish, "ti.finish.d.success"), "");
        assert_eq!(shown(finish, "ti.finish."), "");
        assert_eq!(
            shown("dag.{dag_id}.{task_id}.duration", "dag.d.t.duration"),
            "dag_id=d task_id=t"
        );
        assert_eq!(shown("dag.{dag_id}.{task_id}.duration", "dag.d.duration"), "");
        assert_eq!(
            shown("dagrun.{dag_id}.first", "dagrun.defer.dag-1.first"),
            "dag_id=defer.dag-1"
        );
        assert_eq!(
            shown("x.{job_id}.{dag_id}.{task_id}.{return_code}", "x.7.d.g.t.-9"),
            "job_id=7 dag_id=d task_id=g.t return_code=-9"
        );
        assert_eq!(shown("op_{operator}", "op_Bash"), "operator=Bash");
        assert_eq!(shown("op_{operator}", "op_"), "");
        assert_eq!(shown("f.{bundle_name}.{dag_file}", "f.b.c.d"), "bundle_name=b dag_file=c.d");
        assert_eq!(shown("f.{bundle_name}.{dag_file}", "f.c"), "dag_file=c");
        assert_eq!(shown("p.{pool_name}", "p.a.b"), "pool_name=a.b");
    }
}

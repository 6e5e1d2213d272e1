//! What one watched instance is told; the configuration builds these values.

use std::time::Duration;

use regex::RegexSet;

use crate::secret::Secret;
use crate::web_client::config::HttpConfig;

/// One Airflow instance to watch.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceOptions {
    /// Its name: the value of the labels `instance` and `airflow`, and the key of what is
    /// remembered about it. Unique and not empty.
    pub name: String,
    /// URL under which its web server answers, without a trailing slash.
    pub url: String,
    /// How it is logged in.
    pub auth: Auth,
    /// How it is reached: certificates, proxy, further headers.
    pub http: HttpConfig,
    /// Pause between the starts of two passes.
    pub poll_interval: Duration,
    /// Pause between two looks at pools, import errors and the list of DAGs.
    pub inventory_interval: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// How far back the first pass looks.
    pub backfill: Duration,
    /// Labels attached to every series of this instance.
    pub labels: Vec<(String, String)>,
    /// Which DAGs are watched.
    pub dags: DagFilter,
    /// Own service levels.
    pub slas: Vec<Sla>,
}

/// How requests prove who they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// They do not.
    None,
    /// User and password: basic authentication for Airflow 2, a login for a token in Airflow 3.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token that somebody else renews.
    Token(Secret),
}

/// Names with `*` (any characters) and `?` (one character).
#[derive(Clone, Debug)]
pub struct Patterns {
    globs: Vec<String>,
    set: RegexSet,
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Patterns) -> bool {
        self.globs == other.globs
    }
}

impl Patterns {
    /// Compiles the globs.
    ///
    /// # Errors
    /// A sentence: they are too large together.
    pub fn new(globs: &[String]) -> Result<Patterns, String> {
        let translate = |glob: &String| {
            let escaped = regex::escape(glob).replace(r"\*", ".*").replace(r"\?", ".");
            format!("^(?s:{escaped})$")
        };
        let set = RegexSet::new(globs.iter().map(translate))
            .map_err(|error| format!("the patterns cannot be used: {error}"))?;
        Ok(Patterns { globs: globs.to_vec(), set })
    }

    /// Whether one of the globs matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.set.is_match(name)
    }
}

/// Which DAGs are watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DagFilter {
    /// Only these; all without.
    pub include: Option<Patterns>,
    /// Not these.
    pub exclude: Option<Patterns>,
}

impl DagFilter {
    /// Whether `dag` is watched.
    pub fn accepts(&self, dag: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.matches(dag))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.matches(dag))
    }
}

/// A service level that runs of some DAGs have to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Sla {
    /// Value of the label `sla`.
    pub name: String,
    /// The DAGs it is about.
    pub dags: Patterns,
    /// Longest time from a run's start to its end, in ms.
    pub duration_ms: Option<i64>,
    /// Longest time from the moment a run was due to its end, in ms.
    pub after_due_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(globs: &[&str]) -> Patterns {
        Patterns::new(&globs.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>()).expect("valid")
    }

    #[test]
    fn globs_match_whole_names() {
        let set = patterns(&["etl.*", "a?c"]);
        for (name, expected) in
            [("etl.x", true), ("etlxx", false), ("abc", true), ("abbc", false), ("my.etl.x", false)]
        {
            assert_eq!(set.matches(name), expected, "{name}");
        }
        let filter = DagFilter { include: Some(set), exclude: Some(patterns(&["*.test"])) };
        assert!(filter.accepts("etl.x") && !filter.accepts("etl.test") && !filter.accepts("b"));
        assert!(DagFilter::default().accepts("anything"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::Inline("hunter2".to_owned())), "<secret>");
    }
}

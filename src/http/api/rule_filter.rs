//! Which rule groups and rules a request for `rules` asks for, and which page of them.

use std::sync::Arc;

use ring::digest;

use super::super::error::ApiError;
use super::super::params::{Params, parse_integer};
use crate::model::Matcher;
use crate::model::labels::Quoted;
use crate::rules::Group;
use crate::rules::rule::Rule;

/// What a request asks for.
pub(super) struct Filter {
    /// Alerting rules, recording rules, or both.
    alerting: Option<bool>,
    files: Vec<String>,
    groups: Vec<String>,
    names: Vec<String>,
    matcher_sets: Vec<Vec<Matcher>>,
    with_alerts: bool,
}

impl Filter {
    /// Reads the parameters.
    ///
    /// # Errors
    /// One of them makes no sense.
    pub fn new(params: &Params) -> Result<Filter, ApiError> {
        let all = |name: &str| params.all(name).map(str::to_owned).collect();
        Ok(Filter {
            matcher_sets: params.matcher_sets()?,
            alerting: rule_type(params.url_value("type"))?,
            with_alerts: !excludes_alerts(params.url_value("exclude_alerts"))?,
            files: all("file[]"),
            groups: all("rule_group[]"),
            names: all("rule_name[]"),
        })
    }

    /// Whether the alerts of rules are shown.
    pub fn with_alerts(&self) -> bool {
        self.with_alerts
    }

    /// Whether a group is asked for.
    pub fn takes_group(&self, group: &Group) -> bool {
        is_one(&self.files, &group.spec().file) && is_one(&self.groups, &group.spec().name)
    }

    /// Whether a rule is asked for.
    pub fn takes_rule(&self, rule: &Rule) -> bool {
        let spec = rule.spec();
        let matches = |matcher: &Matcher| {
            let own = spec.labels.iter().find(|(name, _)| **name == *matcher.name());
            matcher.matches(own.map_or("", |(_, text)| text.source()))
        };
        self.alerting.is_none_or(|wanted| wanted == spec.is_alerting())
            && is_one(&self.names, &spec.name)
            && (self.matcher_sets.is_empty()
                || self.matcher_sets.iter().any(|set| set.iter().all(matches)))
    }
}

fn is_one(wanted: &[String], own: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one == own)
}

fn rule_type(text: &str) -> Result<Option<bool>, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "alert" => Ok(Some(true)),
        "record" => Ok(Some(false)),
        other => {
            let why = format!("not supported value {}", Quoted(other));
            Err(ApiError::parameter("type", why))
        }
    }
}

fn excludes_alerts(text: &str) -> Result<bool, ApiError> {
    let text = text.to_ascii_lowercase();
    match text.as_str() {
        "1" | "t" | "true" => Ok(true),
        "" | "0" | "f" | "false" => Ok(false),
        _ => {
            let why = format!(
                "error converting exclude_alerts: strconv.ParseBool: parsing {}: invalid syntax",
                Quoted(&text)
            );
            Err(ApiError::parameter("exclude_alerts", why))
        }
    }
}

/// Where the answer begins, and how many groups it has at most.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    first: usize,
    groups_max: Option<usize>,
}

impl Page {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The limit is no number above 0, or the token names no group.
    pub fn new(params: &Params, groups: &[Arc<Group>]) -> Result<Page, ApiError> {
        let (limit, token) =
            (params.url_value("group_limit"), params.url_value("group_next_token"));
        let groups_max = limit_of(limit, token)?;
        if token.is_empty() {
            return Ok(Page { first: 0, groups_max });
        }
        let first = groups.iter().position(|group| Page::token(group) == token);
        let first = first.ok_or_else(|| {
            let why = format!("invalid group_next_token '{token}'. were rule groups changed?");
            ApiError::parameter("group_next_token", why)
        })?;
        Ok(Page { first, groups_max })
    }

    /// The groups from where the page begins.
    pub fn rest<'a>(&self, groups: &'a [Arc<Group>]) -> &'a [Arc<Group>] {
        groups.get(self.first..).unwrap_or(&[])
    }

    /// Whether no more fit beside `groups`.
    pub fn is_full(&self, groups: usize) -> bool {
        self.groups_max.is_some_and(|max| groups >= max)
    }

    /// What names a group as the first of the next page: the SHA-256 of its file and name.
    pub fn token(group: &Group) -> String {
        let hash = digest::digest(&digest::SHA256, group.spec().key().as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn limit_of(limit: &str, token: &str) -> Result<Option<usize>, ApiError> {
    if limit.is_empty() {
        let why = "group_limit needs to be present in order to paginate over the groups";
        return if token.is_empty() {
            Ok(None)
        } else {
            Err(ApiError::parameter("group_next_token", why))
        };
    }
    let number = parse_integer(limit, "ParseInt").map_err(|why| {
        let why = format!("group_limit needs to be a valid number: {why}");
        ApiError::parameter("group_limit", why)
    })?;
    match usize::try_from(number) {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => {
            let why = "group_limit needs to be greater than 0";
            Err(ApiError::parameter("group_limit", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_need_a_limit_and_a_token_that_exists() {
        let page = |query: &str| Page::new(&Params::from_query(query).expect("a query"), &[]);
        assert_eq!(page(""), Ok(Page { first: 0, groups_max: None }));
        assert_eq!(page("group_limit=5"), Ok(Page { first: 0, groups_max: Some(5) }));
        assert!(page("group_next_token=abc").is_err());
        assert!(page("group_limit=0").is_err());
        assert_eq!(
            page("group_limit=x").expect_err("no number").message,
            "invalid parameter \"group_limit\": group_limit needs to be a valid number: \
             strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert!(page("group_limit=5&group_next_token=abc").is_err());
    }

    #[test]
    fn types_and_booleans_are_checked() {
        assert_eq!(rule_type("Alert"), Ok(Some(true)));
        assert_eq!(
            rule_type("x").expect_err("unknown").message,
            "invalid parameter \"type\": not supported value \"x\""
        );
        assert_eq!(excludes_alerts("TRUE"), Ok(true));
        assert!(excludes_alerts("yes").is_err());
    }
}

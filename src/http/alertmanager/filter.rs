//! The filters that requests name: labels, receivers, states.

use regex::Regex;

use super::super::params::Params;
use super::answer::Refusal;
use crate::model::{Labels, MatchOp, Matcher, pattern};
use crate::notify::config::Receiver;
use crate::notify::machine::query::AlertView;
use crate::notify::matcher::{Grammar, parse_matcher};

/// Largest compiled size of the expression that names receivers, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What of alerts and groups is wanted.
#[derive(Debug)]
pub(super) struct Filter {
    matchers: Vec<Matcher>,
    receiver: Option<Regex>,
    receiver_matchers: Vec<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
    /// Whether groups that a time interval mutes are shown.
    pub muted: bool,
}

impl Filter {
    /// Reads the parameters.
    pub(super) fn read(params: &Params) -> Result<Filter, Refusal> {
        let receiver = match params.value("receiver") {
            "" => None,
            text => Some(pattern::anchored_line(text, REGEX_BYTES_MAX).map_err(|error| {
                let why = pattern::reason(&error);
                Refusal::bad(format!("failed to parse receiver param: {why}"))
            })?),
        };
        Ok(Filter {
            matchers: matchers(params, "filter").map_err(Refusal::bad)?,
            receiver,
            receiver_matchers: receiver_matchers(params)?,
            active: switch(params, "active"),
            silenced: switch(params, "silenced"),
            inhibited: switch(params, "inhibited"),
            muted: switch(params, "muted"),
        })
    }

    /// Whether alerts of that receiver are wanted.
    pub(super) fn wants_receiver(&self, receiver: &Receiver) -> bool {
        self.receiver.as_ref().is_none_or(|regex| regex.is_match(&receiver.name))
            && receiver_matches(&self.receiver_matchers, receiver)
    }

    /// Whether alerts with these labels are wanted.
    pub(super) fn wants_labels(&self, labels: &Labels) -> bool {
        all_match(&self.matchers, |name| labels.get(name))
    }

    /// Whether an alert in that state is wanted.
    pub(super) fn wants(&self, alert: &AlertView) -> bool {
        let (silenced, inhibited) = (!alert.silenced_by.is_empty(), alert.inhibited_by.is_some());
        (self.active || silenced || inhibited)
            && (self.silenced || !silenced)
            && (self.inhibited || !inhibited)
    }
}

/// A boolean parameter; true when absent.
pub(super) fn switch(params: &Params, name: &str) -> bool {
    match params.value(name).to_ascii_lowercase().as_str() {
        "" => true,
        text => ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"]
            .contains(&text),
    }
}

/// The matchers of a parameter that may be repeated.
pub(super) fn matchers(params: &Params, name: &str) -> Result<Vec<Matcher>, String> {
    let all = params.all(name).map(|text| parse_matcher(text, Grammar::Fallback));
    all.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// The matchers on labels of receivers.
pub(super) fn receiver_matchers(params: &Params) -> Result<Vec<Matcher>, Refusal> {
    matchers(params, "receiver_matchers")
        .map_err(|why| Refusal::bad(format!("failed to parse receiver_matchers param: {why}")))
}

/// Whether a receiver has labels that match.
pub(super) fn receiver_matches(matchers: &[Matcher], receiver: &Receiver) -> bool {
    all_match(matchers, |name| receiver.labels.get(name).map(String::as_str))
}

/// Matchers of the API look at whether a label is there when their value is empty.
fn all_match<'a>(matchers: &[Matcher], value: impl Fn(&str) -> Option<&'a str>) -> bool {
    matchers.iter().all(|matcher| {
        let found = value(matcher.name());
        let negative = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex);
        (matcher.value().is_empty() && found.is_some() == negative)
            || matcher.matches(found.unwrap_or(""))
    })
}

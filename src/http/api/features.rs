//! `features`: what this server can do, under the names Prometheus uses.
//!
//! Built from the tables the parser and the evaluator read, so that it cannot promise what they do
//! not keep.

use std::collections::BTreeMap;

use axum::extract::State;

use crate::promql::Features;
use crate::promql::ast::{AggregateOp, BinaryOp};
use crate::promql::functions::FUNCTIONS;

use super::super::answer::Answer;
use super::super::state::{HttpOptions, HttpState};

/// Names of one category and whether they are there.
type Category = BTreeMap<&'static str, bool>;

/// Matchers, which Prometheus counts among the operators.
const MATCHERS: [&str; 3] = ["=", "=~", "!~"];
/// Words of the language that are always understood.
const WORDS: [&str; 13] = [
    "at_modifier",
    "bool",
    "by",
    "duration_expr",
    "group_left",
    "group_right",
    "ignoring",
    "negative_offset",
    "offset",
    "on",
    "per_query_lookback_delta",
    "subqueries",
    "without",
];

/// Every category with its features.
pub async fn features(State(state): State<HttpState>) -> Answer {
    let on = state.engine().options().features;
    let categories = [
        ("api", api(state.options())),
        ("otlp_receiver", [("delta_conversion", false), ("native_delta_ingestion", false)].into()),
        ("prometheus", [("agent_mode", false), ("server_mode", true)].into()),
        ("promql", words(&on)),
        ("promql_functions", functions(&on)),
        ("promql_operators", operators(&on)),
        ("tsdb", [("exemplar_storage", true), ("native_histograms", true)].into()),
        ("ui", [("ui_v2", false), ("ui_v3", false)].into()),
    ];
    Answer::new(|out| {
        out.begin_object();
        for (name, category) in &categories {
            out.key(name);
            out.begin_object();
            for (feature, is_there) in category {
                out.key(feature);
                out.boolean(*is_there);
            }
            out.end_object();
        }
        out.end_object();
    })
}

fn api(options: &HttpOptions) -> Category {
    [
        // Enabled or not, this version has nothing behind the admin endpoints.
        ("admin", false),
        ("exclude_alerts", true),
        ("label_values_match", true),
        ("lifecycle", options.lifecycle_enabled),
        ("openapi_3.1", false),
        ("openapi_3.2", false),
        ("otlp_write_receiver", false),
        ("query_stats", true),
        ("query_warnings", true),
        ("remote_write_receiver", true),
        ("time_range_labels", true),
        ("time_range_series", true),
    ]
    .into()
}

fn words(on: &Features) -> Category {
    let mut words: Category = WORDS.into_iter().map(|word| (word, true)).collect();
    words.extend([
        ("anchored", on.extended_range_selectors),
        ("delayed_name_removal", on.delayed_name_removal),
        ("fill", on.binop_fill_modifiers),
        ("fill_left", on.binop_fill_modifiers),
        ("fill_right", on.binop_fill_modifiers),
        ("per_step_stats", false),
        ("smoothed", on.extended_range_selectors),
        ("type_and_unit_labels", on.type_and_unit_labels),
        ("use_start_timestamps", on.use_start_timestamps),
    ]);
    words
}

fn functions(on: &Features) -> Category {
    FUNCTIONS.iter().map(|function| (function.name, function.is_available(on))).collect()
}

fn operators(on: &Features) -> Category {
    let mut operators: Category = MATCHERS.into_iter().map(|matcher| (matcher, true)).collect();
    operators.extend(BinaryOp::ALL.into_iter().map(|op| (op.as_str(), true)));
    operators.extend(AggregateOp::ALL.into_iter().map(|op| {
        let is_there = !op.is_experimental() || on.experimental_functions;
        (op.as_str(), is_there)
    }));
    operators
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_experimental_is_there_when_enabled() {
        let (off, on) = (Features::default(), Features::all());
        let over_time = |on: &Features| functions(on)["mad_over_time"];
        assert_eq!((over_time(&off), over_time(&on)), (false, true));
        assert_eq!((operators(&off)["limitk"], operators(&on)["limitk"]), (false, true));
        assert_eq!((words(&off)["anchored"], words(&on)["anchored"]), (false, true));
        assert!(functions(&off)["rate"] && operators(&off)["unless"] && operators(&off)["sum"]);
    }

    #[test]
    fn each_operator_is_listed_once() {
        let mut texts: Vec<&str> = BinaryOp::ALL.iter().map(|op| op.as_str()).collect();
        texts.extend(AggregateOp::ALL.iter().map(|op| op.as_str()));
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), count);
        assert_eq!(BinaryOp::ALL.len(), BinaryOp::TrimLower as usize + 1);
        assert_eq!(AggregateOp::ALL.len(), AggregateOp::LimitRatio as usize + 1);
    }
}

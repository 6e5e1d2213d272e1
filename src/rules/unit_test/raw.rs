//! What a unit test file may hold, key by key.

use crate::rules::file::raw::{Pairs, Text, mapping};

mapping!(
    /// A whole file.
    RawFile,
    "a unit test file",
    {
        "rule_files" => rule_files: Vec<Text>,
        "evaluation_interval" => evaluation_interval: Text,
        "group_eval_order" => group_eval_order: Vec<Text>,
        "fuzzy_compare" => fuzzy_compare: Text,
        "tests" => tests: Vec<RawTest>,
    }
);

mapping!(
    /// One entry of `tests`.
    RawTest,
    "a test",
    {
        "name" => name: Text,
        "interval" => interval: Text,
        "start_timestamp" => start_timestamp: Text,
        "input_series" => input_series: Vec<RawSeries>,
        "alert_rule_test" => alert_rule_test: Vec<RawAlertTest>,
        "promql_expr_test" => promql_expr_test: Vec<RawExprTest>,
        // vmalert's name of the same.
        "metricsql_expr_test" => metricsql_expr_test: Vec<RawExprTest>,
        "external_labels" => external_labels: Pairs,
        "external_url" => external_url: Text,
    }
);

mapping!(
    /// One entry of `input_series`.
    RawSeries,
    "a series with values",
    { "series" => series: Text, "values" => values: Text, }
);

mapping!(
    /// One entry of `alert_rule_test`.
    RawAlertTest,
    "a test of an alert",
    {
        "eval_time" => eval_time: Text,
        "alertname" => alertname: Text,
        // vmalert's: alerts of this group only.
        "groupname" => groupname: Text,
        "exp_alerts" => exp_alerts: Vec<RawAlert>,
    }
);

mapping!(
    /// One entry of `exp_alerts`.
    RawAlert,
    "an expected alert",
    { "exp_labels" => exp_labels: Pairs, "exp_annotations" => exp_annotations: Pairs, }
);

mapping!(
    /// One entry of `promql_expr_test`.
    RawExprTest,
    "a test of an expression",
    {
        "expr" => expr: Text,
        "eval_time" => eval_time: Text,
        "exp_samples" => exp_samples: Vec<RawSample>,
    }
);

mapping!(
    /// One entry of `exp_samples`.
    RawSample,
    "an expected sample",
    { "labels" => labels: Text, "value" => value: Text, "histogram" => histogram: Text, }
);

//! `query_exemplars`.

use axum::extract::State;

use crate::model::{Exemplar, Labels, Matcher, Selector};
use crate::promql::ast::Expr;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::JsonWriter;
use super::super::json::results::{write_exemplar, write_labels};
use super::super::params::Params;
use super::super::state::HttpState;
use super::super::times::{TIME_MAX, TIME_MIN};

/// The exemplars of every series that `query` selects, from `start` to `end`.
pub async fn query(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let start = params.time_or("start", TIME_MIN)?;
    let end = params.time_or("end", TIME_MAX)?;
    if end < start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    state
        .run_read(move |state, interrupt| {
            let expr = state
                .engine()
                .parse(params.value("query"))
                .map_err(|error| ApiError::bad_data(error.to_string()))?;
            let mut matcher_sets = Vec::new();
            collect_selectors(&expr, &mut matcher_sets);
            if matcher_sets.is_empty() {
                return Ok(Answer::Empty);
            }
            let selector = |matchers| Selector { matchers, start, end, interrupt };
            let selectors: Vec<_> = matcher_sets.iter().map(|set| selector(set)).collect();
            let found = state.store().exemplars(&selectors)?;
            Ok(Answer::new(|out| write_all(out, &found)))
        })
        .await
}

fn write_all(out: &mut JsonWriter, found: &[(Labels, Vec<Exemplar>)]) {
    out.begin_array();
    for (labels, exemplars) in found.iter().filter(|(_, exemplars)| !exemplars.is_empty()) {
        out.begin_object();
        out.key("seriesLabels");
        write_labels(out, labels);
        out.key("exemplars");
        out.begin_array();
        exemplars.iter().for_each(|exemplar| write_exemplar(out, exemplar));
        out.end_array();
        out.end_object();
    }
    out.end_array();
}

/// The matchers of every selector in the expression. The recursion is as deep as the expression
/// is nested, which the parser bounds.
fn collect_selectors(expr: &Expr, found: &mut Vec<Vec<Matcher>>) {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::VectorSelector(e) => found.push(e.matchers.clone()),
        Expr::MatrixSelector(e) => found.push(e.vector.matchers.clone()),
        Expr::Subquery(e) => collect_selectors(&e.expr, found),
        Expr::Call(e) => e.args.iter().for_each(|argument| collect_selectors(argument, found)),
        Expr::Binary(_) => {
            let (first, operations) = expr.left_side();
            collect_selectors(first, found);
            operations.iter().for_each(|e| collect_selectors(&e.rhs, found));
        }
        Expr::Unary(e) => collect_selectors(&e.expr, found),
        Expr::Aggregate(e) => {
            collect_selectors(&e.expr, found);
            e.param.iter().for_each(|param| collect_selectors(param, found));
        }
        Expr::Paren(e) => collect_selectors(&e.expr, found),
    }
}

#[cfg(test)]
mod tests {
    use crate::promql::{Features, parse};

    use super::*;

    #[test]
    fn every_selector_of_an_expression_is_found() {
        let text = "topk(scalar(k), a) + rate(b{x=\"1\"}[5m]) > bool max_over_time((-c)[1h:1m])";
        let expr = parse(text, &Features::default()).expect("valid");
        let mut found = Vec::new();
        collect_selectors(&expr, &mut found);
        let shown: Vec<String> = found
            .iter()
            .map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            .collect();
        assert_eq!(shown.len(), 4, "{shown:?}");
        assert!(shown.iter().any(|set| set.contains("x=\"1\"")), "{shown:?}");
    }
}

//! `format_query` and `parse_query`.

use axum::extract::State;

use crate::promql::ast::Expr;
use crate::promql::pretty;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::ast::write_expr;
use super::super::params::Params;
use super::super::state::HttpState;

/// The query, prettily laid out.
pub async fn format_query(
    State(state): State<HttpState>,
    params: Params,
) -> Result<Answer, ApiError> {
    answer(state, params, |expr| Answer::new(|out| out.string(&pretty(expr)))).await
}

/// The query's syntax tree.
pub async fn parse_query(
    State(state): State<HttpState>,
    params: Params,
) -> Result<Answer, ApiError> {
    answer(state, params, |expr| Answer::new(|out| write_expr(out, expr))).await
}

async fn answer(
    state: HttpState,
    params: Params,
    write: impl FnOnce(&Expr) -> Answer + Send + 'static,
) -> Result<Answer, ApiError> {
    state
        .run(move |state| {
            let parsed = state.engine().parse(params.value("query"));
            Ok(write(&parsed.map_err(|error| ApiError::parameter("query", error))?))
        })
        .await
}

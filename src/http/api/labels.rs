//! `labels` and `label/<name>/values`.

use axum::extract::{Path, State};

use crate::model::labels::Quoted;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::escaping::unescape_name;
use super::super::params::Params;
use super::super::state::HttpState;
use super::scope::{Scope, union};

/// The names of labels on the series in scope.
pub async fn names(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let scope = Scope::parse(&params)?;
    state
        .run_read(move |state, interrupt| {
            let names = union(&scope.selectors(interrupt), |selector| {
                Ok(state.source().label_names(selector)?)
            })?;
            scope.answer(names, interrupt, |out, name: &String| out.string(name))
        })
        .await
}

/// The values of one label on the series in scope. The name may be escaped (`U__...`).
pub async fn values(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Answer, ApiError> {
    let name = unescape_name(&name).into_owned();
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {}", Quoted(&name))));
    }
    let scope = Scope::parse(&params)?;
    state
        .run_read(move |state, interrupt| {
            let values = union(&scope.selectors(interrupt), |selector| {
                Ok(state.source().label_values(&name, selector)?)
            })?;
            scope.answer(values, interrupt, |out, value: &String| out.string(value))
        })
        .await
}

//! `series`: the label sets of matching series.

use axum::extract::State;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::results::write_labels;
use super::super::params::Params;
use super::super::state::HttpState;
use super::scope::{Scope, union};

/// The label sets of the series in scope; at least one `match[]` is required.
pub async fn series(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let scope = Scope::parse(&params).map_err(name_match)?;
    state
        .run_read(move |state, interrupt| {
            let found = union(&scope.selectors(interrupt), |selector| {
                Ok(state.source().series(selector)?)
            })?;
            scope.answer(found, interrupt, write_labels)
        })
        .await
}

/// Here, unlike at the label endpoints, an error in a selector names its parameter.
fn name_match(error: ApiError) -> ApiError {
    if error.message.starts_with("invalid parameter") {
        return error;
    }
    ApiError::parameter("match[]", error.message)
}

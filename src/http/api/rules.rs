//! `rules` and `alerts`. No rule is evaluated by this process yet, so both lists are empty; wrong
//! parameters are refused all the same.

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::params::{Params, parse_integer};
use super::targets::write_empty_array;
use crate::model::labels::Quoted;

/// Rule groups with their rules.
pub async fn rules(params: Params) -> Result<Answer, ApiError> {
    params.matcher_sets()?;
    check_type(params.url_value("type"))?;
    check_exclude_alerts(params.url_value("exclude_alerts"))?;
    check_page(params.url_value("group_limit"), params.url_value("group_next_token"))?;
    Ok(Answer::new(|out| {
        out.begin_object();
        write_empty_array(out, "groups");
        out.end_object();
    }))
}

/// Active alerts.
pub async fn alerts() -> Answer {
    Answer::new(|out| {
        out.begin_object();
        write_empty_array(out, "alerts");
        out.end_object();
    })
}

fn check_type(text: &str) -> Result<(), ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "" | "alert" | "record" => Ok(()),
        other => {
            let why = format!("not supported value {}", Quoted(other));
            Err(ApiError::parameter("type", why))
        }
    }
}

fn check_exclude_alerts(text: &str) -> Result<(), ApiError> {
    const BOOLEANS: [&str; 7] = ["", "1", "t", "true", "0", "f", "false"];
    let text = text.to_ascii_lowercase();
    if BOOLEANS.contains(&text.as_str()) {
        return Ok(());
    }
    let why = format!(
        "error converting exclude_alerts: strconv.ParseBool: parsing {}: invalid syntax",
        Quoted(&text)
    );
    Err(ApiError::parameter("exclude_alerts", why))
}

fn check_page(limit: &str, token: &str) -> Result<(), ApiError> {
    if limit.is_empty() {
        let why = "group_limit needs to be present in order to paginate over the groups";
        return if token.is_empty() {
            Ok(())
        } else {
            Err(ApiError::parameter("group_next_token", why))
        };
    }
    let number = parse_integer(limit, "ParseInt").map_err(|why| {
        let why = format!("group_limit needs to be a valid number: {why}");
        ApiError::parameter("group_limit", why)
    })?;
    if number <= 0 {
        let why = "group_limit needs to be greater than 0";
        return Err(ApiError::parameter("group_limit", why));
    }
    if token.is_empty() {
        return Ok(());
    }
    let why = format!("invalid group_next_token '{token}'. were rule groups changed?");
    Err(ApiError::parameter("group_next_token", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_need_a_limit_and_a_token_that_exists() {
        assert_eq!(check_page("", ""), Ok(()));
        assert_eq!(check_page("5", ""), Ok(()));
        assert!(check_page("", "abc").is_err());
        assert!(check_page("0", "").is_err());
        assert_eq!(
            check_page("x", "").expect_err("no number").message,
            "invalid parameter \"group_limit\": group_limit needs to be a valid number: \
             strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert!(check_page("5", "abc").is_err());
    }

    #[test]
    fn types_and_booleans_are_checked() {
        assert!(check_type("Alert").is_ok());
        assert_eq!(
            check_type("x").expect_err("unknown").message,
            "invalid parameter \"type\": not supported value \"x\""
        );
        assert!(check_exclude_alerts("TRUE").is_ok());
        assert!(check_exclude_alerts("yes").is_err());
    }
}

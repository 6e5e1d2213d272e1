//! The functions of Alertmanager's notification templates.
//!
//! Source: Alertmanager's documentation, "Notification template reference".

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;

use super::case::{lower, upper};
use super::humanize::{humanize_duration, to_float};
use super::title::{Others, title};
use super::{Call, Function, Param, matches, replace_all, text_at};
use crate::template::json;
use crate::template::time::GoTime;
use crate::template::value::{ANY_LIST, Safe, Value};

const TEXT: &[Param] = &[Param::Text];
const TIME: Param = Param::Of("time.Time");

/// All of them.
pub static FUNCTIONS: &[Function] = &[
    one("toUpper", TEXT, |c, a| c.produced(upper(text_at(a, 0)))),
    one("toLower", TEXT, |c, a| c.produced(lower(text_at(a, 0)))),
    one("title", TEXT, |c, a| c.produced(title(text_at(a, 0), Others::Lowered))),
    one("trimSpace", TEXT, |c, a| c.produced(text_at(a, 0).trim().to_owned())),
    one("join", &[Param::Text, Param::Texts], join),
    one("match", &[Param::Text, Param::Text], matches),
    one("reReplaceAll", &[Param::Text, Param::Text, Param::Text], replace_all),
    one("safeHtml", TEXT, |_, a| Ok(Value::Safe(Safe::Html, text_at(a, 0).into()))),
    one("safeUrl", TEXT, |_, a| Ok(Value::Safe(Safe::Url, text_at(a, 0).into()))),
    one("urlUnescape", TEXT, url_unescape),
    Function { name: "stringSlice", params: &[], rest: Some(Param::Text), call: string_slice },
    one("routeLabels", TEXT, |c, a| c.host.route_label(text_at(a, 0)).and_then(|l| c.produced(l))),
    one("date", &[Param::Text, TIME], date),
    one("tz", &[Param::Text, TIME], zone),
    one("now", &[], |c, _| now(c)),
    one("since", &[TIME], since),
    one("humanizeDuration", &[Param::Any], |_, a| Ok(humanize_duration(to_float(&a[0])?).into())),
    one("toDate", &[Param::Text, Param::Text], |_, a| Ok(to_date(a).unwrap_or_else(|_| zero()))),
    one("mustToDate", &[Param::Text, Param::Text], |_, a| to_date(a)),
    one("toJson", &[Param::Any], to_json),
    one("base64encode", TEXT, |c, a| c.produced(BASE64_URL_SAFE.encode(text_at(a, 0)))),
    one("base64decode", TEXT, base64_decode),
    Function { name: "list", params: &[], rest: Some(Param::Any), call: list },
    Function {
        name: "append",
        params: &[Param::Of("[]interface {}")],
        rest: Some(Param::Any),
        call: append,
    },
    Function { name: "dict", params: &[], rest: Some(Param::Any), call: dict },
];

const fn one(
    name: &'static str,
    params: &'static [Param],
    call: fn(&mut Call<'_>, &[Value]) -> Result<Value, String>,
) -> Function {
    Function { name, params, rest: None, call }
}

fn join(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut out = call.text();
    for (i, item) in args[1].items().iter().enumerate() {
        if i > 0 {
            out.push(text_at(args, 0))?;
        }
        out.push(item.as_text().map_or("", |text| text))?;
    }
    call.finish(out)
}

fn url_unescape(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let text = text_at(args, 0);
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        let is_good = rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
        if !is_good {
            let end = rest.char_indices().nth(2).map_or(rest.len(), |(i, _)| i);
            return Err(format!("invalid URL escape \"%{}\"", &rest[..end]));
        }
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned();
    call.produced(decoded)
}

fn string_slice(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    call.budget.work(args.len() * 32)?;
    Ok(Value::texts(args.iter().filter_map(Value::as_text).cloned()))
}

fn as_time(value: &Value) -> Result<&GoTime, String> {
    match value {
        Value::Time(time) => Ok(time),
        other => Err(format!("{} is no time", other.type_name())),
    }
}

fn zero() -> Value {
    Value::Time(GoTime::zero().into())
}

fn date(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut out = call.text();
    as_time(&args[1])?.format(&mut out, text_at(args, 0))?;
    call.finish(out)
}

fn zone(_: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let name = text_at(args, 0);
    match as_time(&args[1])?.in_zone(name) {
        Some(time) => Ok(Value::Time(time.into())),
        None => Err(format!("unknown time zone {name}")),
    }
}

fn present(call: &Call<'_>) -> Result<GoTime, String> {
    GoTime::utc(call.host.now()).ok_or_else(|| "the present is outside the calendar".to_owned())
}

fn now(call: &mut Call<'_>) -> Result<Value, String> {
    Ok(Value::Time(present(call)?.into()))
}

fn since(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    Ok(Value::Duration(present(call)?.since_ns(as_time(&args[0])?)))
}

fn to_date(args: &[Value]) -> Result<Value, String> {
    GoTime::parse(text_at(args, 0), text_at(args, 1)).map(|time| Value::Time(time.into()))
}

fn to_json(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut out = call.text();
    json::write(&mut out, &args[0])?;
    call.finish(out)
}

fn base64_decode(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    // As Go passes over the ends of lines.
    let text = text_at(args, 0).replace(['\r', '\n'], "");
    let bytes = BASE64_URL_SAFE.decode(text).map_err(|e| e.to_string())?;
    call.produced(String::from_utf8_lossy(&bytes).into_owned())
}

fn list(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    call.budget.work(args.len() * 32)?;
    Value::list(&ANY_LIST, args.to_vec()).if_shallow()
}

fn append(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    call.budget.work((args[0].items().len() + args.len()) * 32)?;
    let items = args[0].items().iter().chain(&args[1..]).cloned().collect();
    Value::list(&ANY_LIST, items).if_shallow()
}

fn dict(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    call.budget.work(args.len() * 64)?;
    if !args.len().is_multiple_of(2) {
        return Err("dict requires an even number of arguments".to_owned());
    }
    let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for pair in args.chunks_exact(2) {
        match &pair[0] {
            Value::Text(name) => entries.insert(name.clone(), pair[1].clone()),
            _ => return Err("dict keys must be strings".to_owned()),
        };
    }
    Value::map(entries).if_shallow()
}

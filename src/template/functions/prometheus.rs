//! The functions of Prometheus' alert templates.
//!
//! Source: Prometheus' documentation, "Template reference"; `template/template.go` for what it
//! leaves open.

use std::net::IpAddr;

use super::case::{lower, upper};
use super::humanize::{four_digits, to_float, to_time};
use super::humanize::{humanize, humanize_1024, humanize_duration, humanize_timestamp};
use super::text_at;
use super::title::{Others, title};
use super::{Call, Function, Param, QuerySample, SampleValue, html_text, matches, replace_all};
use crate::model::parse_duration_ms;
use crate::template::value::{Safe, TEXT_MAP, Type, Value, plain};

const TEXT: &[Param] = &[Param::Text];
const ANY: &[Param] = &[Param::Any];
const RESULT: Param = Param::Of("template.queryResult");
const SAMPLE: Param = Param::Of("*template.sample");

static RESULT_TYPE: Type = plain("template.queryResult");
static SAMPLE_TYPE: Type = plain("*template.sample");

/// All of them.
pub static FUNCTIONS: &[Function] = &[
    one("query", TEXT, query),
    one("first", &[RESULT], first),
    one("label", &[Param::Text, SAMPLE], |_, a| Ok(label(&a[1], text_at(a, 0)))),
    one("value", &[SAMPLE], |_, a| Ok(field(&a[0], "Value"))),
    one("strvalue", &[SAMPLE], |_, a| Ok(label(&a[0], "__value__"))),
    one("sortByLabel", &[Param::Text, RESULT], sort_by_label),
    Function { name: "args", params: &[], rest: Some(Param::Any), call: args },
    one("safeHtml", TEXT, |_, a| Ok(Value::Safe(Safe::Html, text_at(a, 0).into()))),
    one("externalURL", &[], |c, _| Ok(c.host.external_url().into())),
    one("pathPrefix", &[], |c, _| Ok(path_of(c.host.external_url()).into())),
    one("title", TEXT, |c, a| c.produced(title(text_at(a, 0), Others::Kept))),
    one("toUpper", TEXT, |c, a| c.produced(upper(text_at(a, 0)))),
    one("toLower", TEXT, |c, a| c.produced(lower(text_at(a, 0)))),
    one("match", &[Param::Text, Param::Text], matches),
    one("reReplaceAll", &[Param::Text, Param::Text, Param::Text], replace_all),
    one("graphLink", TEXT, |c, a| link(c, text_at(a, 0), 0)),
    one("tableLink", TEXT, |c, a| link(c, text_at(a, 0), 1)),
    one("urlQueryEscape", TEXT, |c, a| c.produced(html_text::query(text_at(a, 0)))),
    one("stripPort", TEXT, |c, a| c.produced(strip_port(text_at(a, 0)).to_owned())),
    one("stripDomain", TEXT, |c, a| c.produced(strip_domain(text_at(a, 0)))),
    one("humanize", ANY, |_, a| Ok(humanize(to_float(&a[0])?).into())),
    one("humanize1024", ANY, |_, a| Ok(humanize_1024(to_float(&a[0])?).into())),
    one("humanizeDuration", ANY, |_, a| Ok(humanize_duration(to_float(&a[0])?).into())),
    one("humanizePercentage", ANY, |_, a| {
        Ok(format!("{}%", four_digits(to_float(&a[0])? * 100.0)).into())
    }),
    one("humanizeTimestamp", ANY, |_, a| Ok(humanize_timestamp(to_float(&a[0])?)?.into())),
    one("toTime", ANY, |_, a| Ok(Value::Time(to_time(to_float(&a[0])?)?.into()))),
    one("toDuration", ANY, |_, a| Ok(Value::Duration((to_float(&a[0])? * 1e9) as i64))),
    one("now", &[], |c, _| Ok(c.host.now().as_secs_f64().into())),
    one("parseDuration", TEXT, parse_duration),
];

const fn one(
    name: &'static str,
    params: &'static [Param],
    call: fn(&mut Call<'_>, &[Value]) -> Result<Value, String>,
) -> Function {
    Function { name, params, rest: None, call }
}

/// A query's result as templates see it.
fn result(samples: Vec<QuerySample>) -> Value {
    let sample = |sample: QuerySample| {
        let value = match sample.value {
            SampleValue::Float(number) => Value::Float(number),
            SampleValue::Histogram(text) => text.into(),
        };
        let labels = Value::text_map(&TEXT_MAP, sample.labels.iter());
        Value::record(&SAMPLE_TYPE, vec![("Labels", labels), ("Value", value)])
    };
    Value::list(&RESULT_TYPE, samples.into_iter().map(sample).collect())
}

fn query(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let samples = call.host.query(text_at(args, 0))?;
    let bytes = samples.iter().map(|s| s.labels.as_packed().len() + 64).sum();
    call.budget.work(bytes)?;
    Ok(result(samples))
}

fn first(_: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let first = args[0].items().first().cloned();
    first.ok_or_else(|| "first() called on vector with no elements".to_owned())
}

fn field(sample: &Value, name: &str) -> Value {
    match sample {
        Value::Record(record) => record.field(name).cloned().unwrap_or_default(),
        _ => Value::Nil,
    }
}

fn label(sample: &Value, name: &str) -> Value {
    match field(sample, "Labels") {
        Value::Map(labels) => labels.get_or_zero(name),
        _ => Value::text(""),
    }
}

fn sort_by_label(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut items = args[1].items().to_vec();
    call.budget.work(items.len() * 64)?;
    let key = |item: &Value| label(item, text_at(args, 0)).as_text().cloned();
    items.sort_by_cached_key(key);
    Ok(Value::list(&RESULT_TYPE, items))
}

fn args(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    call.budget.work(args.len() * 64)?;
    let named = args.iter().enumerate().map(|(i, v)| (format!("arg{i}").into(), v.clone()));
    Value::map(named.collect()).if_shallow()
}

fn link(call: &mut Call<'_>, expr: &str, tab: u8) -> Result<Value, String> {
    call.produced(format!("/graph?g0.expr={}&g0.tab={tab}", html_text::query(expr)))
}

/// The path of a URL, without a slash at its end.
fn path_of(url: &str) -> String {
    url::Url::parse(url).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// Host and port of `host:port` or `[host]:port`; `None` where Go's `SplitHostPort` errs.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    if let Some(inner) = host.strip_prefix('[') {
        let host = inner.strip_suffix(']')?;
        return (!host.contains(['[', ']'])).then_some((host, port));
    }
    (!host.contains([':', '[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

fn strip_port(text: &str) -> &str {
    split_host_port(text).map_or(text, |(host, _)| host)
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let short = host.split('.').next().unwrap_or(host);
    match port {
        "" => short.to_owned(),
        port if short.contains(':') => format!("[{short}]:{port}"),
        port => format!("{short}:{port}"),
    }
}

fn parse_duration(_: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let text = text_at(args, 0);
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let ms = parse_duration_ms(unsigned).map_err(|e| e.to_string())?;
    Ok(Value::Float(sign * ms as f64 / 1000.0))
}

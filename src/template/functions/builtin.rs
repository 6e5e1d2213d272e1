//! The functions that every Go template has.
//!
//! `and` and `or` do not evaluate all their arguments, so they are part of the execution.

use std::cmp::Ordering;

use super::html_text;
use super::{Call, Function, Param, text_at};
use crate::template::format;
use crate::template::html::Escaping;
use crate::template::limits::BoundedText;
use crate::template::value::{Safe, Value};

const ANY: &[Param] = &[Param::Any];
const TWO: &[Param] = &[Param::Any, Param::Any];

/// All of them.
pub static FUNCTIONS: &[Function] = &[
    Function { name: "and", params: ANY, rest: Some(Param::Any), call: lazy },
    Function { name: "or", params: ANY, rest: Some(Param::Any), call: lazy },
    Function { name: "not", params: ANY, rest: None, call: |_, a| Ok((!a[0].is_true()).into()) },
    Function { name: "call", params: ANY, rest: Some(Param::Any), call: call_value },
    Function {
        name: "html",
        params: &[],
        rest: Some(Param::Any),
        call: |c, a| escaped_as(c, a, Safe::HtmlEscaped, html_text::html),
    },
    Function {
        name: "js",
        params: &[],
        rest: Some(Param::Any),
        call: |c, a| escaped(c, a, html_text::js),
    },
    Function {
        name: "urlquery",
        params: &[],
        rest: Some(Param::Any),
        call: |c, a| escaped_as(c, a, Safe::QueryEscaped, html_text::query),
    },
    Function { name: "index", params: ANY, rest: Some(Param::Any), call: index },
    Function { name: "slice", params: ANY, rest: Some(Param::Any), call: slice },
    Function { name: "len", params: ANY, rest: None, call: len },
    Function { name: "print", params: &[], rest: Some(Param::Any), call: print },
    Function { name: "println", params: &[], rest: Some(Param::Any), call: println },
    Function { name: "printf", params: &[Param::Text], rest: Some(Param::Any), call: printf },
    Function {
        name: "eq",
        params: ANY,
        rest: Some(Param::Any),
        call: |_, a| eq(a).map(Value::Bool),
    },
    Function { name: "ne", params: TWO, rest: None, call: |_, a| Ok(Value::Bool(!eq(a)?)) },
    Function { name: "lt", params: TWO, rest: None, call: |_, a| lt(a).map(Value::Bool) },
    Function { name: "le", params: TWO, rest: None, call: |_, a| le(a).map(Value::Bool) },
    Function { name: "gt", params: TWO, rest: None, call: |_, a| Ok(Value::Bool(!le(a)?)) },
    Function { name: "ge", params: TWO, rest: None, call: |_, a| Ok(Value::Bool(!lt(a)?)) },
];

/// Never reached: the execution knows these.
fn lazy(_: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    Ok(args.last().cloned().unwrap_or_default())
}

/// No data of ours holds functions. The execution adds the name of what was to be called.
fn call_value(_: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    Err(match &args[0] {
        Value::Nil => "call of nil".to_owned(),
        other => format!("non-function of type {}", other.type_name()),
    })
}

/// All arguments as one text, escaped; in HTML it is not escaped once more.
fn escaped_as(
    call: &mut Call<'_>,
    args: &[Value],
    safe: Safe,
    with: fn(&str) -> String,
) -> Result<Value, String> {
    let text = escaped(call, args, with)?;
    match (call.escaping, text) {
        (Escaping::Html, Value::Text(text)) => Ok(Value::Safe(safe, text)),
        (_, text) => Ok(text),
    }
}

fn escaped(call: &mut Call<'_>, args: &[Value], with: fn(&str) -> String) -> Result<Value, String> {
    let text = sprint(call, args)?;
    call.budget.work(text.len())?;
    call.produced(with(&text))
}

/// All arguments as one text.
fn sprint(call: &mut Call<'_>, args: &[Value]) -> Result<String, String> {
    let mut out = call.text();
    match args {
        [Value::Text(text)] => out.push(text)?,
        args => {
            let named = |value: &Value| match value {
                Value::Nil => Value::text("<no value>"),
                other => other.clone(),
            };
            format::sprint(&mut out, &args.iter().map(named).collect::<Vec<_>>())?;
        }
    }
    Ok(out.into_string())
}

fn print(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut out = call.text();
    format::sprint(&mut out, args)?;
    call.finish(out)
}

fn println(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut out = call.text();
    format::sprintln(&mut out, args)?;
    call.finish(out)
}

fn printf(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut out = call.text();
    format::sprintf(&mut out, text_at(args, 0), &args[1..])?;
    call.finish(out)
}

fn len(_: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let count = match &args[0] {
        Value::Text(text) | Value::Safe(_, text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// A position of at most `max`.
fn position(index: &Value, max: usize) -> Result<usize, String> {
    let Some(n) = index.as_int() else {
        return Err(match index {
            Value::Nil => "cannot index slice/array with nil".to_owned(),
            other => format!("cannot index slice/array with type {}", other.type_name()),
        });
    };
    let fits = usize::try_from(n).ok().filter(|n| *n <= max);
    fits.ok_or_else(|| format!("index out of range: {n}"))
}

fn index(_: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let mut item = args[0].clone();
    if let Value::Nil = item {
        return Err("index of untyped nil".to_owned());
    }
    for by in &args[1..] {
        item = index_once(&item, by)?;
    }
    Ok(item)
}

fn index_once(item: &Value, by: &Value) -> Result<Value, String> {
    match item {
        Value::List(list) => {
            let at = position(by, list.items.len())?;
            list.items.get(at).cloned().ok_or_else(|| {
                // As Go's reflection says it, whose check lets the length itself pass.
                "reflect: slice index out of range".to_owned()
            })
        }
        Value::Text(text) | Value::Safe(_, text) => {
            let at = position(by, text.len())?;
            let byte = text.as_bytes().get(at);
            byte.map(|b| Value::Int(i64::from(*b)))
                .ok_or_else(|| "reflect: string index out of range".to_owned())
        }
        Value::Map(map) => match by {
            Value::Text(name) => Ok(map.get_or_zero(name)),
            Value::Nil => Err("value is nil; should be of type string".to_owned()),
            other => Err(format!("value has type {}; should be string", other.type_name())),
        },
        Value::Nil => Err("index of nil pointer".to_owned()),
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

fn slice(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let (item, indexes) = (&args[0], &args[1..]);
    if let Value::Nil = item {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let length = match item {
        Value::Text(_) | Value::Safe(..) if indexes.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::Text(text) | Value::Safe(_, text) => text.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, length)?;
    }
    let [from, to, cap] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if indexes.len() == 3 && to > cap {
        return Err(format!("invalid slice index: {to} > {cap}"));
    }
    match item {
        Value::List(list) => {
            call.budget.work((to - from) * size_of::<Value>())?;
            Ok(Value::list(list.of, list.items[from..to].to_vec()))
        }
        other => {
            let bytes = other.as_text().map_or(&[][..], |text| text.as_bytes());
            call.produced(String::from_utf8_lossy(&bytes[from..to]).into_owned())
        }
    }
}

/// How Go groups values when it compares them.
#[derive(PartialEq)]
enum Basic {
    Bool,
    Int,
    Float,
    Text,
    None,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(_) | Value::Duration(_) | Value::Named(..) => Basic::Int,
        Value::Float(_) => Basic::Float,
        Value::Text(_) | Value::Safe(..) => Basic::Text,
        _ => Basic::None,
    }
}

fn incompatible<T>(a: &Value, b: &Value) -> Result<T, String> {
    let (a, b) = (a.type_name(), b.type_name());
    Err(format!("incompatible types for comparison: {a} and {b}"))
}

/// The order of two values of one basic type.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => match (a.as_text(), b.as_text()) {
            (Some(a), Some(b)) => Some(a.cmp(b)),
            _ => Some(a.as_int()?.cmp(&b.as_int()?)),
        },
    }
}

/// Whether the first equals any of the others.
fn eq(args: &[Value]) -> Result<bool, String> {
    let (first, others) = args.split_first().expect("BUG: eq has a parameter");
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        let is_equal = match (basic(first), basic(other)) {
            (Basic::None, Basic::None) => eq_other(first, other)?,
            (a, b) if a == b => order(first, other) == Some(Ordering::Equal),
            _ if matches!(first, Value::Nil) || matches!(other, Value::Nil) => false,
            _ => return incompatible(first, other),
        };
        if is_equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn eq_other(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        _ if std::mem::discriminant(a) != std::mem::discriminant(b) => {
            let (a_type, b_type) = (a.type_name(), b.type_name());
            let (a, b) = (shown(a, "%s"), shown(b, "%v"));
            Err(format!("non-comparable types {a}: {a_type}, {b_type}: {b}"))
        }
        _ => Err(format!("non-comparable type {}: {}", shown(b, "%s"), b.type_name())),
    }
}

/// Longest text of a value in an error.
const SHOWN_BYTES_MAX: usize = 1000;

fn shown(value: &Value, verb: &str) -> String {
    let mut out = BoundedText::new(SHOWN_BYTES_MAX);
    match format::sprintf(&mut out, verb, std::slice::from_ref(value)) {
        Ok(()) => out.into_string(),
        Err(_) => "...".to_owned(),
    }
}

fn lt(args: &[Value]) -> Result<bool, String> {
    const INVALID: &str = "invalid type for comparison";
    match (basic(&args[0]), basic(&args[1])) {
        (Basic::None, _) | (_, Basic::None) => Err(INVALID.to_owned()),
        (a, b) if a != b => incompatible(&args[0], &args[1]),
        (Basic::Bool, _) => Err(INVALID.to_owned()),
        _ => Ok(order(&args[0], &args[1]) == Some(Ordering::Less)),
    }
}

fn le(args: &[Value]) -> Result<bool, String> {
    Ok(lt(args)? || eq(args)?)
}

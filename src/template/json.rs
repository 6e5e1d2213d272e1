//! Values as JSON, as Go's `encoding/json` writes them.

use super::float_text;
use super::limits::BoundedText;
use super::value::Value;

/// `value` as JSON: names sorted as in the value, `<`, `>` and `&` escaped.
///
/// # Errors
/// A sentence when a number is none, or the limit is passed.
pub fn write(out: &mut BoundedText, value: &Value) -> Result<(), String> {
    match value {
        Value::Nil => out.push("null")?,
        Value::Bool(value) => out.push(if *value { "true" } else { "false" })?,
        Value::Int(n) | Value::Duration(n) | Value::Named(_, n, _) => out.push(&n.to_string())?,
        Value::Float(number) => out.push(&float(*number)?)?,
        Value::Text(text) | Value::Safe(_, text) => out.push(&quoted(text))?,
        Value::Time(time) => {
            let mut text = BoundedText::new(64);
            time.format(&mut text, "2006-01-02T15:04:05.999999999Z07:00")?;
            out.push(&quoted(text.as_str()))?;
        }
        Value::List(list) => {
            out.push("[")?;
            for (i, item) in list.items.iter().enumerate() {
                out.push(if i > 0 { "," } else { "" })?;
                write(out, item)?;
            }
            out.push("]")?;
        }
        Value::Map(map) => members(out, map.entries.iter().map(|(n, v)| (n.to_string(), v)))?,
        Value::Record(record) => {
            let name = |name: &str| if record.of.is_camel { camel(name) } else { name.to_owned() };
            members(out, record.fields.iter().map(|(n, v)| (name(n), v)))?;
        }
    }
    Ok(())
}

fn members<'a>(
    out: &mut BoundedText,
    members: impl Iterator<Item = (String, &'a Value)>,
) -> Result<(), String> {
    out.push("{")?;
    for (i, (name, value)) in members.enumerate() {
        out.push(if i > 0 { "," } else { "" })?;
        out.push(&quoted(&name))?;
        out.push(":")?;
        write(out, value)?;
    }
    Ok(out.push("}")?)
}

/// `StartsAt` as `startsAt`; the one name with an underscore is Alertmanager's.
fn camel(name: &str) -> String {
    if name == "NotificationReason" {
        return "notification_reason".to_owned();
    }
    let mut chars = name.chars();
    chars.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

fn float(number: f64) -> Result<String, String> {
    if !number.is_finite() {
        let name = if number.is_nan() { "NaN" } else { "infinity" };
        return Err(format!("json: unsupported value: {name}"));
    }
    let magnitude = number.abs();
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = float_text::exponent(magnitude, None);
        return Ok(format!("{sign}{}", text.replace("e-0", "e-")));
    }
    Ok(format!("{sign}{}", float_text::fixed(magnitude, None)))
}

/// `text` in quotes, escaped as Go escapes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            c if c < ' ' || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

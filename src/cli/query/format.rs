//! The API's `data` as a table or as CSV.

use serde_json::Value;

/// Rows of cells below a header.
struct Rows {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// Columns aligned for people; without a header when there is one column.
pub(super) fn table(data: &Value) -> String {
    let Rows { header, rows } = rows(data);
    let mut out = String::new();
    if header.len() == 1 {
        for row in rows {
            out += &format!("{}\n", row.join(" "));
        }
        return out;
    }
    let header: Vec<String> = header.into_iter().map(str::to_uppercase).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|i| rows.iter().chain([&header]).map(|row| row[i].chars().count()).max().unwrap_or(0))
        .collect();
    for row in [&header].into_iter().chain(&rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out += cells.join("  ").trim_end();
        out.push('\n');
    }
    out
}

/// Comma-separated values, quoted where needed (RFC 4180).
pub(super) fn csv(data: &Value) -> String {
    let Rows { header, rows } = rows(data);
    let mut out = header.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
        out += &(cells.join(",") + "\n");
    }
    out
}

/// A line for each part of an explained expression, indented below its parent.
fn parts(part: &Value, depth: usize, rows: &mut Vec<Vec<String>>) {
    let expression = part["expression"].as_str().unwrap_or_default();
    let number = |name: &str| part[name].to_string();
    let seconds = part["evalTime"].as_f64().unwrap_or_default();
    rows.push(vec![
        format!("{}{expression}", "  ".repeat(depth)),
        number("series"),
        number("points"),
        number("samples"),
        format!("{seconds:.6}"),
    ]);
    let children = part["children"].as_array().into_iter().flatten();
    children.for_each(|child| parts(child, depth + 1, rows));
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

fn rows(data: &Value) -> Rows {
    if data["expression"].is_string() {
        let mut rows = Vec::new();
        parts(data, 0, &mut rows);
        let header = vec!["expression", "series", "points", "samples", "seconds"];
        return Rows { header, rows };
    }
    match data["resultType"].as_str() {
        Some("scalar" | "string") => {
            Rows { header: vec!["time", "value"], rows: vec![point(&data["result"])] }
        }
        Some(_) => Rows { header: vec!["series", "time", "value"], rows: results(&data["result"]) },
        None => list(data),
    }
}

/// Series of a vector (`value`, `histogram`) or a matrix (`values`, `histograms`).
fn results(result: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for series in result.as_array().into_iter().flatten() {
        let name = series_text(&series["metric"]);
        let single = [&series["value"], &series["histogram"]].into_iter().filter(|v| v.is_array());
        let many = ["values", "histograms"].into_iter().filter_map(|key| series[key].as_array());
        for value in single.chain(many.flatten()) {
            let mut row = vec![name.clone()];
            row.extend(point(value));
            rows.push(row);
        }
    }
    rows
}

/// `[time, value]` as two cells.
fn point(value: &Value) -> Vec<String> {
    vec![text(&value[0]), text(&value[1])]
}

/// Label names, label values, or label sets.
fn list(data: &Value) -> Rows {
    let items = data.as_array().into_iter().flatten();
    let rows = items.map(|item| match item {
        Value::Object(_) => vec![series_text(item)],
        other => vec![text(other)],
    });
    let rows: Vec<_> = rows.collect();
    let is_series = data.as_array().is_some_and(|items| items.iter().any(Value::is_object));
    Rows { header: vec![if is_series { "series" } else { "label" }], rows }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A label set as PromQL writes it: `name{label="value"}`.
fn series_text(metric: &Value) -> String {
    let labels = metric.as_object();
    let name = metric["__name__"].as_str().unwrap_or_default();
    let pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter(|(label, _)| *label != "__name__")
        .map(|(label, value)| format!("{label}={:?}", value.as_str().unwrap_or_default()))
        .collect();
    match (name.is_empty(), pairs.is_empty()) {
        (false, true) => name.to_owned(),
        _ => format!("{name}{{{}}}", pairs.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_vector_becomes_columns() {
        let data = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a,b"}, "value": [1.5, "1"]},
            {"metric": {}, "value": [1.5, "20"]},
        ]});
        let expected =
            "SERIES         TIME  VALUE\nup{job=\"a,b\"}  1.5   1\n{}             1.5   20\n";
        assert_eq!(table(&data), expected);
        let expected = "series,time,value\n\"up{job=\"\"a,b\"\"}\",1.5,1\n{},1.5,20\n";
        assert_eq!(csv(&data), expected);
    }

    #[test]
    fn an_explanation_is_indented() {
        let leaf = json!({"expression": "up", "series": 2, "points": 2, "samples": 2,
            "evalTime": 0.25, "children": []});
        let tree = json!({"expression": "sum(up)", "series": 1, "points": 1, "samples": 2,
            "evalTime": 0.5, "children": [leaf]});
        let expected = "EXPRESSION  SERIES  POINTS  SAMPLES  SECONDS\n\
                        sum(up)     1       1       2        0.500000\n  \
                        up        2       2       2        0.250000\n";
        assert_eq!(table(&tree), expected);
    }

    #[test]
    fn a_matrix_has_a_row_a_point() {
        let data = json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up"}, "values": [[1, "1"], [2, "0"]]},
        ]});
        assert_eq!(csv(&data), "series,time,value\nup,1,1\nup,2,0\n");
    }

    #[test]
    fn scalars_and_lists_are_plain() {
        let scalar = json!({"resultType": "scalar", "result": [1, "2"]});
        assert_eq!(csv(&scalar), "time,value\n1,2\n");
        assert_eq!(table(&json!(["a", "b"])), "a\nb\n");
        assert_eq!(table(&json!([{"__name__": "up", "x": "y"}])), "up{x=\"y\"}\n");
        assert_eq!(csv(&json!([])), "label\n");
    }
}

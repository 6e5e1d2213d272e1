//! What is newest in the language, or needs series that the reference evaluator has not: only a
//! Prometheus server can be asked about it.

use super::generate::Generator;

/// Words that only these expressions have.
const WORDS: &[&str] = &[
    "nhi", "nhcb", "gauges", "kinds", "_info", "info(", "fill", "smoothed", "anchored", "limit",
    "</", ">/",
];
const SELECTORS: &[&str] = &[
    "nhi",
    "nhcb",
    "gauges",
    r#"nhcb{instance="1"}"#,
    r#"nhi{job="a"}"#,
    r#"{__name__=~"nhi|nhcb"}"#,
    r#"{__name__=~"g|nhi", job="a"}"#,
    "kinds",
    "target_info",
];
const DURATIONS: &[&str] = &[
    "step()",
    "2 * step()",
    "1m + step()",
    "max_of(step(), 30s)",
    "min_of(2m, range())",
    "-(-60)",
    "1m * 1.5",
    "(10 + 20)",
    "range() / 4",
    "2 ^ 5",
    "5m % 2m",
];
const EDGED: &[&str] = &["rate", "increase", "delta"];
const INFO: &[&str] = &[
    "",
    r#", {version=~".+"}"#,
    r#", {__name__="build_info"}"#,
    r#", {__name__=~".+_info"}"#,
    r#", {env="prod"}"#,
    r#", {env=~"prod|"}"#,
    r#", {__name__!="target_info"}"#,
];

/// Whether the reference evaluator does not know what `query` asks.
#[allow(dead_code)] // only the comparison with a server asks
pub fn is_newest(query: &str) -> bool {
    WORDS.iter().any(|word| query.contains(word))
}

impl Generator<'_, '_> {
    /// Such an expression, with any others in it.
    pub(super) fn newest(&mut self, depth: usize) -> String {
        match self.dice.below(8) {
            0 => self.newest_selector(),
            1 => self.edges(),
            2 => {
                let (name, duration) = (
                    self.dice.pick(&["rate", "sum_over_time", "resets", "avg_over_time"]),
                    self.duration(),
                );
                format!("{name}({}[{duration}])", self.newest_selector())
            }
            3 => self.filled(depth),
            4 => {
                let vector = self.vector(depth);
                format!("info({vector}{})", self.dice.pick(INFO))
            }
            5 => self.limited(depth),
            6 => {
                let op = self.dice.pick(&["</", ">/"]);
                let vector = self.newest_selector();
                format!("({vector}) {op} {}", self.dice.pick(&["0.7", "1", "0", "3", "-1", "Inf"]))
            }
            _ => self.of_histograms(),
        }
    }

    fn newest_selector(&mut self) -> String {
        let smoothed = if self.dice.once_in(6) { " smoothed" } else { "" };
        format!("{}{smoothed}{}", self.dice.pick(SELECTORS), self.modifiers())
    }

    fn duration(&mut self) -> &'static str {
        self.dice.pick(DURATIONS)
    }

    fn edges(&mut self) -> String {
        let any = self.dice.once_in(6);
        let name =
            self.dice.pick(if any { &["changes", "resets", "sum_over_time"] } else { EDGED });
        let range = self.dice.pick(&["1m", "30s", "2m", "10s", "45s"]);
        let edge = self.dice.pick(&["anchored", "smoothed"]);
        let series =
            self.dice.pick(&["c_total", "g", "nhi", "gauges", "h_bucket", "nhcb", "kinds"]);
        format!("{name}({series}[{range}] {edge}{})", self.modifiers())
    }

    fn filled(&mut self, depth: usize) -> String {
        let left = self.vector(depth);
        let right = if self.dice.once_in(3) { left.clone() } else { self.vector(depth) };
        let op = self.dice.pick(&["+", "-", "*", "/", ">", "== bool", "atan2", "</", "^"]);
        let on = self.dice.pick(&["", " on(job, instance)", " on(job)", " ignoring(le)"]);
        let side = match on {
            "" => "",
            _ => self.dice.pick(&["", "", " group_left()", " group_right()"]),
        };
        let fill = self.dice.pick(&[
            "fill(0)",
            "fill_left(1)",
            "fill_right(2)",
            "fill_left(1) fill_right(NaN)",
        ]);
        format!("({left}) {op}{on}{side} {fill} ({right})")
    }

    /// Which series `limitk` takes is open: all, none, or how many.
    fn limited(&mut self, depth: usize) -> String {
        let (grouping, vector) = (self.grouping(), self.vector(depth));
        match self.dice.below(4) {
            0 => format!("limitk{grouping}(100, {vector})"),
            1 => format!("limitk{grouping}(0, {vector})"),
            2 => format!("count(limitk{grouping}(2, {vector}))"),
            _ => {
                let ratio = self.dice.pick(&["0.5", "-0.5", "0.3", "-0.7", "1", "-1", "0", "1.5"]);
                format!("limit_ratio{grouping}({ratio}, {vector})")
            }
        }
    }

    fn of_histograms(&mut self) -> String {
        let range = self.dice.pick(&["30s", "1m", "2m"]);
        let series = self.dice.pick(&["nhi", "nhcb", "kinds", "gauges"]);
        let vector = match self.dice.below(5) {
            0 => series.to_owned(),
            1 => format!("sum(rate({series}[{range}]))"),
            2 => format!("sum by (job) (increase({series}[{range}]))"),
            3 => format!("avg_over_time({series}[{range}])"),
            _ => format!("rate({series}[{range}])"),
        };
        let phi = self.dice.pick(&["0.5", "0.9", "0", "1", "-1", "NaN"]);
        match self.dice.below(7) {
            0 => format!("histogram_quantile({phi}, {vector})"),
            1 => {
                format!("histogram_fraction({}, 2, {vector})", self.dice.pick(&["0", "-1", "-Inf"]))
            }
            2 => format!("histogram_stddev({vector})"),
            3 => format!("histogram_avg({vector})"),
            4 => format!("histogram_count({vector})"),
            5 => format!(r#"histogram_quantiles({vector}, "q", 0.5, {phi})"#),
            _ => format!("histogram_sum({vector})"),
        }
    }
}

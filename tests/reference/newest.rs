//! What is newest in the language, and series that the reference evaluator has not: about those
//! only a Prometheus server can be asked.

use super::generate::Generator;

/// Words that only expressions about these have.
const WORDS: &[&str] = &["nhi", "nhcb", "gauges", "kinds", "started"];
/// Words that only the newest expressions have.
const NEWEST_WORDS: &[&str] =
    &["_info", "info(", "fill", "smoothed", "anchored", "limit", "</", ">/"];
/// Series that the reference evaluator has, too.
const KNOWN: &[&str] = &[
    "g",
    "c_total",
    "nh",
    "mixed",
    "target_info",
    r#"nh{job="a"}"#,
    "nhcb",
    "nhcb",
    r#"nhcb{instance="1"}"#,
    "gauges",
    "kinds",
    r#"{__name__="nhcb", job=~".+"}"#,
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
    "started_total",
    "started_nh",
];
const STARTED: &[&str] = &["started_total", "started_nh", r#"{__name__=~"started_.+"}"#];
const OVER_STARTED: &[&str] = &["rate", "increase", "irate", "resets", "rate", "delta", "idelta"];
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
const OFFSETS: &[&str] = &[
    " offset (step())",
    " offset -step()",
    " offset (30s - 1m)",
    " offset max_of(10s, step())",
    " offset -(10)",
    " offset 1m30s",
];
const STEPS: &[&str] = &["step()", "max_of(step(), 10s)", "2 * 10s", "(5 + 5)", "range() / 40"];
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

/// Whether the reference evaluator does not know the series that `query` asks about.
#[allow(dead_code)] // only the comparison with a server asks
pub fn is_unknown(query: &str) -> bool {
    WORDS.iter().any(|word| query.contains(word))
}

/// Whether `query` is of what is newest.
#[allow(dead_code)] // only the comparison with a server asks
pub fn is_newest(query: &str) -> bool {
    is_unknown(query) || NEWEST_WORDS.iter().any(|word| query.contains(word))
}

impl Generator<'_, '_> {
    /// Such an expression, with any others in it.
    pub(super) fn newest(&mut self, depth: usize) -> String {
        let kinds = if self.has_started_series() { 9 } else { 8 };
        match self.dice.below(kinds) {
            0 => self.newest_selector(),
            8 => self.started(),
            1 => self.edges(),
            2 => {
                let name = self.dice.pick(&["rate", "sum_over_time", "resets", "avg_over_time"]);
                let series = self.series();
                format!("{name}({series}[{}]{})", self.duration(), self.modifiers())
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
        format!("{}{smoothed}{}", self.series(), self.modifiers())
    }

    fn series(&mut self) -> &'static str {
        self.dice.pick(if self.has_all_series() { SELECTORS } else { KNOWN })
    }

    fn duration(&mut self) -> &'static str {
        self.dice.pick(DURATIONS)
    }

    pub(super) fn subquery_step(&mut self) -> &'static str {
        self.dice.pick(STEPS)
    }

    pub(super) fn offset(&mut self) -> &'static str {
        self.dice.pick(OFFSETS)
    }

    pub(super) fn newest_scalar(&mut self, depth: usize) -> String {
        match self.dice.below(6) {
            0 => "start()".to_owned(),
            1 => "end()".to_owned(),
            2 => "range()".to_owned(),
            3 => "step()".to_owned(),
            4 => format!("max_of({}, {})", self.scalar(depth), self.scalar(depth)),
            _ => format!("min_of({}, {})", self.scalar(depth), self.scalar(depth)),
        }
    }

    fn edges(&mut self) -> String {
        let any = self.dice.once_in(6);
        let name =
            self.dice.pick(if any { &["changes", "resets", "sum_over_time"] } else { EDGED });
        let range = self.dice.pick(&["1m", "30s", "2m", "10s", "45s"]);
        let edge = self.dice.pick(&["anchored", "smoothed"]);
        let all: &[&str] = &["c_total", "g", "nhi", "gauges", "h_bucket", "nhcb", "kinds"];
        let known: &[&str] = &["c_total", "g", "h_bucket", "one", "nh", "nhcb", "kinds"];
        let series = self.dice.pick(if self.has_all_series() { all } else { known });
        format!("{name}({series}[{range}] {edge}{})", self.modifiers())
    }

    /// Of counters with start timestamps.
    fn started(&mut self) -> String {
        let known = if self.has_all_series() { STARTED } else { &STARTED[..2] };
        let series = self.dice.pick(known);
        if self.dice.once_in(5) {
            return format!("start_timestamp({series}{})", self.modifiers());
        }
        let name = self.dice.pick(OVER_STARTED);
        let range = self.dice.pick(&["1m", "30s", "2m", "45s", "5m", "20s"]);
        let call = format!("{name}({series}[{range}]{})", self.modifiers());
        if self.dice.once_in(4) { format!("sum by (job) ({call})") } else { call }
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
        let all: &[&str] = &["nhi", "nhcb", "kinds", "gauges"];
        let known: &[&str] = &["nh", "mixed", "nhcb", "gauges", "kinds", "nhcb"];
        let series = self.dice.pick(if self.has_all_series() { all } else { known });
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

//! Random expressions that parse and type-check.
//!
//! They ask about the series of [`super::data`]. The first of several choices is always the simplest
//! one, so that an exhausted [`Dice`] ends the expression.

use super::dice::Dice;

/// What the expressions may use.
#[derive(Clone, Debug)]
pub struct Language {
    /// Functions marked experimental, and those younger than Prometheus 2.42.
    pub young: bool,
    /// Subqueries within subqueries: their times fall on each other's edges.
    pub nested_subqueries: bool,
    /// Series of native histograms.
    pub histograms: bool,
    /// What is newest ([`super::newest`]).
    pub newest: bool,
    /// Series that the reference evaluator has not.
    pub all_series: bool,
    /// Series with start timestamps.
    pub started: bool,
    /// Times for `@`, in seconds.
    pub times: [String; 3],
}

/// How deep an expression may be.
const DEPTH_MAX: usize = 4;

/// One expression.
pub fn expression(dice: &mut Dice<'_>, language: &Language) -> String {
    let mut generator = Generator { dice, language, subqueries: 0 };
    let depth = 1 + generator.dice.below(DEPTH_MAX);
    if generator.dice.once_in(20) { generator.scalar(depth) } else { generator.vector(depth) }
}

pub(super) struct Generator<'d, 'b> {
    pub(super) dice: &'d mut Dice<'b>,
    language: &'d Language,
    /// Subqueries around this place.
    subqueries: usize,
}

const RANGES: &[&str] = &["30s", "1m", "2m", "45s", "5m", "10s", "20s"];
const LABELS: &[&str] = &["job", "instance", "le", "__name__"];
const NUMBERS: &[&str] = &["1", "0", "2", "0.5", "-1", "3", "10", "NaN", "Inf", "-Inf", "1e3"];
const SELECTORS: &[&str] = &[
    "g",
    "c_total",
    r#"c_total{job="a"}"#,
    r#"g{job!="a"}"#,
    "one",
    "h_bucket",
    r#"g{instance=~"1|2"}"#,
    r#"c_total{instance!~"1"}"#,
    r#"g{job="nosuch"}"#,
    r#"{__name__="g", job=~".+"}"#,
    r#"h_bucket{le!="+Inf"}"#,
    r#"one{job="b"}"#,
];
const MATH: &[&str] = &[
    "abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "sin", "cos", "tan",
    "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad",
];
const DATES: &[&str] = &[
    "minute",
    "hour",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "days_in_month",
    "month",
    "year",
];
const OVER_TIME: &[&str] = &[
    "rate",
    "increase",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "delta",
    "idelta",
    "irate",
    "changes",
    "resets",
    "deriv",
    "stddev_over_time",
    "stdvar_over_time",
    "present_over_time",
    "absent_over_time",
];
const YOUNG_OVER_TIME: &[&str] = &[
    "first_over_time",
    "mad_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_min_over_time",
    "ts_of_max_over_time",
];
const AGGREGATES: &[&str] = &["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];

impl Language {
    /// All of it that the reference evaluator knows.
    pub fn of_reference() -> Language {
        let times = ["1300", "1450.5", "1555"].map(str::to_owned);
        Language {
            young: true,
            nested_subqueries: true,
            histograms: true,
            newest: true,
            all_series: false,
            started: true,
            times,
        }
    }
}

impl Generator<'_, '_> {
    /// Whether there are series that the reference evaluator has not.
    pub(super) fn has_all_series(&self) -> bool {
        self.language.all_series
    }

    /// Whether there are series with start timestamps.
    pub(super) fn has_started_series(&self) -> bool {
        self.language.started
    }

    pub(super) fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.dice.pick(NUMBERS).to_owned();
        }
        if self.language.newest && self.dice.once_in(8) {
            return self.newest_scalar(depth - 1);
        }
        match self.dice.below(7) {
            0 | 1 => self.dice.pick(NUMBERS).to_owned(),
            2 => "time()".to_owned(),
            3 => format!("scalar({})", self.vector(depth - 1)),
            4 => {
                let op = self.dice.pick(&["+", "-", "*", "/", "%", "^", "atan2"]);
                format!("({} {op} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            5 => {
                let op = self.dice.pick(&["==", "!=", "<", ">", "<=", ">="]);
                format!("({} {op} bool {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            _ => format!("(-{})", self.scalar(depth - 1)),
        }
    }

    fn selector(&mut self) -> String {
        let name = if self.language.histograms && self.dice.once_in(4) {
            self.dice.pick(&["nh", r#"nh{job="a"}"#, "mixed"])
        } else {
            self.dice.pick(SELECTORS)
        };
        name.to_owned()
    }

    /// `offset` and `@`, mostly neither.
    pub(super) fn modifiers(&mut self) -> String {
        let mut text = String::new();
        if self.dice.once_in(6) {
            text.push_str(self.dice.pick(&[" offset 10s", " offset 1m", " offset -20s"]));
        } else if self.language.newest && self.dice.once_in(20) {
            text.push_str(self.offset());
        }
        if self.dice.once_in(10) {
            let [a, b, c] = &self.language.times;
            text.push_str(" @ ");
            text.push_str(self.dice.pick(&["start()", "end()", a.as_str(), b, c]));
        }
        text
    }

    fn range_vector(&mut self, depth: usize) -> String {
        let range = self.dice.pick(RANGES);
        let subquery = self.subqueries == 0 || self.language.nested_subqueries;
        if depth == 0 || !subquery || !self.dice.once_in(4) {
            return format!("{}[{range}]{}", self.selector(), self.modifiers());
        }
        self.subqueries += 1;
        let step = self.dice.pick(&["10s", "15s", "", "7s"]);
        let computed = self.language.newest && self.dice.once_in(4);
        let step = if computed { self.subquery_step() } else { step };
        let inner = self.vector(depth - 1);
        self.subqueries -= 1;
        format!("({inner})[{range}:{step}]{}", self.modifiers())
    }

    pub(super) fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return format!("{}{}", self.selector(), self.modifiers());
        }
        let below = depth - 1;
        if self.language.newest && self.dice.once_in(3) {
            return self.newest(below);
        }
        match self.dice.below(20) {
            0 => self.vector(0),
            1..=4 => self.over_time(below),
            5..=7 => self.aggregate(below),
            8 | 9 => self.with_scalar(below),
            10..=12 => self.with_vector(below),
            13 => format!("{}({})", self.dice.pick(MATH), self.vector(below)),
            14 => format!("-({})", self.vector(below)),
            15 => self.with_parameters(below),
            16 => self.relabelled(below),
            17 => self.quantile_of_histogram(below),
            18 => format!("vector({})", self.scalar(below)),
            _ => self.rarer(below),
        }
    }

    fn over_time(&mut self, depth: usize) -> String {
        let young = self.language.young && self.dice.once_in(5);
        let name = self.dice.pick(if young { YOUNG_OVER_TIME } else { OVER_TIME });
        let range = self.range_vector(depth);
        match self.dice.below(14) {
            12 => {
                let phi = self.dice.pick(&["0.5", "0.9", "0", "1", "-1", "2", "0.25"]);
                format!("quantile_over_time({phi}, {range})")
            }
            13 => {
                let ahead = self.dice.pick(&["60", "-30", "0"]);
                format!("predict_linear({range}, {ahead})")
            }
            11 if self.language.young => {
                format!("double_exponential_smoothing({range}, 0.5, 0.3)")
            }
            _ => format!("{name}({range})"),
        }
    }

    fn labels(&mut self) -> String {
        let count = self.dice.below(3);
        let labels: Vec<&str> = (0..count).map(|_| self.dice.pick(LABELS)).collect();
        labels.join(", ")
    }

    pub(super) fn grouping(&mut self) -> String {
        match self.dice.below(5) {
            0 | 1 => String::new(),
            2 | 3 => format!(" by ({})", self.labels()),
            _ => format!(" without ({})", self.labels()),
        }
    }

    fn aggregate(&mut self, depth: usize) -> String {
        let (grouping, inner) = (self.grouping(), self.vector(depth));
        match self.dice.below(12) {
            8 => format!("topk{grouping}({}, {inner})", self.dice.pick(&["1", "2", "5", "0"])),
            9 => format!("bottomk{grouping}({}, {inner})", self.dice.pick(&["1", "2", "3"])),
            10 => {
                let phi = self.dice.pick(&["0.5", "0.9", "0", "1", "-0.1", "1.1"]);
                format!("quantile{grouping}({phi}, {inner})")
            }
            11 => format!(r#"count_values{grouping}("value", {inner})"#),
            _ => format!("{}{grouping}({inner})", self.dice.pick(AGGREGATES)),
        }
    }

    fn with_scalar(&mut self, depth: usize) -> String {
        let op = self.any_operator();
        let (vector, scalar) = (self.vector(depth), self.scalar(depth));
        if self.dice.below(2) == 0 {
            format!("({vector}) {op} {scalar}")
        } else {
            format!("{scalar} {op} ({vector})")
        }
    }

    fn any_operator(&mut self) -> String {
        if self.dice.below(2) == 0 {
            return self.dice.pick(&["+", "-", "*", "/", "%", "^", "atan2"]).to_owned();
        }
        let op = self.dice.pick(&["==", "!=", "<", ">", "<=", ">="]);
        if self.dice.below(2) == 0 { op.to_owned() } else { format!("{op} bool") }
    }

    /// An operator between two vectors. Half of the time both sides are of the same shape, so that
    /// something matches.
    fn with_vector(&mut self, depth: usize) -> String {
        let left = self.vector(depth);
        let right = match self.dice.below(4) {
            0 => left.clone(),
            1 => format!("sum by (job) ({})", self.vector(depth.saturating_sub(1))),
            _ => self.vector(depth),
        };
        let matching = self.matching();
        if self.dice.once_in(3) {
            let op = self.dice.pick(&["and", "or", "unless"]);
            return format!("({left}) {op}{matching} ({right})");
        }
        let op = self.any_operator();
        let side = match self.dice.below(6) {
            0 if !matching.is_empty() => " group_left()",
            1 if !matching.is_empty() => " group_right()",
            2 if !matching.is_empty() && !matching.contains("on(job, instance)") => {
                " group_left(instance)"
            }
            _ => "",
        };
        format!("({left}) {op}{matching}{side} ({right})")
    }

    fn matching(&mut self) -> String {
        let on = |names: &[&str]| format!(" on({})", names.join(", "));
        match self.dice.below(6) {
            0..=2 => String::new(),
            3 => on(&["job"]),
            4 => on(&["job", "instance"]),
            _ => format!(" ignoring({})", self.dice.pick(&["instance", "le", "instance, le"])),
        }
    }

    fn with_parameters(&mut self, depth: usize) -> String {
        let vector = self.vector(depth);
        match self.dice.below(5) {
            0 => format!("round({vector})"),
            1 => format!("round({vector}, {})", self.dice.pick(&["5", "0.1", "0.5", "0"])),
            2 => format!("clamp_min({vector}, {})", self.scalar(depth)),
            3 => format!("clamp_max({vector}, {})", self.scalar(depth)),
            _ => format!("clamp({vector}, {}, {})", self.scalar(depth), self.scalar(depth)),
        }
    }

    fn relabelled(&mut self, depth: usize) -> String {
        let vector = self.vector(depth);
        if self.dice.once_in(3) {
            return format!(r#"label_join({vector}, "joined", "-", "job", "instance")"#);
        }
        let target = self.dice.pick(&["new", "job", "instance"]);
        let value = self.dice.pick(&["$1", "x-$1", "", "fixed"]);
        let source = self.dice.pick(&["job", "instance", "nosuch"]);
        let pattern = self.dice.pick(&["(.*)", "a(.*)"]);
        format!(r#"label_replace({vector}, "{target}", "{value}", "{source}", "{pattern}")"#)
    }

    fn quantile_of_histogram(&mut self, depth: usize) -> String {
        let phi = self.dice.pick(&["0.9", "0.5", "0", "1", "-1", "2", "0.99"]);
        let range = self.dice.pick(RANGES);
        let buckets = match self.dice.below(4) {
            0 => "h_bucket".to_owned(),
            1 => format!("rate(h_bucket[{range}])"),
            2 => format!("sum by (le, job) (increase(h_bucket[{range}]))"),
            _ => self.vector(depth),
        };
        format!("histogram_quantile({phi}, {buckets})")
    }

    fn rarer(&mut self, depth: usize) -> String {
        match self.dice.below(8) {
            0 => format!("timestamp({})", self.vector(depth)),
            1 => format!("absent({})", self.vector(depth)),
            2 => format!("{}({})", self.dice.pick(DATES), self.vector(depth)),
            3 => format!("{}()", self.dice.pick(DATES)),
            4 if self.language.newest && self.dice.once_in(2) => {
                let name = self.dice.pick(&["sort_by_label", "sort_by_label_desc"]);
                format!(r#"{name}({}, "instance")"#, self.vector(depth))
            }
            4 => format!("sort({})", self.vector(depth)),
            5 => format!("sort_desc({})", self.vector(depth)),
            6 if self.language.histograms => {
                let name = self.dice.pick(&["count", "sum", "avg"]);
                format!("histogram_{name}({})", self.vector(depth))
            }
            _ => format!("timestamp({})", self.selector()),
        }
    }
}

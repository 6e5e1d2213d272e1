//! The functions of PromQL: one static table that parser, type check, evaluator and documentation
//! read.

use super::ast::ValueType;
use ValueType::{Matrix, Scalar, String, Vector};

/// A PromQL function.
#[derive(Debug)]
pub struct Function {
    /// Its name, case-sensitive.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats when more are allowed than are listed.
    pub args: &'static [ValueType],
    /// Fewest arguments.
    pub args_min: usize,
    /// Most arguments.
    pub args_max: usize,
    /// What it returns.
    pub returns: ValueType,
    /// Whether it is refused unless experimental functions are enabled.
    pub experimental: bool,
}

impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        self.name == other.name
    }
}

/// The function called `name`.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &FUNCTIONS[i])
}

const fn function(
    name: &'static str,
    args: &'static [ValueType],
    (args_min, args_max): (usize, usize),
    returns: ValueType,
) -> Function {
    Function { name, args, args_min, args_max, returns, experimental: false }
}

const fn experimental(
    name: &'static str,
    args: &'static [ValueType],
    range: (usize, usize),
    returns: ValueType,
) -> Function {
    Function { experimental: true, ..function(name, args, range, returns) }
}

const ANY: usize = usize::MAX;

/// All functions, ascending by name.
pub static FUNCTIONS: &[Function] = &[
    function("abs", &[Vector], (1, 1), Vector),
    function("absent", &[Vector], (1, 1), Vector),
    function("absent_over_time", &[Matrix], (1, 1), Vector),
    function("acos", &[Vector], (1, 1), Vector),
    function("acosh", &[Vector], (1, 1), Vector),
    function("asin", &[Vector], (1, 1), Vector),
    function("asinh", &[Vector], (1, 1), Vector),
    function("atan", &[Vector], (1, 1), Vector),
    function("atanh", &[Vector], (1, 1), Vector),
    function("avg_over_time", &[Matrix], (1, 1), Vector),
    function("ceil", &[Vector], (1, 1), Vector),
    function("changes", &[Matrix], (1, 1), Vector),
    function("clamp", &[Vector, Scalar, Scalar], (3, 3), Vector),
    function("clamp_max", &[Vector, Scalar], (2, 2), Vector),
    function("clamp_min", &[Vector, Scalar], (2, 2), Vector),
    function("cos", &[Vector], (1, 1), Vector),
    function("cosh", &[Vector], (1, 1), Vector),
    function("count_over_time", &[Matrix], (1, 1), Vector),
    function("day_of_month", &[Vector], (0, 1), Vector),
    function("day_of_week", &[Vector], (0, 1), Vector),
    function("day_of_year", &[Vector], (0, 1), Vector),
    function("days_in_month", &[Vector], (0, 1), Vector),
    function("deg", &[Vector], (1, 1), Vector),
    function("delta", &[Matrix], (1, 1), Vector),
    function("deriv", &[Matrix], (1, 1), Vector),
    experimental("double_exponential_smoothing", &[Matrix, Scalar, Scalar], (3, 3), Vector),
    experimental("end", &[], (0, 0), Scalar),
    function("exp", &[Vector], (1, 1), Vector),
    function("first_over_time", &[Matrix], (1, 1), Vector),
    function("floor", &[Vector], (1, 1), Vector),
    function("histogram_avg", &[Vector], (1, 1), Vector),
    function("histogram_count", &[Vector], (1, 1), Vector),
    function("histogram_fraction", &[Scalar, Scalar, Vector], (3, 3), Vector),
    function("histogram_quantile", &[Scalar, Vector], (2, 2), Vector),
    experimental("histogram_quantiles", &[Vector, String, Scalar, Scalar], (3, 12), Vector),
    function("histogram_stddev", &[Vector], (1, 1), Vector),
    function("histogram_stdvar", &[Vector], (1, 1), Vector),
    function("histogram_sum", &[Vector], (1, 1), Vector),
    function("hour", &[Vector], (0, 1), Vector),
    function("idelta", &[Matrix], (1, 1), Vector),
    function("increase", &[Matrix], (1, 1), Vector),
    experimental("info", &[Vector, Vector], (1, 2), Vector),
    function("irate", &[Matrix], (1, 1), Vector),
    function("label_join", &[Vector, String, String, String], (3, ANY), Vector),
    function("label_replace", &[Vector, String, String, String, String], (5, 5), Vector),
    function("last_over_time", &[Matrix], (1, 1), Vector),
    function("ln", &[Vector], (1, 1), Vector),
    function("log10", &[Vector], (1, 1), Vector),
    function("log2", &[Vector], (1, 1), Vector),
    experimental("mad_over_time", &[Matrix], (1, 1), Vector),
    experimental("max_of", &[Scalar, Scalar], (2, 2), Scalar),
    function("max_over_time", &[Matrix], (1, 1), Vector),
    experimental("min_of", &[Scalar, Scalar], (2, 2), Scalar),
    function("min_over_time", &[Matrix], (1, 1), Vector),
    function("minute", &[Vector], (0, 1), Vector),
    function("month", &[Vector], (0, 1), Vector),
    function("pi", &[], (0, 0), Scalar),
    function("predict_linear", &[Matrix, Scalar], (2, 2), Vector),
    function("present_over_time", &[Matrix], (1, 1), Vector),
    function("quantile_over_time", &[Scalar, Matrix], (2, 2), Vector),
    function("rad", &[Vector], (1, 1), Vector),
    experimental("range", &[], (0, 0), Scalar),
    function("rate", &[Matrix], (1, 1), Vector),
    function("resets", &[Matrix], (1, 1), Vector),
    function("round", &[Vector, Scalar], (1, 2), Vector),
    function("scalar", &[Vector], (1, 1), Scalar),
    function("sgn", &[Vector], (1, 1), Vector),
    function("sin", &[Vector], (1, 1), Vector),
    function("sinh", &[Vector], (1, 1), Vector),
    function("sort", &[Vector], (1, 1), Vector),
    experimental("sort_by_label", &[Vector, String], (1, ANY), Vector),
    experimental("sort_by_label_desc", &[Vector, String], (1, ANY), Vector),
    function("sort_desc", &[Vector], (1, 1), Vector),
    function("sqrt", &[Vector], (1, 1), Vector),
    experimental("start", &[], (0, 0), Scalar),
    experimental("start_timestamp", &[Vector], (1, 1), Vector),
    function("stddev_over_time", &[Matrix], (1, 1), Vector),
    function("stdvar_over_time", &[Matrix], (1, 1), Vector),
    experimental("step", &[], (0, 0), Scalar),
    function("sum_over_time", &[Matrix], (1, 1), Vector),
    function("tan", &[Vector], (1, 1), Vector),
    function("tanh", &[Vector], (1, 1), Vector),
    function("time", &[], (0, 0), Scalar),
    function("timestamp", &[Vector], (1, 1), Vector),
    experimental("ts_of_first_over_time", &[Matrix], (1, 1), Vector),
    experimental("ts_of_last_over_time", &[Matrix], (1, 1), Vector),
    experimental("ts_of_max_over_time", &[Matrix], (1, 1), Vector),
    experimental("ts_of_min_over_time", &[Matrix], (1, 1), Vector),
    function("vector", &[Scalar], (1, 1), Vector),
    function("year", &[Vector], (0, 1), Vector),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_so_that_find_works() {
        assert!(FUNCTIONS.windows(2).all(|w| w[0].name < w[1].name));
        assert_eq!(FUNCTIONS.len(), 90);
        assert_eq!(find("rate").map(|f| f.args), Some([Matrix].as_slice()));
        assert!(find("holt_winters").is_none());
    }
}

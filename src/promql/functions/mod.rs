//! The functions of PromQL: one static table that parser, type check, evaluator and documentation
//! read.

mod absent;
mod classic;
mod date;
pub(crate) mod extended;
pub(crate) mod extended_histogram;
mod histogram;
pub(crate) mod histogram_rate;
mod info;
pub(crate) mod labels;
mod math;
mod native;
pub(crate) mod number;
mod over_time;
pub(crate) mod rate;
mod scalar;
mod sort;
mod trend;

use crate::model::FloatHistogram;

use super::annotations::Notes;
use super::ast::{Call, ValueType};
use super::error::QueryError;
use super::eval::block::Block;
use super::eval::context::Context;
use super::eval::grid::Grid;
use super::eval::instant::Show;
use super::eval::window::RangeFunction;
use super::features::Features;
use Evaluation as Eval;
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
    /// How it is evaluated.
    pub(crate) evaluation: Evaluation,
}

/// How a function is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Evaluation {
    /// One series of samples to one row; the metric name is dropped.
    Range(RangeFunction),
    /// The same, the name stays.
    RangeKeepName(RangeFunction),
    /// Value by value; histograms are dropped.
    Math(fn(f64) -> f64),
    /// Seconds since the epoch to a part of the date; without argument, of the evaluation time.
    Date(fn(f64) -> f64),
    /// Histogram by histogram; floats are dropped.
    Histogram(fn(&FloatHistogram) -> f64),
    /// `clamp`
    Clamp,
    /// `clamp_min`
    ClampMin,
    /// `clamp_max`
    ClampMax,
    /// `round`
    Round,
    /// `timestamp` and `start_timestamp`, which look at a selector's samples.
    Timestamp(Show),
    /// To a scalar.
    Scalar(ScalarFunction),
    /// To a vector, in a way of its own.
    Vector(VectorFunction),
}

/// A function that gives one number a step.
pub(crate) type ScalarFunction =
    fn(&Context<'_>, &Call, Grid, &mut Notes) -> Result<Vec<f64>, QueryError>;
/// A function that gives a vector.
pub(crate) type VectorFunction =
    fn(&Context<'_>, &Call, Grid, &mut Notes) -> Result<Block, QueryError>;

impl Evaluation {
    /// Whether the function makes a row of a range of samples.
    pub(crate) fn is_over_range(self) -> bool {
        matches!(self, Evaluation::Range(_) | Evaluation::RangeKeepName(_))
    }

    /// Whether the function changes its first argument row by row.
    pub(crate) fn is_row_wise(self) -> bool {
        use Evaluation::{Clamp, ClampMax, ClampMin, Date, Histogram, Math, Round, Timestamp};
        matches!(
            self,
            Clamp | ClampMax | ClampMin | Date(_) | Histogram(_) | Math(_) | Round | Timestamp(_)
        )
    }
}

impl Function {
    /// Whether a query may call the function and gets a value from it.
    pub fn is_available(&self, features: &Features) -> bool {
        !self.experimental || features.experimental_functions
    }
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
    evaluation: Evaluation,
) -> Function {
    Function { name, args, args_min, args_max, returns, experimental: false, evaluation }
}

const fn experimental(
    name: &'static str,
    args: &'static [ValueType],
    range: (usize, usize),
    returns: ValueType,
    evaluation: Evaluation,
) -> Function {
    Function { experimental: true, ..function(name, args, range, returns, evaluation) }
}

const ANY: usize = usize::MAX;

/// All functions, ascending by name.
pub static FUNCTIONS: &[Function] = &[
    function("abs", &[Vector], (1, 1), Vector, Eval::Math(f64::abs)),
    function("absent", &[Vector], (1, 1), Vector, Eval::Vector(absent::absent)),
    function("absent_over_time", &[Matrix], (1, 1), Vector, Eval::Vector(absent::absent_over_time)),
    function("acos", &[Vector], (1, 1), Vector, Eval::Math(f64::acos)),
    function("acosh", &[Vector], (1, 1), Vector, Eval::Math(f64::acosh)),
    function("asin", &[Vector], (1, 1), Vector, Eval::Math(f64::asin)),
    function("asinh", &[Vector], (1, 1), Vector, Eval::Math(f64::asinh)),
    function("atan", &[Vector], (1, 1), Vector, Eval::Math(f64::atan)),
    function("atanh", &[Vector], (1, 1), Vector, Eval::Math(f64::atanh)),
    function("avg_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::avg)),
    function("ceil", &[Vector], (1, 1), Vector, Eval::Math(f64::ceil)),
    function("changes", &[Matrix], (1, 1), Vector, Eval::Range(rate::changes)),
    function("clamp", &[Vector, Scalar, Scalar], (3, 3), Vector, Eval::Clamp),
    function("clamp_max", &[Vector, Scalar], (2, 2), Vector, Eval::ClampMax),
    function("clamp_min", &[Vector, Scalar], (2, 2), Vector, Eval::ClampMin),
    function("cos", &[Vector], (1, 1), Vector, Eval::Math(f64::cos)),
    function("cosh", &[Vector], (1, 1), Vector, Eval::Math(f64::cosh)),
    function("count_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::count)),
    function("day_of_month", &[Vector], (0, 1), Vector, Eval::Date(date::day_of_month)),
    function("day_of_week", &[Vector], (0, 1), Vector, Eval::Date(date::day_of_week)),
    function("day_of_year", &[Vector], (0, 1), Vector, Eval::Date(date::day_of_year)),
    function("days_in_month", &[Vector], (0, 1), Vector, Eval::Date(date::days_in_month)),
    function("deg", &[Vector], (1, 1), Vector, Eval::Math(math::deg)),
    function("delta", &[Matrix], (1, 1), Vector, Eval::Range(rate::delta)),
    function("deriv", &[Matrix], (1, 1), Vector, Eval::Range(trend::deriv)),
    experimental(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        (3, 3),
        Vector,
        Eval::Range(trend::double_exponential_smoothing),
    ),
    experimental("end", &[], (0, 0), Scalar, Eval::Scalar(scalar::end)),
    function("exp", &[Vector], (1, 1), Vector, Eval::Math(f64::exp)),
    function("first_over_time", &[Matrix], (1, 1), Vector, Eval::RangeKeepName(over_time::first)),
    function("floor", &[Vector], (1, 1), Vector, Eval::Math(f64::floor)),
    function("histogram_avg", &[Vector], (1, 1), Vector, Eval::Histogram(|h| h.sum / h.count)),
    function("histogram_count", &[Vector], (1, 1), Vector, Eval::Histogram(|h| h.count)),
    function(
        "histogram_fraction",
        &[Scalar, Scalar, Vector],
        (3, 3),
        Vector,
        Eval::Vector(histogram::fraction),
    ),
    function(
        "histogram_quantile",
        &[Scalar, Vector],
        (2, 2),
        Vector,
        Eval::Vector(histogram::quantile),
    ),
    experimental(
        "histogram_quantiles",
        &[Vector, String, Scalar, Scalar],
        (3, 12),
        Vector,
        Eval::Vector(histogram::quantiles),
    ),
    function("histogram_stddev", &[Vector], (1, 1), Vector, Eval::Histogram(native::deviation)),
    function("histogram_stdvar", &[Vector], (1, 1), Vector, Eval::Histogram(native::variance)),
    function("histogram_sum", &[Vector], (1, 1), Vector, Eval::Histogram(|h| h.sum)),
    function("hour", &[Vector], (0, 1), Vector, Eval::Date(date::hour)),
    function("idelta", &[Matrix], (1, 1), Vector, Eval::Range(rate::idelta)),
    function("increase", &[Matrix], (1, 1), Vector, Eval::Range(rate::increase)),
    experimental("info", &[Vector, Vector], (1, 2), Vector, Eval::Vector(info::info)),
    function("irate", &[Matrix], (1, 1), Vector, Eval::Range(rate::irate)),
    function(
        "label_join",
        &[Vector, String, String, String],
        (3, ANY),
        Vector,
        Eval::Vector(labels::join),
    ),
    function(
        "label_replace",
        &[Vector, String, String, String, String],
        (5, 5),
        Vector,
        Eval::Vector(labels::replace),
    ),
    function("last_over_time", &[Matrix], (1, 1), Vector, Eval::RangeKeepName(over_time::last)),
    function("ln", &[Vector], (1, 1), Vector, Eval::Math(f64::ln)),
    function("log10", &[Vector], (1, 1), Vector, Eval::Math(f64::log10)),
    function("log2", &[Vector], (1, 1), Vector, Eval::Math(f64::log2)),
    experimental("mad_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::mad)),
    experimental("max_of", &[Scalar, Scalar], (2, 2), Scalar, Eval::Scalar(scalar::max_of)),
    function("max_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::max)),
    experimental("min_of", &[Scalar, Scalar], (2, 2), Scalar, Eval::Scalar(scalar::min_of)),
    function("min_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::min)),
    function("minute", &[Vector], (0, 1), Vector, Eval::Date(date::minute)),
    function("month", &[Vector], (0, 1), Vector, Eval::Date(date::month)),
    function("pi", &[], (0, 0), Scalar, Eval::Scalar(scalar::pi)),
    function(
        "predict_linear",
        &[Matrix, Scalar],
        (2, 2),
        Vector,
        Eval::Range(trend::predict_linear),
    ),
    function("present_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::present)),
    function(
        "quantile_over_time",
        &[Scalar, Matrix],
        (2, 2),
        Vector,
        Eval::Range(over_time::quantile),
    ),
    function("rad", &[Vector], (1, 1), Vector, Eval::Math(math::rad)),
    experimental("range", &[], (0, 0), Scalar, Eval::Scalar(scalar::range)),
    function("rate", &[Matrix], (1, 1), Vector, Eval::Range(rate::rate)),
    function("resets", &[Matrix], (1, 1), Vector, Eval::Range(rate::resets)),
    function("round", &[Vector, Scalar], (1, 2), Vector, Eval::Round),
    function("scalar", &[Vector], (1, 1), Scalar, Eval::Scalar(scalar::scalar)),
    function("sgn", &[Vector], (1, 1), Vector, Eval::Math(math::sgn)),
    function("sin", &[Vector], (1, 1), Vector, Eval::Math(f64::sin)),
    function("sinh", &[Vector], (1, 1), Vector, Eval::Math(f64::sinh)),
    function("sort", &[Vector], (1, 1), Vector, Eval::Vector(sort::ascending)),
    experimental(
        "sort_by_label",
        &[Vector, String],
        (1, ANY),
        Vector,
        Eval::Vector(sort::by_label),
    ),
    experimental(
        "sort_by_label_desc",
        &[Vector, String],
        (1, ANY),
        Vector,
        Eval::Vector(sort::by_label_descending),
    ),
    function("sort_desc", &[Vector], (1, 1), Vector, Eval::Vector(sort::descending)),
    function("sqrt", &[Vector], (1, 1), Vector, Eval::Math(f64::sqrt)),
    experimental("start", &[], (0, 0), Scalar, Eval::Scalar(scalar::start)),
    experimental(
        "start_timestamp",
        &[Vector],
        (1, 1),
        Vector,
        Eval::Timestamp(Show::StartTimestamp),
    ),
    function("stddev_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::stddev)),
    function("stdvar_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::stdvar)),
    experimental("step", &[], (0, 0), Scalar, Eval::Scalar(scalar::step)),
    function("sum_over_time", &[Matrix], (1, 1), Vector, Eval::Range(over_time::sum)),
    function("tan", &[Vector], (1, 1), Vector, Eval::Math(f64::tan)),
    function("tanh", &[Vector], (1, 1), Vector, Eval::Math(f64::tanh)),
    function("time", &[], (0, 0), Scalar, Eval::Scalar(scalar::time)),
    function("timestamp", &[Vector], (1, 1), Vector, Eval::Timestamp(Show::Timestamp)),
    experimental(
        "ts_of_first_over_time",
        &[Matrix],
        (1, 1),
        Vector,
        Eval::Range(over_time::time_of_first),
    ),
    experimental(
        "ts_of_last_over_time",
        &[Matrix],
        (1, 1),
        Vector,
        Eval::Range(over_time::time_of_last),
    ),
    experimental(
        "ts_of_max_over_time",
        &[Matrix],
        (1, 1),
        Vector,
        Eval::Range(over_time::time_of_max),
    ),
    experimental(
        "ts_of_min_over_time",
        &[Matrix],
        (1, 1),
        Vector,
        Eval::Range(over_time::time_of_min),
    ),
    function("vector", &[Scalar], (1, 1), Vector, Eval::Vector(scalar::vector)),
    function("year", &[Vector], (0, 1), Vector, Eval::Date(date::year)),
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

//! What a query returns.

use crate::model::{FloatHistogram, Labels};

/// The value of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number at one time (ms).
    Scalar {
        /// Evaluation time in ms.
        timestamp: i64,
        /// The number.
        value: f64,
    },
    /// A text at one time (ms).
    String {
        /// Evaluation time in ms.
        timestamp: i64,
        /// The text.
        value: String,
    },
    /// One point per series.
    Vector(Vec<VectorSample>),
    /// Several points per series, series sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// A float or a histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Box<FloatHistogram>),
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// Labels of the series.
    pub labels: Labels,
    /// Time in ms.
    pub timestamp: i64,
    /// The value.
    pub value: PointValue,
}

/// One series of a range vector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// Labels of the series.
    pub labels: Labels,
    /// Float points (ms, value), ascending.
    pub floats: Vec<(i64, f64)>,
    /// Histogram points (ms, value), ascending.
    pub histograms: Vec<(i64, FloatHistogram)>,
}

//! What a metric is: its type, help text and unit.

/// The type a sender declared for a metric family; numbered as in remote write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MetricType {
    /// Not declared.
    #[default]
    Unknown = 0,
    /// Only grows, or restarts at zero.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// A histogram of observations, classic or native.
    Histogram = 3,
    /// A histogram whose buckets may shrink.
    GaugeHistogram = 4,
    /// Quantiles computed by the sender.
    Summary = 5,
    /// Constant 1 with information in its labels.
    Info = 6,
    /// One series a state, 0 or 1.
    StateSet = 7,
}

impl MetricType {
    /// The type with this remote-write number; `Unknown` for a number that has no meaning yet.
    pub const fn from_number(number: i64) -> MetricType {
        match number {
            1 => MetricType::Counter,
            2 => MetricType::Gauge,
            3 => MetricType::Histogram,
            4 => MetricType::GaugeHistogram,
            5 => MetricType::Summary,
            6 => MetricType::Info,
            7 => MetricType::StateSet,
            _ => MetricType::Unknown,
        }
    }

    /// The lower-case name used by the HTTP API and the text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            MetricType::Unknown => "unknown",
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::GaugeHistogram => "gaugehistogram",
            MetricType::Summary => "summary",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
        }
    }
}

/// Metadata of one metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MetricMetadata {
    /// The declared type.
    pub metric_type: MetricType,
    /// Free text; may be empty.
    pub help: String,
    /// Unit, for example `seconds`; may be empty.
    pub unit: String,
}

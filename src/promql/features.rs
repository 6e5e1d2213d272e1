//! Switches for parts of the language that Prometheus keeps behind feature flags.

/// Which optional parts of the language are on. The default is what a bare Prometheus server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Functions and aggregators marked experimental (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// `anchored` and `smoothed` (`promql-extended-range-selectors`).
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right` (`promql-binop-fill-modifiers`).
    pub binop_fill_modifiers: bool,
    /// The metric name is dropped at the end of evaluation, not by each function
    /// (`promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// Start timestamps reveal counter resets (`use-start-timestamps`).
    pub use_start_timestamps: bool,
    /// `__type__` and `__unit__` are dropped where the metric name is (`type-and-unit-labels`).
    pub type_and_unit_labels: bool,
}

impl Features {
    /// Everything on.
    pub const fn all() -> Features {
        Features {
            experimental_functions: true,
            extended_range_selectors: true,
            binop_fill_modifiers: true,
            delayed_name_removal: true,
            use_start_timestamps: true,
            type_and_unit_labels: true,
        }
    }
}

//! What a user should know about a result although it is one: warnings and infos.

/// Warnings and infos of one query, each text once, in the order they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `PromQL warning: ... (line:col)`: the result may be wrong.
    pub warnings: Vec<String>,
    /// `PromQL info: ... (line:col)`: the result is right but perhaps not what was meant.
    pub infos: Vec<String>,
}

impl Annotations {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.infos.is_empty()
    }
}

//! What PromQL means, written once more for clarity: a generator of random well-typed expressions,
//! small data to ask about, and an evaluator that goes step by step and sample by sample.
//!
//! In: a [`dice::Dice`] (a seed, or the bytes of a fuzzer). Out: expressions as text, and what they
//! give. Never here: anything of the engine but its syntax tree; what both share could be wrong in
//! both. Used by the integration tests and by the fuzz target `promql_eval`.

pub mod aggregate;
pub mod check;
pub mod data;
pub mod dice;
pub mod evaluate;
pub mod extended;
pub mod functions;
pub mod generate;
pub mod histogram;
pub mod info;
pub mod matching;
pub mod newest;
pub mod ranges;

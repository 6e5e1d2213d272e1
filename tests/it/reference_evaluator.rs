//! The engine against the reference evaluator, on random expressions.
//!
//! `TIDEWATCH_SEED` sets the first seed, `TIDEWATCH_EXPRESSIONS` how many are tried. A failure names
//! the seed of its expression.

use super::reference::check::{Bench, Outcome};
use super::reference::dice::Dice;
use super::reference::generate::{Language, expression};

/// Expressions tried unless told otherwise.
const EXPRESSIONS_DEFAULT: u64 = 3000;
/// A number from the environment.
pub fn from_env(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
}

#[test]
fn the_engine_gives_what_the_reference_gives() {
    let first = from_env("TIDEWATCH_SEED", 1);
    let count = from_env("TIDEWATCH_EXPRESSIONS", EXPRESSIONS_DEFAULT);
    println!("seeds {first}..{}", first + count);
    let (bench, language) = (Bench::small(), Language::of_reference());
    let (mut same, mut fail, mut open, mut failures) = (0, 0, 0, Vec::new());
    for seed in first..first + count {
        let text = expression(&mut Dice::new(&[], Some(seed)), &language);
        match bench.compare(&text) {
            Ok(Outcome::Same) => same += 1,
            Ok(Outcome::BothFail) => fail += 1,
            Ok(Outcome::Open) => open += 1,
            Err(how) => failures.push(format!("seed {seed}: {how}")),
        }
    }
    println!("{same} the same, {fail} fail in both, {open} open, {} differ", failures.len());
    let shown = failures.len().min(20);
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures[..shown].join("\n"));
    assert!(same > count / 2, "too few expressions have a value");
}

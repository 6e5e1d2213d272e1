//! Random expressions over a few series: the engine gives what the reference evaluator of the
//! integration tests gives. The input chooses the expression.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/reference/mod.rs"]
mod reference;

use reference::check::Bench;
use reference::dice::Dice;
use reference::generate::{Language, expression};

static BENCH: LazyLock<Bench> = LazyLock::new(Bench::small);

fuzz_target!(|bytes: &[u8]| {
    let text = expression(&mut Dice::new(bytes, None), &Language::of_reference());
    if let Err(how) = BENCH.compare(&text) {
        panic!("{how}");
    }
});

//! Any text through the PromQL parser: no panic, and what parses prints to text that parses to
//! the same again. Series descriptions and scripts are read on the way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::promql::series_desc::parse_series_desc;
use tidewatch::promql::{Features, parse, parse_metric_selector, pretty};

fuzz_target!(|text: &str| {
    let _ = parse_metric_selector(text);
    let _ = parse_series_desc(text);
    let Ok(expr) = parse(text, &Features::all()) else { return };
    let printed = expr.to_string();
    for again in [printed.clone(), pretty(&expr)] {
        let parsed = parse(&again, &Features::all());
        assert_eq!(parsed.map(|expr| expr.to_string()), Ok(printed.clone()), "{text:?}");
    }
});

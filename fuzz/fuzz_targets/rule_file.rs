//! Any text as a rule file: no panic, every mistake has a place within the text, and what is read is
//! equal to itself when it is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::promql::Features;
use tidewatch::rules::GoTemplates;
use tidewatch::rules::file::{ERRORS_MAX, ReadOptions, parse};

fuzz_target!(|text: &str| {
    let (features, templates) = (Features::all(), GoTemplates::default());
    let options =
        ReadOptions { features: &features, templates: &templates, ignore_unknown_fields: false };
    match parse(&"f".into(), text, options) {
        Ok(groups) => assert!(parse(&"f".into(), text, options).is_ok_and(|again| again == groups)),
        Err(errors) => {
            assert!((1..=ERRORS_MAX).contains(&errors.len()));
            // YAML ends a line at each of these
            let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
            let lines = text.split(ends).count() as u64 + 1;
            assert!(errors.iter().filter_map(|e| e.place).all(|(line, _)| line <= lines));
        }
    }
});

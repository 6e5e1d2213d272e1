//! Any text as matchers, in each grammar: no panic, and what is read is equal to what is read from
//! its own text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::model::Labels;
use tidewatch::notify::matcher::{Grammar, MatcherList, MatcherText, parse_matcher, parse_matchers};

/// Longer texts find nothing new, and regular expressions in them take long.
const TEXT_BYTES_MAX: usize = 4096;

fuzz_target!(|text: &str| {
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    let labels = Labels::from_pairs([("alertname", "A"), ("a b", "x,y")]).expect("two labels");
    for grammar in [Grammar::Fallback, Grammar::Utf8, Grammar::Classic] {
        if let Ok(parsed) = parse_matchers(text, grammar) {
            let written = MatcherList(&parsed.matchers).to_string();
            let again = parse_matchers(&written, grammar).expect(&written);
            assert_eq!((&again.matchers, again.warning), (&parsed.matchers, None), "{written}");
            parsed.matchers.iter().for_each(|matcher| drop(matcher.matches_labels(&labels)));
        }
        if let Ok(matcher) = parse_matcher(text, grammar) {
            let written = MatcherText(&matcher).to_string();
            assert_eq!(parse_matcher(&written, grammar), Ok(matcher), "{written}");
        }
    }
});

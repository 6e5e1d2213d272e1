//! Any text as an `alertmanager.yml`: no panic, a mistake has a place within the text, and what is
//! read finds a receiver for every alert.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tidewatch::model::Labels;
use tidewatch::notify::config::{AlertConfigError, parse};
use tidewatch::notify::inhibit::Inhibitor;
use tidewatch::notify::route::RouteTree;

fuzz_target!(|text: &str| {
    let config = match parse(Path::new("f"), text) {
        Ok(config) => config,
        Err(AlertConfigError::Invalid { place, message, .. }) => {
            assert!(!message.is_empty());
            // YAML ends a line at each of these
            let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
            let lines = text.split(ends).count() as u64 + 1;
            assert!(place.is_none_or(|(line, _)| line <= lines));
            return;
        }
        Err(AlertConfigError::Read { .. }) => panic!("a text is not read from a file"),
    };
    let labels = Labels::from_pairs([("alertname", "A"), ("severity", "page")]).expect("labels");
    let routes = RouteTree::new(&config.route);
    let found = routes.matching(&labels);
    assert!(!found.is_empty());
    for at in found {
        let node = routes.node(at);
        assert!(config.receiver(&node.receiver).is_some());
        drop(node.group_key(&node.group_labels(&labels)));
    }
    drop(Inhibitor::new(&config.inhibit_rules).sides(&labels));
});

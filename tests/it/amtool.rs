//! Debian's `amtool` against this server: alerts, silences, routes, status.

use std::process::Command;
use std::time::Duration;

use super::support::{Server, wait_for};

const CONFIG: &str = "route:\n  receiver: team\n  group_by: [alertname]\n  routes:\n  \
    - {matchers: [severity=page], receiver: pager}\n\
    receivers:\n- {name: team}\n- {name: pager}\n";

/// Whether amtool is there; said aloud when not. In CI it has to be.
fn is_there() -> bool {
    let there = Command::new("amtool").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI has no amtool");
    if !there {
        println!("skipped: amtool is not installed (package prometheus-alertmanager)");
    }
    there
}

struct Amtool(String);

impl Amtool {
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("amtool")
            .args(["--alertmanager.url", &self.0, "--no-version-check"])
            .args(arguments)
            .output()
            .expect("amtool runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), format!("{text}{error}"))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (good, text) = self.run(arguments);
        assert!(good, "amtool {arguments:?}: {text}");
        text
    }
}

#[test]
fn amtool_finds_everything_where_it_expects_it() {
    if !is_there() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("alertmanager.yml");
    std::fs::write(&config, CONFIG).expect("written");
    let path = config.to_str().expect("UTF-8");
    let server = Server::start_with(&["--alertmanager.config", path]);
    let amtool = Amtool(server.client().url(""));
    amtool.ok(&["alert", "add", "Disk", "severity=page", "node=a", "--annotation=summary=full"]);
    amtool.ok(&["alert", "add", "Cpu", "severity=warn"]);
    let shown = amtool.ok(&["alert", "query"]);
    assert!(shown.contains("Disk") && shown.contains("full") && shown.contains("Cpu"), "{shown}");
    let shown = amtool.ok(&["alert", "query", "severity=page"]);
    assert!(shown.contains("Disk") && !shown.contains("Cpu"), "{shown}");

    let id = amtool.ok(&["silence", "add", "Disk", "-a", "me", "-c", "known", "-d", "1h"]);
    let id = id.trim();
    assert!(amtool.ok(&["silence", "query"]).contains(id));
    assert_eq!(amtool.ok(&["silence", "query", "-q"]).trim(), id);
    assert!(!amtool.ok(&["alert", "query"]).contains("Disk"));
    assert!(amtool.ok(&["alert", "query", "-s"]).contains("suppressed"));
    assert!(amtool.ok(&["silence", "update", "-d", "2h", id]).contains(id));
    let exported = amtool.ok(&["-o", "json", "silence", "query"]);
    assert!(exported.contains(r#""comment":"known""#), "{exported}");
    amtool.ok(&["silence", "expire", id]);
    assert!(!amtool.ok(&["silence", "query"]).contains(id));
    assert!(amtool.ok(&["silence", "query", "--expired"]).contains(id));
    wait_for("the alert that is not silenced any more", Duration::from_secs(10), || {
        amtool.ok(&["alert", "query"]).contains("Disk").then_some(())
    });

    let tree = amtool.ok(&["config", "routes", "show"]);
    assert!(tree.contains("receiver: pager"), "{tree}");
    let routes = ["config", "routes", "test", "--verify.receivers=pager", "severity=page"];
    assert_eq!(amtool.ok(&routes).trim(), "pager");
    assert!(amtool.ok(&["config", "show"]).contains("receiver: team"));
    assert!(amtool.ok(&["cluster", "show"]).contains("disabled"));
}

/// The own commands do what amtool does.
#[test]
fn the_own_commands_do_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("alertmanager.yml");
    std::fs::write(&config, CONFIG).expect("written");
    let path = config.to_str().expect("UTF-8");
    let server = Server::start_with(&["--alertmanager.config", path]);
    let url = server.client().url("");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .args(arguments)
            .env("ALERTMANAGER_URL", &url)
            .output()
            .expect("tidewatch runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), format!("{text}{error}"))
    };
    let ok = |arguments: &[&str]| {
        let (code, text) = run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    };
    ok(&["alert", "add", "Disk", "severity=page", "--annotation", "summary=full"]);
    assert!(ok(&["alert", "query", "Disk"]).contains("full"));
    let id = ok(&["silence", "add", "Disk", "-a", "me", "-c", "known"]);
    let id = id.trim();
    assert_eq!(ok(&["silence", "query", "-q"]).trim(), id);
    assert_eq!(ok(&["silence", "update", "-d", "3h", id]).trim(), id);
    let exported = ok(&["silence", "query", "-o", "json"]);
    ok(&["silence", "expire", id]);
    assert!(ok(&["silence", "query", "--expired"]).contains("known"));
    let file = dir.path().join("silences.json");
    std::fs::write(&file, exported).expect("written");
    let again = ok(&["silence", "import", file.to_str().expect("UTF-8")]);
    assert_ne!(again.trim(), id, "an expired silence comes back under a new name");
    assert!(ok(&["routes", "show"]).contains("receiver: pager"));
    assert_eq!(ok(&["routes", "test", "severity=page"]).trim(), "pager");
    let at = ok(&["routes", "test", "--config.file", path, "--at", "Saturday 03:00", "a=b"]);
    assert!(at.starts_with("team\n") && at.contains("told at"), "{at}");
    let wrong = run(&["routes", "test", "--config.file", path, "--verify.receivers=x", "a=b"]);
    assert_eq!(wrong.0, Some(1), "{}", wrong.1);
    assert!(ok(&["check", "alertmanager", path]).contains("SUCCESS"));
    assert_eq!(run(&["silence", "expire", "nope"]).0, Some(1));
}

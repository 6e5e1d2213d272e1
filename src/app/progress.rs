//! How far the start is: a line that redraws on a terminal, else a log line now and then, and the
//! numbers of `status/walreplay`.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::http::recovery;
use crate::storage::RecoveryProgress;

/// Time between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Shows recovery.
pub(super) struct RecoveryLine {
    bar: Option<ProgressBar>,
    /// What the HTTP part shows.
    shown: Arc<recovery::RecoveryProgress>,
    // When the last line was logged; locked by the one thread that recovers.
    logged: Mutex<Instant>,
}

impl RecoveryLine {
    /// A line that shows nothing yet.
    pub(super) fn new(shown: Arc<recovery::RecoveryProgress>) -> RecoveryLine {
        let bar = io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("reading journals back {bar:30} {pos}/{len} {msg}");
            ProgressBar::no_length().with_style(style.expect("BUG: a constant template"))
        });
        RecoveryLine { bar, shown, logged: Mutex::new(Instant::now()) }
    }

    /// Shows how far it is.
    pub(super) fn show(&self, progress: RecoveryProgress) {
        let (done, files) = (progress.files_done, progress.files);
        self.shown.report(files.min(1) as u64, files as u64, done as u64);
        if let Some(bar) = &self.bar {
            bar.set_length(files as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("{} samples", progress.samples));
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if logged.elapsed() >= LOG_EVERY {
            *logged = Instant::now();
            let samples = progress.samples;
            tracing::info!("reading journals back: {done} of {files} files, {samples} samples");
        }
    }
}

impl Drop for RecoveryLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

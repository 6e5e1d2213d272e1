//! The whole of it with real threads and a real store: stored before told, and told after a restart.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;
use crate::model::{Alert, Labels, SystemClock};
use crate::notify::config;
use crate::notify::deliver::Notification;
use crate::storage::StoreOptions;

/// Keeps what it is told.
struct Recorder(Mutex<SyncSender<(String, usize)>>);

impl Deliver for Recorder {
    fn deliver(&self, notification: &Notification, _: Duration) -> Outcome {
        let told = (notification.reason.as_str().to_owned(), notification.alerts.len());
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.send(told).expect("the test listens");
        delivered("taken")
    }
}

fn start(dir: &std::path::Path) -> (Arc<Store>, Notifier, Receiver<(String, usize)>) {
    let text = "route: {receiver: a, group_wait: 0s, group_interval: 1s}\n\
        receivers: [{name: a, webhook_configs: [{url: 'http://a'}]}]\n";
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = StoreOptions::new(dir, Arc::clone(&clock));
    let store = Arc::new(Store::open(options, &|_| ()).expect("opens"));
    let (sender, told) = sync_channel(100);
    let notifier = Notifier::start(NotifierOptions {
        config: Arc::new(config::parse(std::path::Path::new("f"), text).expect("valid")),
        deliver: Arc::new(Recorder(Mutex::new(sender))),
        clock,
        store: Arc::clone(&store),
        history_retention: HISTORY_RETENTION,
        id_seed: 3,
    });
    (store, notifier.expect("starts"), told)
}

fn alert(name: &str, ends_in_s: i64) -> Incoming {
    let now = SystemClock.now();
    Incoming {
        alert: Alert {
            labels: Labels::from_pairs([("alertname", name)]).expect("valid"),
            annotations: Default::default(),
            starts_at: now,
            ends_at: now.saturating_add(ends_in_s * 1000),
            generator_url: "".into(),
        },
        timeout: false,
        is_repeated: false,
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_was_told_is_remembered_and_its_end_is_told_by_the_next_process() {
    let dir = tempfile::tempdir().expect("temporary directory");
    {
        let (store, notifier, told) = start(dir.path());
        let (refused, pending) = notifier.receive([alert("A", 600), alert("B", 600)]);
        assert!(refused.is_empty());
        pending.stored().await.expect("stored");
        assert!(!store.notify_rows().expect("read").is_empty(), "stored before acknowledged");
        let first = told.recv_timeout(PATIENCE).expect("told");
        assert_eq!(first, ("first notification".to_owned(), 2));
        notifier.stop(PATIENCE);
    }
    let (_store, notifier, told) = start(dir.path());
    assert_eq!(notifier.ask(|machine, _| machine.alert_count()), 2);
    let (_, pending) = notifier.receive([alert("A", 0), alert("B", 0)]);
    pending.stored().await.expect("stored");
    let last = told.recv_timeout(PATIENCE).expect("told");
    assert_eq!(last, ("all alerts resolved".to_owned(), 2));
    assert!(told.recv_timeout(Duration::from_millis(1_500)).is_err(), "and nothing else");
    let query = HistoryQuery { until: i64::MAX, limit: 100, ..HistoryQuery::default() };
    let page = notifier.history(&query).expect("read");
    let notified = crate::notify::event::EventKind::Notified;
    assert_eq!(page.events.iter().filter(|event| event.kind == notified).count(), 2);
    notifier.stop(PATIENCE);
}

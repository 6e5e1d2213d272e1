//! One Alertmanager: its queue and the thread that empties it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use ureq::Agent;

use super::metrics::TargetMetrics;
use super::payload::body;
use super::queue::Queue;
use super::{Access, AlertmanagerOptions};
use crate::model::Alert;

/// How much of an error's body is shown.
const EXCERPT_BYTES: u64 = 500;
/// Pause between two looks whether a thread has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A running Alertmanager.
#[derive(Debug)]
pub(super) struct Target {
    shared: Arc<Shared>,
    limits: (usize, usize),
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    options: AlertmanagerOptions,
    queue: Queue,
    metrics: TargetMetrics,
}

impl Target {
    /// Starts its thread. `limits`: most alerts in the queue and in a request.
    pub fn start(options: AlertmanagerOptions, limits: (usize, usize)) -> Result<Target, String> {
        let agent = agent(&options).map_err(|why| format!("{}: {why}", options.url))?;
        let queue = Queue::new(limits.0);
        let shared = Arc::new(Shared { options, queue, metrics: TargetMetrics::default() });
        let own = Arc::clone(&shared);
        let run = move || {
            while let Some(alerts) = own.queue.take(limits.1) {
                own.deliver(&agent, &alerts);
            }
        };
        let thread = std::thread::Builder::new().name("tidewatch-alerts".to_owned()).spawn(run);
        let thread = thread.map_err(|error| format!("starting a thread: {error}"))?;
        Ok(Target { shared, limits, thread })
    }

    /// Whether it is this one, told the same.
    pub fn is_same(&self, options: &AlertmanagerOptions, limits: (usize, usize)) -> bool {
        self.shared.options == *options && self.limits == limits && !self.thread.is_finished()
    }

    /// What it was told.
    pub fn options(&self) -> &AlertmanagerOptions {
        &self.shared.options
    }

    /// Its metrics.
    pub fn metrics(&self) -> &TargetMetrics {
        &self.shared.metrics
    }

    /// How many alerts wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue.len()
    }

    /// Most alerts that may wait.
    pub fn capacity(&self) -> usize {
        self.limits.0
    }

    /// Queues alerts.
    pub fn push(&self, alerts: Vec<Arc<Alert>>) {
        if alerts.is_empty() {
            return;
        }
        let dropped = self.shared.queue.push(alerts);
        if dropped > 0 {
            self.shared.metrics.dropped.add(dropped as u64);
            tracing::warn!(
                "alertmanager {}: its queue is full, the {dropped} oldest alerts are dropped",
                self.shared.options.url
            );
        }
    }

    /// Ends when everything is delivered.
    pub fn close(&self) {
        self.shared.queue.close();
    }

    /// Ends when everything is delivered, by itself.
    pub fn finish_apart(self) {
        self.close();
    }

    /// Waits for the end, and cuts it off at `end`; how many alerts are lost.
    pub fn join_until(self, end: Instant) -> usize {
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        let lost = self.shared.queue.cut();
        if lost > 0 {
            self.shared.metrics.dropped.add(lost as u64);
        }
        lost
    }
}

impl Shared {
    fn deliver(&self, agent: &Agent, alerts: &[Arc<Alert>]) {
        let (start, count) = (Instant::now(), alerts.len() as u64);
        let result = self.post(agent, alerts);
        let took = start.elapsed();
        self.metrics.latency.observe_duration(took);
        self.metrics.latency_summary.observe_duration(took);
        self.metrics.sent.add(count);
        if let Err(why) = result {
            self.metrics.errors.add(count);
            let url = &self.options.url;
            tracing::error!("alertmanager {url}: {count} alerts are not delivered: {why}");
        }
    }

    fn post(&self, agent: &Agent, alerts: &[Arc<Alert>]) -> Result<(), String> {
        let mut request = agent.post(&self.options.url).header("content-type", "application/json");
        if let Some(value) = self.options.access.header()? {
            request = request.header("authorization", value);
        }
        for (name, value) in &self.options.headers {
            request = request.header(name, value.read()?);
        }
        let answer = request.send(body(alerts)).map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body = answer.into_body().into_with_config().limit(EXCERPT_BYTES).read_to_vec();
        let text = String::from_utf8_lossy(&body.unwrap_or_default()).trim().to_owned();
        Err(format!("status {status}: {text}"))
    }
}

impl Access {
    /// The value of the header `Authorization`. Secrets are read anew each time.
    fn header(&self) -> Result<Option<String>, String> {
        Ok(match self {
            Access::None => None,
            Access::Basic { username, password } => {
                let pair = format!("{}:{}", username.read()?, password.read()?);
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            Access::Header { kind, credentials } => Some(format!("{kind} {}", credentials.read()?)),
        })
    }
}

fn agent(options: &AlertmanagerOptions) -> Result<Agent, String> {
    let proxy = options.proxy.as_deref().map(ureq::Proxy::new).transpose();
    Ok(Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(options.timeout))
        .user_agent(concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
        .proxy(proxy.map_err(|error| format!("proxy_url: {error}"))?)
        .tls_config(options.tls.client()?)
        .build()
        .new_agent())
}

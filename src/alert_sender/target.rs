//! One Alertmanager: its queue and the thread that empties it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::AlertmanagerOptions;
use super::metrics::TargetMetrics;
use super::payload::body;
use super::queue::Queue;
use crate::aws::{self, Keys, Sigv4, sign};
use crate::model::{Alert, Clock, SystemClock};
use crate::web_client::{Client, Reply, Request, Tokens, USER_AGENT, agent};

/// How much of an error's body is shown.
const EXCERPT_BYTES: usize = 500;
/// How much of an answer is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
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
    tokens: Tokens,
}

impl Target {
    /// Starts its thread. `limits`: most alerts in the queue and in a request.
    pub fn start(options: AlertmanagerOptions, limits: (usize, usize)) -> Result<Target, String> {
        // Certificates are read anew for each request; here they are looked at once.
        let usable = agent(&options.http, &options.url, USER_AGENT, options.timeout);
        usable.map_err(|why| format!("{}: {why}", options.url))?;
        let (queue, metrics) = (Queue::new(limits.0), TargetMetrics::default());
        let shared = Arc::new(Shared { options, queue, metrics, tokens: Tokens::default() });
        let own = Arc::clone(&shared);
        let run = move || {
            while let Some(alerts) = own.queue.take(limits.1) {
                own.deliver(&alerts);
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
    fn deliver(&self, alerts: &[Arc<Alert>]) {
        let (start, count) = (Instant::now(), alerts.len() as u64);
        let result = self.post(alerts);
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

    fn post(&self, alerts: &[Arc<Alert>]) -> Result<(), String> {
        let client = Client {
            http: &self.options.http,
            tokens: &self.tokens,
            user_agent: USER_AGENT,
            until: Instant::now() + self.options.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let mut request = Request::json("POST", &self.options.url, body(alerts));
        if let Some(sigv4) = &self.options.sigv4 {
            sign_request(sigv4, &client, &mut request).map_err(|why| format!("sigv4: {why}"))?;
        }
        check(&client.send(request).map_err(|error| error.to_string())?)
    }
}

fn check(reply: &Reply) -> Result<(), String> {
    if (200..300).contains(&reply.status) {
        return Ok(());
    }
    let text = reply.body.trim();
    let end = (0..=EXCERPT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    Err(format!("status {}: {}", reply.status, &text[..end.unwrap_or(0)]))
}

fn sign_request(sigv4: &Sigv4, client: &Client<'_>, request: &mut Request) -> Result<(), String> {
    let (environment, now) = (|name: &str| std::env::var(name).ok(), SystemClock.now());
    let region = sigv4.region(&environment)?;
    let mut keys = sigv4.keys(&environment)?;
    if !sigv4.role_arn.is_empty() {
        keys = role(sigv4, client, &region, &keys)?;
    }
    let url = url::Url::parse(&request.url).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let signed = sign::Signed {
        method: request.method,
        host: &format!("{host}{port}"),
        path: url.path(),
        content_type: "application/json",
        body: request.body.as_deref().unwrap_or_default(),
        region: &region,
        // Amazon's service for Prometheus.
        service: if sigv4.service_name.is_empty() { "aps" } else { &sigv4.service_name },
        time: &aws::time(now),
    };
    request.headers.extend(sign::headers(&signed, &keys));
    Ok(())
}

/// Temporary keys of the role.
fn role(sigv4: &Sigv4, client: &Client<'_>, region: &str, keys: &Keys) -> Result<Keys, String> {
    let request = sigv4.role_request(region, keys, SystemClock.now());
    let reply = client.send(request).map_err(|error| format!("assuming the role: {error}"))?;
    check(&reply).map_err(|why| format!("assuming the role: {why}"))?;
    aws::role_keys(&reply.body).ok_or_else(|| "assuming the role: no keys".to_owned())
}

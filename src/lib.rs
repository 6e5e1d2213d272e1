//! Tidewatch: one binary to receive, store, query and alert on metrics.
//!
//! The data's way is the folder order; `docs/ARCHITECTURE.md` is the map.

pub mod airflow;
pub mod alert_sender;
pub mod alias;
pub mod app;
pub mod aws;
pub mod cli;
pub mod config;
pub mod http;
pub mod ingest;
pub mod model;
pub mod notify;
pub mod promql;
pub mod relabel;
pub mod remote_read;
pub mod remote_write;
pub mod rules;
pub mod runtime;
pub mod secret;
pub mod statsd;
pub mod storage;
pub mod telemetry;
pub mod template;
pub mod url_text;
pub mod web_client;

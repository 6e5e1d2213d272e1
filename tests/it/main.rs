//! Tests of the `tidewatch` binary and of whole parts: one test program, one module a subject.

mod against_alertmanager;
mod against_prometheus;
mod airflow;
mod alert_chain;
mod alerting_kill;
mod amtool;
mod bad_input;
mod crash_backend;
mod crash_kill;
mod full_disk;
mod http_api;
mod listing;
mod newest_series;
mod promql_scripts;
mod queries;
mod random_queries;
#[path = "../reference/mod.rs"]
mod reference;
mod reference_evaluator;
mod reload;
mod rules;
mod shipped;
mod slow_clients;
mod statsd;
mod store;
mod support;
mod tidy;
mod version_differences;

//! Watches Airflow instances over their REST API.
//!
//! In: answers of Airflow 2 (`/api/v1`) and 3 (`/api/v2`). Out: samples of runs, tasks, pools and
//! the health of the parts, through `ingest`; and what has to be remembered, into the control
//! file. Never here: writing to Airflow, task logs, names of runs in labels.
//!
//! [`client`] asks, [`poll`] decides what, [`state`] knows what of it is new, [`counters`] and
//! [`gauges`] make samples of it, [`poller`] holds the threads. All but the first and the last are
//! plain functions of answers, remembered rows and the time.

pub mod answer;
pub mod client;
pub mod counters;
pub mod error;
#[cfg(test)]
mod fake_server;
pub mod family;
pub mod gauges;
pub mod options;
pub mod poll;
pub mod poller;
pub mod state;
#[cfg(test)]
mod test_data;

pub use options::InstanceOptions;
pub use poller::Pollers;

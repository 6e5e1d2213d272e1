//! Black-box tests of the `tidewatch` binary: one test program, one module a subject.

mod against_prometheus;
mod bad_input;
mod crash_kill;
mod statsd;
mod support;

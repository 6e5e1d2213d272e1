pub mod ingest;
pub mod model;
pub mod promql;
pub mod statsd;
pub mod storage;

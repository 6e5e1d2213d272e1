pub mod cli;
pub mod ingest;
pub mod model;
pub mod promql;

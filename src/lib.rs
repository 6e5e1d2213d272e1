pub mod ingest;
pub mod model;
pub mod remote_write;

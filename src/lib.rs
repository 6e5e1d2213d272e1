pub mod ingest;
pub mod model;
pub mod remote_read;
pub mod remote_write;

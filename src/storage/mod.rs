//! Storage: samples come in, stay durable, and come out again.

pub mod chunk;
pub mod columns;
pub mod pack;

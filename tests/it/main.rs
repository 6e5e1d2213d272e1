//! Integration tests: one test program, one module a subject.

mod http_api;

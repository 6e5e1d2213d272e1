//! Unit tests of rules.

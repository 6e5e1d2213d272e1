//! From label matchers to series: postings and how they are combined.
//!
//! In: matchers. Out: a bitmap of series ids. Never here: samples, files. Two kinds of postings
//! exist, those of the head ([`LabelIndex`], in memory) and those of a partition file; both are
//! asked through [`Postings`].

mod live;
mod resolve;

pub use live::LabelIndex;
pub use resolve::{Postings, resolve};

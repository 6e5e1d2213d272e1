//! A request's body that has to arrive within a time, however lively it drips.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// A body that fails once its time is over.
#[derive(Debug)]
pub struct DeadlineBody {
    body: Incoming,
    over: Pin<Box<Sleep>>,
}

impl DeadlineBody {
    /// `body`, which has to be complete within `limit` from now.
    pub fn new(body: Incoming, limit: Duration) -> DeadlineBody {
        DeadlineBody { body, over: Box::pin(tokio::time::sleep(limit)) }
    }
}

/// Why a [`DeadlineBody`] failed.
#[derive(Debug)]
pub enum BodyError {
    /// It did not arrive in time.
    TooSlow,
    /// The connection failed or what arrived is no body.
    Broken(hyper::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooSlow => f.write_str("the body did not arrive in time"),
            BodyError::Broken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        self.over.as_mut().poll(context).map(|()| Some(Err(BodyError::TooSlow)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

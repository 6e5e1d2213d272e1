//! A request's body that has to arrive in time: no gap too long, and the whole not too late, however
//! lively it drips.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// A body that fails with [`io::ErrorKind::TimedOut`] when it is late.
#[derive(Debug)]
pub struct DeadlineBody {
    body: Incoming,
    gap_max: Duration,
    gap_over: Pin<Box<Sleep>>,
    over: Pin<Box<Sleep>>,
}

impl DeadlineBody {
    /// `body`, which has to be complete within `limit` from now, with no gap longer than `gap_max`.
    pub fn new(body: Incoming, gap_max: Duration, limit: Duration) -> DeadlineBody {
        let (gap_over, over) = (Box::pin(sleep(gap_max)), Box::pin(sleep(limit)));
        DeadlineBody { body, gap_max, gap_over, over }
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let next = Instant::now() + self.gap_max;
            self.gap_over.as_mut().reset(next);
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        let gap_over = self.gap_over.as_mut().poll(context).is_ready();
        if gap_over || self.over.as_mut().poll(context).is_ready() {
            let why = "the body did not arrive in time";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, why))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

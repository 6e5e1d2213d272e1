//! Whether to go on working on an answer: nobody may wait for it any more, or it may be late.
//!
//! Handed down with a request to everything that works on it for long, and asked there every few
//! milliseconds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::time::{Clock, Timestamp};

/// When to stop. Cheap to clone; clones stop together.
#[derive(Clone, Debug)]
pub struct Interrupt {
    cancel: Option<Arc<AtomicBool>>,
    deadline: Option<(Timestamp, Arc<dyn Clock>)>,
}

/// Why the work stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// Whoever asked went away.
    Canceled,
    /// It took longer than its limit.
    TimedOut,
}

static NEVER: Interrupt = Interrupt { cancel: None, deadline: None };

impl Interrupt {
    /// Stops when `cancel` turns true, or after `deadline` on `clock`.
    pub fn new(
        cancel: Option<Arc<AtomicBool>>,
        deadline: Timestamp,
        clock: Arc<dyn Clock>,
    ) -> Interrupt {
        Interrupt { cancel, deadline: Some((deadline, clock)) }
    }

    /// Never stops.
    pub fn never() -> &'static Interrupt {
        &NEVER
    }

    /// Stops when `cancel` turns true, however late it is.
    pub fn on(cancel: Arc<AtomicBool>) -> Interrupt {
        Interrupt { cancel: Some(cancel), deadline: None }
    }

    /// This one without its deadline: cheap to ask.
    pub fn without_deadline(&self) -> Interrupt {
        Interrupt { cancel: self.cancel.clone(), deadline: None }
    }

    /// What turns true when whoever asked goes away.
    pub fn cancel(&self) -> Option<Arc<AtomicBool>> {
        self.cancel.clone()
    }

    /// # Errors
    /// The work is to stop.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            return Err(Interrupted::Canceled);
        }
        match &self.deadline {
            Some((deadline, clock)) if clock.now() >= *deadline => Err(Interrupted::TimedOut),
            _ => Ok(()),
        }
    }

    /// As [`Interrupt::check`] at element number `index` of a long list, but only now and then:
    /// for elements that take less time than looking at the clock.
    ///
    /// # Errors
    /// The work is to stop.
    #[inline]
    pub fn check_at(&self, index: usize) -> Result<(), Interrupted> {
        if index.is_multiple_of(CHECK_EVERY) { self.check() } else { Ok(()) }
    }
}

/// Elements between two looks at the clock; none takes more than some microseconds.
const CHECK_EVERY: usize = 256;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Interrupted::Canceled => "request was canceled: its client went away",
            Interrupted::TimedOut => "request timed out",
        })
    }
}

impl std::error::Error for Interrupted {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ManualClock;

    #[test]
    fn stops_when_asked_or_late() {
        let cancel = Arc::new(AtomicBool::new(false));
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let interrupt = Interrupt::new(Some(cancel.clone()), Timestamp(5), clock.clone());
        assert_eq!(interrupt.check(), Ok(()));
        clock.advance_ms(6);
        assert_eq!(interrupt.check(), Err(Interrupted::TimedOut));
        assert_eq!(interrupt.without_deadline().check(), Ok(()));
        cancel.store(true, Ordering::Relaxed);
        assert_eq!(interrupt.check(), Err(Interrupted::Canceled));
        assert_eq!((interrupt.check_at(1), Interrupt::never().check()), (Ok(()), Ok(())));
        assert_eq!(interrupt.check_at(CHECK_EVERY), Err(Interrupted::Canceled));
    }
}

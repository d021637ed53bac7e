//! Waiting for room in an inbox: how long a sender is made to wait, and when nobody is any more.
//!
//! | who | waits at most | for an output that takes nothing and |
//! |---|---|---|
//! | a datagram | what the caller has left of 100 ms | |
//! | a datagram of a sender beyond his share | what the caller has left of 5 ms | |
//! | a stream | [`Inbox::LONG_PATIENCE`] | is a file on a disk that may be slow |
//! | a stream | [`Inbox::SHORT_PATIENCE`] | is known to be in trouble, or is no file |
//!
//! Whoever waits in vain says so to all, and nobody waits as long again until the worker takes something.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Inbox, State};

/// Who has waited in vain since the worker took something last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum InVain {
    /// Nobody.
    Nobody,
    /// The sender of a datagram: streams have more patience.
    Datagram,
    /// A stream.
    Stream,
}

impl State {
    fn patience(&self) -> Duration {
        if self.trouble.is_some() {
            self.patience.min(Inbox::SHORT_PATIENCE)
        } else {
            self.patience
        }
    }
}

impl Inbox {
    /// How long a stream waits for an output that is known to be in trouble, or may never come back.
    pub const SHORT_PATIENCE: Duration = Duration::from_secs(1);

    /// How long a stream waits for a disk that takes nothing and does not say why: fdatasync(2) on a busy
    /// one takes seconds.
    pub const LONG_PATIENCE: Duration = Duration::from_secs(10);

    /// How long a stream waits while the worker takes nothing and knows of no trouble.
    pub fn set_patience(&self, patience: Duration) {
        self.0.0.lock().patience = patience;
    }

    /// For datagrams: blocks until there is room for `octets`, or `patience` is over, or it is known to be
    /// in vain; tells whether there is.
    pub fn wait_for_room(&self, octets: usize, patience: Duration) -> bool {
        let shared = &self.0.0;
        let full = |state: &mut State| state.is_full(octets) && state.in_vain == InVain::Nobody;
        let mut state = shared.lock();
        state.waiting += 1;
        let waited = shared.room.wait_timeout_while(state, patience, full);
        let (mut state, over) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        if over.timed_out() {
            state.in_vain = state.in_vain.max(InVain::Datagram);
            shared.was_in_vain.store(true, Relaxed);
        }
        !state.is_full(octets)
    }

    /// For datagrams of a sender who is beyond his share: blocks while memory is [tight](Self::is_tight),
    /// until `patience` is over, or it is known to be in vain. To be in vain means nothing to others.
    pub fn wait_while_tight(&self, patience: Duration) {
        let shared = &self.0.0;
        let known = || shared.was_in_vain.load(Relaxed);
        let mut state = shared.lock();
        state.waiting += 1;
        let tight = |state: &mut State| state.memory.is_tight() && !known();
        let waited = shared.room.wait_timeout_while(state, patience, tight);
        let (mut state, over) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        if over.timed_out() {
            // Under the lock, so that no worker takes something in between.
            shared.was_in_vain.store(true, Relaxed);
        }
    }

    /// Whether a stream waited in vain, and nothing was taken since.
    pub fn is_stalled(&self) -> bool {
        self.0.0.lock().in_vain == InVain::Stream
    }

    /// For streams: waits without blocking the thread until there is room for `octets`, or the inbox is
    /// [stalled](Self::is_stalled).
    ///
    /// It stalls when its patience is over and the worker took nothing in all that time.
    pub async fn room(&self, octets: usize) {
        let shared = &self.0.0;
        let mut since = (0, None);
        loop {
            let made = shared.room_for_tasks.notified();
            tokio::pin!(made);
            // Enlisted before the look, so that room made in between is not missed.
            made.as_mut().enable();
            let now = Instant::now();
            let until = {
                let mut state = shared.lock();
                if !state.is_full(octets) || state.in_vain == InVain::Stream {
                    return;
                }
                if since.0 != state.taken {
                    since = (state.taken, None);
                }
                let until = *since.1.get_or_insert(now) + state.patience();
                if until <= now {
                    state.in_vain = InVain::Stream;
                    shared.was_in_vain.store(true, Relaxed);
                    shared.room.notify_all();
                    shared.room_for_tasks.notify_waiters();
                    return;
                }
                until
            };
            // Over or not, the next look tells.
            _ = timeout_at(until, made).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::task::{Context, Poll, Wake, Waker};

    use super::super::{Claim, Next, Order, Orders, inbox};
    use super::*;
    use crate::block::Block;
    use crate::counters::Loss;
    use crate::pri::{Facility, Pri, Severity};

    const ENOUGH: usize = 60 * 1024;
    const AN_HOUR: Duration = Duration::from_secs(3600);

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    fn full() -> (Inbox, Orders) {
        let (inbox, orders) = inbox("test".into(), 1, Arc::default());
        fill(&inbox);
        (inbox, orders)
    }

    fn fill(inbox: &Inbox) {
        let mut block = Block::default();
        block.push(Pri::of(Facility::User, Severity::Notice), |out| {
            out.extend_from_slice(&vec![b'a'; ENOUGH]);
            0
        });
        assert_eq!(inbox.offer(&mut block), Ok(()));
    }

    fn take(orders: &Orders) {
        let next = orders.next(Some(std::time::Instant::now()));
        assert!(matches!(next, Next::Order(Order::Write(_))), "{next:?}");
    }

    fn is_over(waiting: impl Future<Output = ()>) -> bool {
        let waiting = pin!(waiting);
        waiting.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    /// Runs `story` on a clock that only `tokio::time` knows.
    fn in_runtime(story: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime
            .enable_time()
            .build()
            .expect("a runtime")
            .block_on(story);
    }

    #[test]
    fn no_datagram_waits_twice_in_vain_and_streams_wait_nevertheless() {
        let (inbox, orders) = full();
        assert!(!inbox.wait_for_room(ENOUGH, Duration::from_millis(1)));
        // Would take an hour if it waited.
        assert!(!inbox.wait_for_room(ENOUGH, AN_HOUR));
        assert!(!inbox.is_stalled());
        inbox.set_patience(AN_HOUR);
        in_runtime(async { assert!(!is_over(inbox.room(ENOUGH))) });
        take(&orders);
        assert!(inbox.wait_for_room(ENOUGH, AN_HOUR));
    }

    #[test]
    fn whoever_is_beyond_his_share_is_refused_where_waiting_is_in_vain() {
        let refused = |inbox: &Inbox| {
            [Claim::Rightful, Claim::Patient, Claim::Spent].map(|claim| inbox.refuses(claim))
        };
        let (inbox, orders) = inbox("test".into(), 1 << 20, Arc::default());
        assert_eq!(refused(&inbox), [false; 3]);
        while !inbox.is_tight() {
            fill(&inbox);
        }
        assert_eq!(refused(&inbox), [false, false, true]);
        inbox.wait_while_tight(Duration::from_millis(1));
        assert_eq!(refused(&inbox), [false, true, true]);
        // Would take an hour if it waited.
        inbox.wait_while_tight(AN_HOUR);
        take(&orders);
        assert_eq!(refused(&inbox), [false, false, true]);
        while inbox.is_tight() {
            take(&orders);
        }
        inbox.wait_while_tight(AN_HOUR);
        assert_eq!(refused(&inbox), [false; 3]);
    }

    #[test]
    fn no_stream_waits_twice_in_vain_nor_anybody_else() {
        let (inbox, orders) = full();
        inbox.set_patience(Duration::from_millis(1));
        in_runtime(async {
            inbox.room(ENOUGH).await;
            assert!(inbox.is_stalled());
            inbox.set_patience(AN_HOUR);
            inbox.room(ENOUGH).await;
            assert!(!inbox.wait_for_room(ENOUGH, AN_HOUR));
            take(&orders);
            assert!(!inbox.is_stalled());
            inbox.room(ENOUGH).await;
            // It moved, so the next wait is a new one.
            fill(&inbox);
            assert!(!is_over(inbox.room(ENOUGH)));
        });
    }

    #[test]
    fn whoever_waits_when_another_gives_up_gives_up_too() {
        let (inbox, _orders) = full();
        inbox.set_patience(AN_HOUR);
        in_runtime(async {
            let mut waiting = pin!(inbox.room(ENOUGH));
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            inbox.set_patience(Duration::ZERO);
            inbox.room(ENOUGH).await;
            inbox.set_patience(AN_HOUR);
            assert!(waiting.as_mut().poll(&mut context).is_ready());
        });
    }

    #[test]
    fn trouble_shortens_a_wait_that_has_begun() {
        let (inbox, orders) = full();
        inbox.set_patience(AN_HOUR);
        let woken = Arc::new(Woken::default());
        in_runtime(async {
            let mut waiting = pin!(inbox.room(ENOUGH));
            let waker = Waker::from(Arc::clone(&woken));
            let mut context = Context::from_waker(&waker);
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            orders.set_trouble(Some(Loss::NoSpace));
        });
        assert!(woken.0.load(Relaxed));
        assert_eq!(inbox.0.0.lock().patience(), Inbox::SHORT_PATIENCE);
    }
}

//! Peers that never finish what they begin, by a clock that jumps to the next thing to happen.

use std::io::Write as _;
use std::os::unix::net;

use arc_swap::ArcSwap;
use tokio::time::sleep;

use super::*;
use crate::budget::Budget;
use crate::input::MAX_MESSAGE;
use crate::input::acl::AccessList;
use crate::input::peer::PeerNames;
use crate::route::RoutingTable;

/// Sends the beginning, and then an octet each ten seconds; returns when it was closed, and how many
/// messages were received.
fn closed_after(beginning: &[u8], octet: u8) -> (Duration, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let live = Arc::new(ArcSwap::from_pointee(RoutingTable::empty()));
        let shard = Shard::new(live, &PeerNames::numeric());
        let gate = Arc::new(AccessList::parse(&[]).expect("everybody may"));
        let hub = Rc::new(Hub::new(shard, gate, &Budget::new(1 << 20)));
        let (mut sender, receiver) = net::UnixStream::pair().expect("two sockets");
        receiver.set_nonblocking(true).expect("a flag");
        let receiver = UnixStream::from_std(receiver).expect("a runtime");
        let counters = Arc::new(InputCounters::default());
        let listening = Listening {
            address: Rc::new(ListenAddress::UnixStream("socket".into())),
            name: "unix://socket".into(),
            counters: Arc::clone(&counters),
            complaint: Rc::default(),
        };
        let connection = Connection::new(hub, Socket::Unix(receiver), Peer::Local, listening);
        let began = Instant::now();
        let drip = async {
            sender.write_all(beginning).expect("it has room");
            while began.elapsed() < 10 * FRAME_DEADLINE {
                sleep(Duration::from_secs(10)).await;
                sender.write_all(&[octet]).expect("it has room");
            }
        };
        tokio::select! {
            () = connection.run() => {}
            () = drip => {}
        }
        (began.elapsed(), counters.received.get())
    })
}

#[test]
fn s4_a_frame_that_is_not_finished_in_a_minute_ends_its_connection() {
    let long = "x".repeat(MAX_MESSAGE + 1000);
    let counted_long = format!("1000000 {long}");
    for (beginning, octet, messages) in [
        ("<13>app: a line", b'x', 1),
        ("<13>app: one\n<13>app: another", b'x', 2),
        ("100 <13>app: counted", b'x', 1),
        // A header alone.
        ("1", b'0', 1),
        // More than is kept, so that nothing of it waits unread.
        (&long[..], b'x', 1),
        (&counted_long[..], b'x', 1),
    ] {
        let (after, received) = closed_after(beginning.as_bytes(), octet);
        let name = beginning.get(..20).unwrap_or(beginning);
        // It may have been read when the clock had jumped once already.
        let latest = FRAME_DEADLINE + Duration::from_secs(15);
        assert!(
            (FRAME_DEADLINE..=latest).contains(&after),
            "{name}: {after:?}"
        );
        assert_eq!(received, messages, "{name}");
    }
}

#[test]
fn s4_whole_frames_may_come_as_slowly_as_they_like() {
    for beginning in ["", "<13>app: one\n", "12 <13>app: one\n"] {
        let (after, _) = closed_after(beginning.as_bytes(), b'\n');
        assert!(after >= 10 * FRAME_DEADLINE, "{beginning}: {after:?}");
    }
}

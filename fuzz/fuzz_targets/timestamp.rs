//! A time that is read is a time that exists, and it is the same after it is written down.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::message::{Civil, Message, Moment, Sender, Timestamp};

const NOW: Civil = Civil {
    year: Some(2031),
    month: 2,
    day: 28,
    hour: 23,
    minute: 59,
    second: 59,
    micros: 0,
};

fuzz_target!(|stamp: &[u8]| {
    for octets in [
        [b"<13>1 ", stamp, b" h a - - - m"].concat(),
        [b"<13>", stamp, b" h a: m"].concat(),
    ] {
        let message = Message::parse(&octets, Sender::Remote);
        let Some(timestamp) = message.timestamp() else {
            continue;
        };
        let moment = timestamp.resolve(NOW, |civil| {
            assert!(civil.year.is_some());
            0
        });
        assert!(moment.micros < 1_000_000);
        // An offset may push a time of the year 0 out of what a clock shows.
        let civil = moment.civil();
        if civil.seconds() != moment.seconds + i64::from(moment.offset) {
            continue;
        }
        if let Timestamp::Civil(read) = timestamp {
            assert_eq!(
                read,
                Civil {
                    year: read.year,
                    ..civil
                }
            );
            if read.year.is_none() {
                assert!(civil.seconds() <= NOW.seconds() + 7 * 24 * 60 * 60);
            }
        }
        let Moment {
            seconds,
            micros,
            offset,
        } = moment;
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.abs() / 60;
        let written = format!(
            "<13>1 {:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}{sign}{:02}:{:02} h a - - - m",
            civil.year.unwrap_or(0),
            civil.month,
            civil.day,
            civil.hour,
            civil.minute,
            civil.second,
            civil.micros,
            minutes / 60,
            minutes % 60
        );
        let again = Message::parse(written.as_bytes(), Sender::Remote).timestamp();
        if civil.year.is_some_and(|year| year <= 9999) {
            assert_eq!(
                again,
                Some(Timestamp::Instant {
                    seconds,
                    micros,
                    offset
                })
            );
        }
    }
});

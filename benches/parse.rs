//! What reading one message costs.

use divan::{Bencher, black_box, counter::BytesCount};
use syslogd::message::{Message, Sender};

fn main() {
    divan::main();
}

fn parse(bencher: Bencher<'_, '_>, octets: &[u8], sender: Sender<'_>) {
    bencher
        .counter(BytesCount::of_slice(octets))
        .bench_local(|| {
            let message = Message::parse(black_box(octets), sender);
            (message.pri(), message.app_name(), message.text().len())
        });
}

#[divan::bench]
fn rfc3164_typical(bencher: Bencher<'_, '_>) {
    let octets = b"<38>Oct 11 22:14:15 bastion sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2";
    parse(bencher, octets, Sender::Remote);
}

#[divan::bench]
fn rfc3164_local(bencher: Bencher<'_, '_>) {
    let octets = b"<38>Oct 11 22:14:15 sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2";
    let hostname = b"bastion";
    parse(bencher, octets, Sender::Local { hostname });
}

#[divan::bench]
fn rfc5424_typical(bencher: Bencher<'_, '_>) {
    let octets = b"<165>1 2003-10-11T22:14:15.003Z web7.example.net shop 8710 ORDER - order 1234567 was paid by card in 213 ms";
    parse(bencher, octets, Sender::Remote);
}

#[divan::bench]
fn rfc5424_structured(bencher: Bencher<'_, '_>) {
    let octets = b"<165>1 2003-10-11T22:14:15.003Z web7.example.net shop 8710 ORDER [order@32473 id=\"1234567\" method=\"card\" took=\"213\" note=\"said \\\"thanks\\\"\"][timeQuality tzKnown=\"1\" isSynced=\"1\"] paid";
    parse(bencher, octets, Sender::Remote);
}

#[divan::bench]
fn timestamp_decoded(bencher: Bencher<'_, '_>) {
    let octets = b"<165>1 2003-10-11T22:14:15.003Z web7.example.net shop 8710 ORDER - paid";
    let message = Message::parse(octets, Sender::Remote);
    bencher.bench_local(|| black_box(&message).timestamp());
}

/// 8 KiB each of what makes careless parsers look twice.
#[divan::bench(args = ["[", "<", ":", " ", "[x a=\"", "\\", "1"])]
fn hostile(bencher: Bencher<'_, '_>, piece: &str) {
    let octets = format!(
        "<13>1 - h a p m [x a=\"{}",
        piece.repeat(8192 / piece.len())
    );
    parse(bencher, octets.as_bytes(), Sender::Remote);
}

/// The same after the header of RFC 3164.
#[divan::bench(args = ["[", ":", " ", "a"])]
fn hostile_rfc3164(bencher: Bencher<'_, '_>, piece: &str) {
    let octets = format!("<13>Oct 11 22:14:15 {}", piece.repeat(8192));
    parse(bencher, octets.as_bytes(), Sender::Remote);
}

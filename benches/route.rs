//! What choosing the lanes of one message costs, by the number of rules and by what decides about them.

#[path = "support/rules.rs"]
mod rules;
#[path = "support/table.rs"]
mod table;

use divan::{Bencher, black_box};
use rules::{By, DEBIAN, rules};
use syslogd::message::{Message, Sender};
use table::{table, taken};

fn main() {
    divan::main();
}

const COUNTS: [usize; 4] = [1, 13, 100, 1000];

const MESSAGE: &[u8] =
    b"<38>Oct 11 22:14:15 bastion sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2";

fn route(bencher: Bencher<'_, '_>, text: &str) {
    let table = table(text);
    let message = Message::parse(MESSAGE, Sender::Remote);
    let mut answers = table.answers();
    bencher.bench_local(|| taken(&table, &mut answers, black_box(&message)));
}

#[divan::bench]
fn debian(bencher: Bencher<'_, '_>) {
    route(bencher, DEBIAN);
}

#[divan::bench(args = COUNTS)]
fn by_pri(bencher: Bencher<'_, '_>, count: usize) {
    route(bencher, &rules(By::Pri, count));
}

#[divan::bench(args = COUNTS)]
fn by_program(bencher: Bencher<'_, '_>, count: usize) {
    route(bencher, &rules(By::Program, count));
}

#[divan::bench(args = COUNTS)]
fn by_text(bencher: Bencher<'_, '_>, count: usize) {
    route(bencher, &rules(By::Text, count));
}

#[divan::bench(args = COUNTS)]
fn by_text_in_any_case(bencher: Bencher<'_, '_>, count: usize) {
    route(bencher, &rules(By::TextInAnyCase, count));
}

#[divan::bench(args = COUNTS)]
fn by_regex(bencher: Bencher<'_, '_>, count: usize) {
    route(bencher, &rules(By::Regex, count));
}

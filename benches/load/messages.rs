//! Numbered messages such as programs send.

use clap::Args;

use super::Transport;

/// What stands before the number, which ends every message.
pub(crate) const MARK: &[u8] = b" no=";

/// Digits of a number.
pub(crate) const DIGITS: usize = 9;

/// Octets of a UDP message: all are of one length, so that one call can send many of them.
const UDP_LENGTH: usize = 192;

/// Facility, TAG, text.
const TEXTS: &[(u8, &str, &str)] = &[
    (
        4,
        "sshd",
        "Accepted publickey for deploy from 192.0.2.17 port 50422 ssh2: ED25519 SHA256:3b0c44298fc1c149afbf4c8996fb92427",
    ),
    (9, "CRON", "(root) CMD (cd / && run-parts /etc/cron.hourly)"),
    (
        2,
        "postfix/smtp",
        "4F2A81C03D: to=<user7@example.com>, relay=mx.example.com[198.51.100.4]:25, delay=0.4, status=sent (250 OK)",
    ),
    (3, "systemd", "Started Session 4711 of user deploy."),
    (
        3,
        "named",
        "client @0x7f2c1 192.0.2.9#40231 (cdn.example.net): query: cdn.example.net IN AAAA +E(0)K",
    ),
    (
        1,
        "app",
        "request completed method=GET path=/api/v2/orders/1234567 status=200 octets=5120 took_ms=21.3",
    ),
    (
        16,
        "nginx",
        "192.0.2.44 \"GET /static/app.js HTTP/1.1\" 200 48213 \"https://www.example.com/\" rt=0.004",
    ),
    (
        17,
        "payments",
        "{\"level\":\"info\",\"caller\":\"post.go:113\",\"msg\":\"entry posted\",\"amount\":\"12.50\",\"currency\":\"EUR\"}",
    ),
    (
        10,
        "sudo",
        "deploy : TTY=pts/1 ; USER=root ; COMMAND=/bin/true",
    ),
    (
        0x17,
        "fw",
        "Built outbound TCP connection 1234567 for 198.51.100.2/443 to 192.0.2.3/50112",
    ),
];

/// Warning, notice, info and debug as often as in life; nothing that a daemon would tell its users.
const SEVERITIES: [u8; 8] = [6, 6, 6, 5, 6, 6, 4, 7];

/// What all messages of a load have in common.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many programs send, in turn: p0, p1 and so on. The usual ones if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    programs: Option<u32>,
    /// Octets of each message, but at least its header and number. As they come if not given.
    #[arg(long)]
    length: Option<usize>,
}

/// A ring of messages, each ready but for its number.
pub(crate) struct Messages {
    ring: Vec<Vec<u8>>,
    next: u64,
}

impl Messages {
    /// Messages for `transport`, the first of them with the number `first`.
    pub(crate) fn new(transport: Transport, shape: Shape, first: u64) -> Self {
        let kinds = TEXTS.len() * SEVERITIES.len();
        let programs = shape.programs.map_or(1, |programs| programs as usize);
        let number = kinds.next_multiple_of(programs);
        let ring = (0..number)
            .map(|index| message(transport, shape, index))
            .collect();
        Self { ring, next: first }
    }

    /// The number of the next one.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> &[u8] {
        let count = self.ring.len() as u64;
        let index = usize::try_from(self.next % count).expect("it is within the ring");
        let message = &mut self.ring[index];
        let start = message.len() - DIGITS;
        let mut rest = self.next;
        for digit in message[start..].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
        self.next += 1;
        message
    }
}

fn message(transport: Transport, shape: Shape, index: usize) -> Vec<u8> {
    let (facility, tag, text) = TEXTS[index % TEXTS.len()];
    let pri = facility * 8 + SEVERITIES[index / TEXTS.len() % SEVERITIES.len()];
    let pid = 300 + index * 37;
    let program = shape
        .programs
        .map(|all| format!("p{}", index % all as usize));
    let tag = program.as_deref().unwrap_or(tag);
    let host = index % 9;
    let mut message = match transport {
        Transport::Unix => format!("<{pri}>Nov 22 11:00:07 {tag}[{pid}]: "),
        Transport::Udp | Transport::Tcp if index.is_multiple_of(2) => {
            format!("<{pri}>Nov 22 11:00:07 web-{host} {tag}[{pid}]: ")
        }
        Transport::TcpCounted | Transport::Udp | Transport::Tcp => {
            let structured = if index.is_multiple_of(4) && shape.length.is_none() {
                "[meta@32473 sequence=\"4711\" node=\"a7\"]"
            } else {
                "-"
            };
            let stamp = "2026-11-22T11:00:07.123456Z";
            format!("<{pri}>1 {stamp} web-{host}.example.com {tag} {pid} - {structured} ")
        }
    }
    .into_bytes();
    let tail = MARK.len() + DIGITS;
    let least = message.len();
    message.extend_from_slice(text.as_bytes());
    let udp = (transport == Transport::Udp).then_some(UDP_LENGTH);
    if let Some(length) = shape.length.or(udp) {
        message.resize(length.saturating_sub(tail).max(least), b'.');
    }
    message.extend_from_slice(MARK);
    message.resize(message.len() + DIGITS, b'0');
    message
}

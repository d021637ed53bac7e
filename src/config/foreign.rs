//! Lines of other daemons' languages, which are refused with a word on what to write instead.

use super::piece::{Piece, Problem};

/// The refusal of a line that belongs to another daemon.
pub(super) fn refuse(line: Piece<'_>) -> Option<Problem> {
    let (_, message, help) = FOREIGN
        .iter()
        .find(|(prefix, _, _)| line.text.starts_with(prefix))?;
    Some(line.error("E109", format!("{message}, line ignored"), *help))
}

const RSYSLOG: &str = "this is rsyslog's language";
const RSYSLOG_HELP: &str = "write rules as in syslog.conf(5): selector, blank, destination";
const SYSLOG_NG: &str = "this is syslog-ng's language";
const SYSLOG_NG_HELP: &str = "write rules as in syslog.conf(5), such as *.info /var/log/messages";

/// How such lines begin.
const FOREIGN: [(&str, &str, &str); 19] = [
    (
        "$IncludeConfig",
        RSYSLOG,
        "write include /etc/syslog.d/*.conf",
    ),
    ("$UDPServerRun", RSYSLOG, "write listen udp://:514"),
    ("$InputTCPServerRun", RSYSLOG, "write listen tcp://:514"),
    (
        "$ModLoad",
        RSYSLOG,
        "remove it: what we can do needs no modules",
    ),
    (
        "module(",
        RSYSLOG,
        "remove it: what we can do needs no modules",
    ),
    (
        "$File",
        RSYSLOG,
        "write ;owner=NAME,group=NAME,mode=0640 after the destination",
    ),
    ("$", RSYSLOG, RSYSLOG_HELP),
    (
        "input(",
        RSYSLOG,
        "write listen udp://:514 or listen tcp://:514",
    ),
    ("include(", RSYSLOG, "write include /etc/syslog.d/*.conf"),
    ("global(", RSYSLOG, RSYSLOG_HELP),
    (
        "template(",
        RSYSLOG,
        "write ;RFC3164 or ;RFC5424 after the destination",
    ),
    ("ruleset(", RSYSLOG, RSYSLOG_HELP),
    ("action(", RSYSLOG, RSYSLOG_HELP),
    (
        "if ",
        RSYSLOG,
        "write :property, operator, \"value\" on a line above the rules",
    ),
    (
        "&",
        RSYSLOG,
        "write the selector and the block again for the second destination",
    ),
    ("@version:", SYSLOG_NG, SYSLOG_NG_HELP),
    ("@include", SYSLOG_NG, "write include /etc/syslog.d/*.conf"),
    ("source s_", SYSLOG_NG, SYSLOG_NG_HELP),
    ("destination d_", SYSLOG_NG, SYSLOG_NG_HELP),
];

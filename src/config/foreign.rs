//! Lines of other daemons' languages, which are refused with a word on what to write instead.

use super::keyword::MESSAGE_SIZES;
use super::piece::{Piece, Problem};
use super::size;

/// The refusal of a line that belongs to another daemon.
pub(super) fn refuse(line: Piece<'_>) -> Option<Problem> {
    let (prefix, message, help) = FOREIGN
        .iter()
        .find(|(prefix, _, _)| line.text.starts_with(prefix))?;
    let help = match *prefix {
        "$ModLoad" | "module(" | "input(" => of_module(line.text).unwrap_or_else(|| (*help).into()),
        "$UDPServerRun" => format!("write listen udp://:{}", port(line.text)),
        "$InputTCPServerRun" => format!("write listen tcp://:{}", port(line.text)),
        "$" | "global(" | "options {" => of_length(line.text).unwrap_or_else(|| (*help).into()),
        _ => (*help).to_owned(),
    };
    Some(line.error("E109", format!("{message}, line ignored"), help))
}

/// What stands here for a module of rsyslog.
fn of_module(line: &str) -> Option<String> {
    let line = line.to_ascii_lowercase();
    let is_named = |name: &&(&str, &str)| line.contains(name.0);
    let (_, help) = MODULES.iter().find(is_named)?;
    Some(help.replace("PORT", port(&line)))
}

/// What stands here for the greatest length of a message, as `$MaxMessageSize 64k` gives it; 64k if it is none that
/// we know.
fn of_length(line: &str) -> Option<String> {
    let line = line.to_ascii_lowercase();
    let names = ["maxmessagesize", "log_msg_size", "log-msg-size"];
    let value = names
        .iter()
        .find_map(|name| Some(line.split_once(name)?.1))?;
    let value = value.trim_start_matches([' ', '\t', '=', '(', '"', '\'']);
    let value = value.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let octets = size::size(value).ok();
    let is_known = octets
        .and_then(|octets| usize::try_from(octets).ok())
        .is_some_and(|octets| MESSAGE_SIZES.contains(&octets));
    let value = if is_known { value } else { "64k" };
    Some(format!("write max_message_size {value}"))
}

/// The number that `port="514"` or the end of the line names; 514 if there is none.
fn port(line: &str) -> &str {
    let (_, value) = line
        .split_once("port=")
        .or_else(|| line.trim_end().rsplit_once([' ', '\t']))
        .unwrap_or_default();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| !c.is_ascii_digit());
    match value.get(..end.unwrap_or(value.len())) {
        Some(digits) if (1..=5).contains(&digits.len()) => digits,
        Some(_) | None => "514",
    }
}

/// The modules of rsyslog, and what to write instead.
const MODULES: [(&str, &str); 7] = [
    ("imudp", "write listen udp://:PORT"),
    ("imtcp", "write listen tcp://:PORT"),
    ("imptcp", "write listen tcp://:PORT"),
    (
        "imuxsock",
        "remove it: /dev/log is received on anyway; for another socket write listen unixgram:///PATH",
    ),
    (
        "imklog",
        "remove it: the log of the kernel is read unless the option -K is given",
    ),
    (
        "imkmsg",
        "remove it: the log of the kernel is read unless the option -K is given",
    ),
    ("immark", "remove it: the option -m says how often to mark"),
];

const RSYSLOG: &str = "this is rsyslog's language";
const RSYSLOG_HELP: &str = "write rules as in syslog.conf(5): selector, blank, destination";
const LEAVE_OUT: &str = "nothing ends the search here: leave these messages out of the rules below, as with \
                         mail.none or a block !-NAME";
const SYSLOG_NG: &str = "this is syslog-ng's language";
const SYSLOG_NG_HELP: &str = "write rules as in syslog.conf(5), such as *.info /var/log/messages";

/// How such lines begin.
const FOREIGN: [(&str, &str, &str); 22] = [
    (
        "$IncludeConfig",
        RSYSLOG,
        "write include /etc/syslog.d/*.conf",
    ),
    ("$UDPServerRun", RSYSLOG, ""),
    ("$InputTCPServerRun", RSYSLOG, ""),
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
    ("& stop", RSYSLOG, LEAVE_OUT),
    ("& ~", RSYSLOG, LEAVE_OUT),
    (
        "&",
        RSYSLOG,
        "write the selector and the block again for the second destination",
    ),
    ("@version:", SYSLOG_NG, SYSLOG_NG_HELP),
    ("@include", SYSLOG_NG, "write include /etc/syslog.d/*.conf"),
    ("options {", SYSLOG_NG, SYSLOG_NG_HELP),
    ("source s_", SYSLOG_NG, SYSLOG_NG_HELP),
    ("destination d_", SYSLOG_NG, SYSLOG_NG_HELP),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_rsyslog_is_told_what_stands_for_it() {
        for (line, want) in [
            ("$ModLoad imudp", "write listen udp://:514"),
            ("$ModLoad imtcp.so", "write listen tcp://:514"),
            ("$UDPServerRun 5514", "write listen udp://:5514"),
            ("$InputTCPServerRun\t601", "write listen tcp://:601"),
            ("$UDPServerRun", "write listen udp://:514"),
            ("module(load=\"imtcp\")", "write listen tcp://:514"),
            (
                "input(type=\"imudp\" port=\"10514\")",
                "write listen udp://:10514",
            ),
            (
                "input(type=\"imtcp\" Port='99999999')",
                "write listen tcp://:514",
            ),
            (
                "module(load=\"imklog\")",
                "remove it: the log of the kernel",
            ),
            ("$ModLoad immark", "remove it: the option -m"),
            ("$ModLoad omprog", "remove it: what we can do"),
            ("$MaxMessageSize 64k", "write max_message_size 64k"),
            ("$maxMessageSize\t16384", "write max_message_size 16384"),
            (
                "global(workDirectory=\"/x\" maxMessageSize=\"32k\")",
                "write max_message_size 32k",
            ),
            (
                "global(maxMessageSize=\"1m\")",
                "write max_message_size 64k",
            ),
            ("global(workDirectory=\"/x\")", "write rules as"),
            (
                "options { log-msg-size(65536); };",
                "write max_message_size 65536",
            ),
            ("options { chain_hostnames(no); };", "write rules as"),
            ("& stop", "nothing ends the search here"),
            ("& ~", "nothing ends the search here"),
            ("& /var/log/x", "write the selector and the block again"),
        ] {
            let help = refuse(Piece::new(line)).and_then(|problem| problem.help);
            let help = help.unwrap_or_else(|| panic!("{line} is not refused"));
            assert!(help.starts_with(want), "{line}: {help}");
        }
        assert!(refuse(Piece::new("mail.*\t/var/log/mail")).is_none());
    }
}

//! Rules to measure with.

#![allow(
    clippy::allow_attributes,
    dead_code,
    reason = "each bench and test takes what it needs"
)]

use std::fmt::Write as _;

/// The classic rules of Debian, without its printers.
pub(crate) const DEBIAN: &str = "\
auth,authpriv.*                 /var/log/auth.log
*.*;auth,authpriv.none          -/var/log/syslog
cron.*                          /var/log/cron.log
daemon.*                        -/var/log/daemon.log
kern.*                          -/var/log/kern.log
mail.*                          -/var/log/mail.log
user.*                          -/var/log/user.log
mail.info                       -/var/log/mail.info
mail.warn                       -/var/log/mail.warn
mail.err                        /var/log/mail.err
*.=debug;auth,authpriv.none;mail.none                   -/var/log/debug
*.=info;*.=notice;*.=warn;auth,authpriv.none;cron,daemon.none;mail.none     -/var/log/messages
*.emerg                         *
";

/// What decides about a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// Its selector: one rule takes the message, the others are for other facilities.
    Pri,
    /// Its program, after its selector took everything; only the last is the message's.
    Program,
    /// `contains`, which no message passes.
    Text,
    /// `icase_contains`, which no message passes.
    TextInAnyCase,
    /// `regex`, which no message passes.
    Regex,
}

/// `count` rules for a message of `auth` and `sshd`.
pub(crate) fn rules(by: By, count: usize) -> String {
    let mut text = String::new();
    for rule in 1..=count {
        let last = rule == count;
        let line = match by {
            By::Pri if last => "auth.* /log".to_owned(),
            By::Pri => format!("local{}.* /log", rule % 8),
            By::Program if last => "!sshd\n*.* /log".to_owned(),
            By::Program => format!("!prog{rule}\n*.* /log"),
            By::Text => format!(":msg, contains, \"word{rule}\"\n*.* /log"),
            By::TextInAnyCase => format!(":msg, icase_contains, \"word{rule}\"\n*.* /log"),
            By::Regex => format!(":msg, ereregex, \"port [0-9]+ .*word{rule}\"\n*.* /log"),
        };
        writeln!(text, "{line}").expect("memory");
    }
    text
}

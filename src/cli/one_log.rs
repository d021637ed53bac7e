//! What is logged where when options say it, and no configuration: busybox's way.
//!
//! ```text
//! -O /var/log/messages -s 200 -b 1       one file, rotated at 200 KiB, one old file kept
//! -R loghost -L                          to a remote, and to the file as well
//! ```

use std::path::PathBuf;

/// One log file, remotes, or both.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OneLog {
    /// Without a configuration, log to this file; "-" is standard output
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Without a configuration, forward to this host, and log to the file only with --log-locally
    #[arg(long = "forward", value_name = "HOST[:PORT]")]
    pub forwards: Vec<String>,

    /// With --forward, log to the file as well
    #[arg(long)]
    pub log_locally: bool,

    /// Rotate the log file at this size; 0 never
    #[arg(long, value_name = "KIB", default_value_t = 200)]
    pub log_size: u64,

    /// Keep so many rotated log files
    #[arg(long, value_name = "COUNT", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(0..=99))]
    pub log_count: u32,

    /// Log what is more urgent than this only: 1 is emerg alone, 8 is everything
    #[arg(long, value_name = "1-8", default_value_t = 8,
        value_parser = clap::value_parser!(u8).range(1..=8))]
    pub log_priority: u8,
}

/// The severities that `--log-priority` counts, from the most urgent.
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

impl OneLog {
    /// The configuration that says the same; `None` if no option asks for one.
    pub fn configuration(&self) -> Option<String> {
        use std::fmt::Write as _;

        if self.log_file.is_none() && self.forwards.is_empty() {
            return None;
        }
        let least = usize::from(self.log_priority.saturating_sub(1));
        let severity = SEVERITIES.get(least).unwrap_or(&"debug");
        let mut text = String::new();
        for remote in &self.forwards {
            _ = writeln!(text, "*.{severity}\t@{remote}");
        }
        if let Some(file) = &self.log_file
            && (self.forwards.is_empty() || self.log_locally)
        {
            _ = match (file.to_str(), self.log_size) {
                (Some("-"), _) => writeln!(text, "*.{severity}\t-/dev/stdout"),
                (_, 0) => writeln!(text, "*.{severity}\t-{}", file.display()),
                (_, size) => writeln!(
                    text,
                    "*.{severity}\t-{}\t;rotate={size}k:{}",
                    file.display(),
                    self.log_count
                ),
            };
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(file: Option<&str>, forwards: &[&str]) -> OneLog {
        OneLog {
            log_file: file.map(PathBuf::from),
            forwards: forwards.iter().map(ToString::to_string).collect(),
            log_locally: false,
            log_size: 200,
            log_count: 1,
            log_priority: 8,
        }
    }

    #[test]
    fn the_options_of_busybox_are_a_configuration() {
        let local = |log| OneLog {
            log_locally: true,
            ..log
        };
        for (log, want) in [
            (log(None, &[]), None),
            (log(Some("/l"), &[]), Some("*.debug\t-/l\t;rotate=200k:1\n")),
            (log(Some("-"), &[]), Some("*.debug\t-/dev/stdout\n")),
            (log(Some("/l"), &["h:1"]), Some("*.debug\t@h:1\n")),
            (
                local(log(Some("/l"), &["h"])),
                Some("*.debug\t@h\n*.debug\t-/l\t;rotate=200k:1\n"),
            ),
            (
                OneLog {
                    log_size: 0,
                    log_priority: 4,
                    ..log(Some("/l"), &[])
                },
                Some("*.err\t-/l\n"),
            ),
        ] {
            assert_eq!(log.configuration().as_deref(), want, "{log:?}");
        }
    }
}

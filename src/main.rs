//! syslogd: parse the arguments, run, and say in one line why it ended.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match syslogd::cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(usage) => return usage.print(), // --help is 0, a mistake is 64 (EX_USAGE)
    };
    match syslogd::daemon::run(arguments) {
        Ok(status) => status,
        Err(error) => {
            syslogd::report::fatal(&error);
            ExitCode::from(error.sysexit())
        }
    }
}

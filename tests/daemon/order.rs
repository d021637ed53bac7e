//! The order of one sender's messages, in every output.

use crate::support::Daemon;

#[test]
fn two_forms_in_one_file_keep_the_order_of_a_sender() {
    let daemon = Daemon::start("mail.*\t{dir}/log\nuser.*\t{dir}/log\t;RFC5424\n");
    let count = 200;
    for number in 0..count {
        let pri = if number % 3 == 0 { 22 } else { 14 };
        daemon.unix(format!("<{pri}>app: number {number}."));
    }
    let lines = daemon.file("log").wait_for_lines(count);
    let number = |line: &String| line.rsplit("number ").next().map(str::to_owned);
    let got: Vec<_> = lines.iter().filter_map(number).collect();
    let want: Vec<_> = (0..count).map(|number| format!("{number}.")).collect();
    assert_eq!(got, want);
    daemon.finish();
}

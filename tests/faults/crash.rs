//! `kill -9`: what was written stays, whole and once (F1).

use super::sequence::{Verdict, lines_of, message};
use crate::support::Setup;

#[test]
fn what_was_written_before_a_kill_is_there_once_after_it() {
    let mut setup = Setup::new("user.*\t{dir}/log;rotate=16k:50\n");
    let (rounds, each) = (5, 500);
    for round in 0..rounds {
        let daemon = setup.start();
        for number in round * each..(round + 1) * each {
            daemon.unix(message("a", number));
        }
        let last = message("a", (round + 1) * each - 1);
        let last = last.split_once(' ').expect("it has a tag").1;
        daemon.file("log").wait_for(last);
        setup = daemon.crash();
    }
    let verdict = Verdict::of(&lines_of(&setup.path("log")), &[("a", rounds * each)]);
    assert_eq!(verdict.lost(), 0);
    assert_eq!(verdict, Verdict::default());
    setup.start().finish();
}

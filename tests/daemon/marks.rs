//! "-- MARK --": the sign of life that `-m` asks for.

use crate::support::{Daemon, Setup, hostname};

const RULES: &str = "mark.*\t{dir}/mark\n\
                     *.*\t{dir}/star\n\
                     *.*;mark.none\t{dir}/none\n\
                     syslog.*;user.*\t{dir}/other\n";

/// A daemon of this family that marks each second, the shortest that can be asked for.
fn marking(family: &str) -> Daemon {
    let arguments = ["--compat", family, "--mark=1s", "-cc"];
    Setup::new(RULES).arguments(&arguments).start()
}

#[test]
fn a_mark_goes_to_the_rules_that_name_it_and_to_a_star_but_on_the_bsds() {
    let [linux, bsd] = ["sysklogd", "freebsd"].map(marking);
    for daemon in [&linux, &bsd] {
        let line = daemon.file("mark").wait_for("MARK");
        let (_, rest) = line.split_at(16);
        let want = format!("{} syslogd[{}]: -- MARK --", hostname(), daemon.pid());
        assert_eq!(rest, want);
    }
    linux.file("star").wait_for("-- MARK --");
    let marked = |daemon: &Daemon, file: &str| {
        let lines = daemon.file(file).lines();
        lines.iter().any(|line| line.contains("MARK"))
    };
    for (daemon, files) in [
        (&linux, &["none", "other"][..]),
        (&bsd, &["star", "none", "other"]),
    ] {
        daemon.quiet();
        for file in files {
            assert!(!marked(daemon, file), "{file}");
        }
    }
    linux.finish();
    bsd.finish();
}

//! Long options that are not written in full, as `getopt_long(3)` and argp(3) take them.
//!
//! ```text
//! --foreg        --foreground, as nothing else begins so
//! --no-d         --no-dns; but --no-detach where inetutils' own options come first
//! --for          --foreground, --forward, …: a mistake, told with all of them
//! ```

use clap::CommandFactory as _;

use super::Arguments;
use super::families::Family;

/// What the beginning of a long option stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Completed {
    /// One option, or one whose whole name was written.
    One(String),
    /// Any of these.
    Several(Vec<String>),
    /// Nothing that is known.
    None,
}

/// Finds the option of a name without its dashes. The names of the family come before ours: what was
/// no mistake there must not become one.
pub(super) fn complete(written: &str, family: &Family) -> Completed {
    let mut command = Arguments::command();
    command.build();
    let ours: Vec<&str> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .filter_map(clap::Arg::get_long)
        .collect();
    let foreign = family.long.iter().map(|(name, _)| *name);
    let shared = family.shared.iter().copied();
    let own: Vec<&str> = foreign.chain(shared).collect();
    if own.contains(&written) || ours.contains(&written) {
        return Completed::One(written.to_owned());
    }
    for names in [own, ours] {
        let mut found: Vec<String> = names
            .into_iter()
            .filter(|name| !written.is_empty() && name.starts_with(written))
            .map(str::to_owned)
            .collect();
        found.sort_unstable();
        match found.len() {
            0 => {}
            1 => return found.pop().map_or(Completed::None, Completed::One),
            _ => return Completed::Several(found),
        }
    }
    Completed::None
}

/// Whether this is `--compat`, or enough of it; without the value.
pub(super) fn is_compat(argument: &[u8]) -> bool {
    argument.starts_with(b"--com") && b"--compat".starts_with(argument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Dialect;
    use crate::cli::families::family;

    #[test]
    fn the_beginning_of_a_name_is_enough_if_nothing_else_begins_so() {
        for (dialect, written, want) in [
            (None, "foreground", &["foreground"][..]),
            (None, "foreg", &["foreground"]),
            (None, "com", &["compat"]),
            (None, "conf", &["config"]),
            (None, "co", &["compat", "config", "control"]),
            (None, "cont", &["control"]),
            (None, "ver", &["verbose", "version"]),
            (None, "forward", &["forward"]),
            (
                None,
                "forward-",
                &["forward-all", "forward-back", "forward-local"],
            ),
            (None, "line-s", &[]),
            (None, "Foreg", &[]),
            (None, "", &[]),
            (Some(Dialect::Busybox), "utc", &["utc-time"]),
            (Some(Dialect::Inetutils), "no-f", &["no-forward"]),
            (Some(Dialect::Inetutils), "no-d", &["no-detach"]),
            (Some(Dialect::Inetutils), "rc", &["rcdir", "rcfile"]),
            (Some(Dialect::Inetutils), "rcf", &["rcfile"]),
            (Some(Dialect::Inetutils), "b", &["bind", "bind-port"]),
            (Some(Dialect::Inetutils), "m", &["mark"]),
            (Some(Dialect::Inetutils), "ipv", &["ipv4", "ipv6"]),
            (Some(Dialect::Inetutils), "utc", &["utc-time"]),
        ] {
            let got = match complete(written, &family(dialect)) {
                Completed::One(name) => vec![name],
                Completed::Several(names) => names,
                Completed::None => Vec::new(),
            };
            assert_eq!(got, want, "{dialect:?} --{written}");
        }
    }

    #[test]
    fn the_dialect_is_chosen_by_a_beginning_that_stands_for_it_alone() {
        for length in 0..="--compat".len() {
            let (written, _) = "--compat".split_at(length);
            let name = written.strip_prefix("--").unwrap_or_default();
            let stands = complete(name, &family(None)) == Completed::One("compat".to_owned());
            assert_eq!(is_compat(written.as_bytes()), stands, "{written}");
        }
    }
}

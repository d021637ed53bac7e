//! Mount and network namespaces of a test's own, so that the host never sees what it does as root.

use std::process::Command;

use super::skip;

/// Set for the copy of a test that runs in the namespaces.
const INSIDE: &str = "SYSLOGD_TEST_INSIDE_NAMESPACES";

/// A /dev of our own without a log, with loop devices, and the system's files behind glass; then the test. A
/// namespace has mounts of its own, and no files of its own.
const PREPARE: &str = r#"
    set -e
    for system in /etc /usr /boot; do
        [ ! -d "$system" ] || mount --bind -o ro "$system" "$system"
    done
    dev=$(mktemp -d)
    mount -t tmpfs none "$dev"
    for name in null zero full random urandom; do
        touch "$dev/$name"
        mount --bind "/dev/$name" "$dev/$name"
    done
    # For the disks of some tests, where that is allowed.
    mknod "$dev/loop-control" c 10 237 || :
    for number in 0 1 2 3 4 5 6 7; do mknod "$dev/loop$number" b 7 "$number" || :; done
    mount --move "$dev" /dev
    rmdir "$dev"
    ip link set lo up
    exec "$0" "$@"
"#;

/// Whether this is the copy of `test`, named as in `cargo test`, that runs in the namespaces. Otherwise starts that copy, or says
/// why it cannot.
pub(crate) fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !nix::unistd::geteuid().is_root() {
        skip("needs root");
        return false;
    }
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "--propagation", "private", "sh", "-c"])
            .args(arguments);
        command.env(INSIDE, "1").output()
    };
    let possible = unshare(&["mount -t tmpfs none /mnt && ip link set lo up"]);
    if !possible.is_ok_and(|output| output.status.success()) {
        skip("needs unshare(1), ip(8) and the right to mount");
        return false;
    }
    let own = std::env::current_exe().expect("we are a file");
    let own = own.to_str().expect("UTF-8");
    let output = unshare(&[PREPARE, own, "--exact", test, "--nocapture"]).expect("it was possible");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in the namespaces: {said}");
    assert!(said.contains("1 passed"), "{said}");
    for why in said.lines().filter_map(|line| line.strip_prefix("SKIP: ")) {
        skip(why);
    }
    false
}

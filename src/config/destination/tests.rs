use super::*;
use crate::cli::Dialect;

fn read(text: &str) -> Result<Target, Problem> {
    read_as(LoadOptions::default(), text)
}

fn read_as(options: LoadOptions, text: &str) -> Result<Target, Problem> {
    parse(Piece::new(text), options, false, &mut Vec::new())
}

#[test]
fn section_1_a_destination_shows_as_it_was_written() {
    for (text, want) in [
        ("/var/log/x", "File /var/log/x"),
        ("-/var/log/x", "File /var/log/x"),
        ("/dev/null", "File /dev/null"),
        ("/dev/stdout", "File /dev/stdout"),
        ("/dev/console", "Terminal /dev/console"),
        ("/dev/tty10", "Terminal /dev/tty10"),
        ("/dev/ttyS0", "Terminal /dev/ttyS0"),
        ("/dev/pts/3", "Terminal /dev/pts/3"),
        ("/dev/hvc0", "Terminal /dev/hvc0"),
        ("|/dev/xconsole", "Fifo |/dev/xconsole"),
        ("@loghost", "Forward @loghost:514"),
        ("@LogHost:1514", "Forward @loghost:1514"),
        ("@::1", "Forward @[::1]:514"),
        ("@[fe80::1]:515", "Forward @[fe80::1]:515"),
        ("@udp://h:1", "Forward @h:1"),
        ("@tcp://h", "Forward @tcp://h:514"),
        ("@tcp://[::1]:601", "Forward @tcp://[::1]:601"),
        ("@udp4://h:1", "Forward @udp4://h:1"),
        ("@UDP6://h", "Forward @udp6://h:514"),
        ("@tcp4://h:1", "Forward @tcp4://h:1"),
        ("@tcp6://[::1]:1", "Forward @tcp6://[::1]:1"),
        ("@@h:10514", "Forward @@h:10514"),
        ("root", "Users root"),
        ("root, joe", "Users joe,root"),
        ("*", "Everyone *"),
        (":64:debug", "Memory :debug"),
    ] {
        let target = read(text).unwrap_or_else(|problem| panic!("{text}: {}", problem.message));
        let kind = match &target.destination {
            Destination::File(_) => "File",
            Destination::Fifo(_) => "Fifo",
            Destination::Command(_) => "Command",
            Destination::Terminal(_) => "Terminal",
            Destination::Users(_) => "Users",
            Destination::Everyone => "Everyone",
            Destination::Forward(_) => "Forward",
            Destination::Memory(_) => "Memory",
        };
        assert_eq!(format!("{kind} {}", target.destination), want, "{text}");
        assert_eq!(target.relaxed, text.starts_with('-'), "{text}");
    }
}

#[test]
fn section_3_a_bar_is_a_command_to_the_bsds() {
    let freebsd = LoadOptions::from(Dialect::Freebsd);
    for (text, want) in [
        ("|/usr/bin/filter -x", "|/usr/bin/filter -x"),
        ("| exec cat > /f", "|exec cat > /f"),
        ("|/dev/xconsole", "|/dev/xconsole"),
    ] {
        let destination = read_as(freebsd, text).map(|target| target.destination);
        let destination = destination.expect("a command");
        assert!(matches!(destination, Destination::Command(_)), "{text}");
        assert_eq!(destination.to_string(), want);
    }
    let refused = read_as(freebsd, "| ").map_err(|problem| problem.code);
    assert_eq!(refused, Err("E102"));
}

#[test]
fn a_users_name_that_looks_like_a_path_is_a_warning() {
    for (text, want) in [
        ("var/log/mail", &["W004"][..]),
        ("messages.log", &["W004"]),
        ("console", &["W004"]),
        ("root,xconsole", &["W004"]),
        ("root", &[]),
    ] {
        let mut warnings = Vec::new();
        let target = parse(
            Piece::new(text),
            LoadOptions::default(),
            false,
            &mut warnings,
        );
        let codes: Vec<&str> = warnings.iter().map(|warning| warning.code).collect();
        assert!(target.is_ok(), "{text}");
        assert_eq!(codes, want, "{text}");
    }
}

#[test]
fn a_path_with_a_part_that_others_replace_is_a_warning() {
    for (text, want) in [
        ("/var/log/$HOST/messages", &["W023"][..]),
        ("-/var/log/${HOST}.log", &["W023"]),
        ("/var/log/$YEAR$MONTH", &["W023"]),
        ("/var/log/%HOSTNAME%.log", &["W023"]),
        ("/var/log/%$YEAR%/x", &["W023"]),
        ("/var/log/%Y-%m", &["W023"]),
        ("/var/log/cost$", &[]),
        ("/var/log/$1", &[]),
        ("/var/log/100%", &[]),
        ("/var/log/a%20b", &[]),
    ] {
        let mut warnings = Vec::new();
        let piece = Piece::new(text);
        let target = parse(piece, LoadOptions::default(), false, &mut warnings);
        assert!(target.is_ok(), "{text}");
        let told: Vec<&str> = warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(told, want, "{text}");
    }
}

#[test]
fn a_host_without_its_sign_or_its_brackets_is_told_how_it_is_written() {
    let problem = read("loghost:514").expect_err("no user");
    assert_eq!(
        problem.help.as_deref(),
        Some("a host begins with @: write @loghost:514")
    );
    for (text, want) in [
        ("@2001:db8::1:514", Some("write @[2001:db8::1]:514 if")),
        ("@tcp://::1:601", Some("write @[::1]:601 if")),
        ("@2001:db8::1", None),
        ("@::514", None),
        ("@[2001:db8::1:514]", None),
        ("@2001:db8:0:0:0:0:1:514", None),
    ] {
        let mut warnings = Vec::new();
        let piece = Piece::new(text);
        let target = parse(piece, LoadOptions::default(), false, &mut warnings);
        assert!(target.is_ok(), "{text}");
        let help = warnings.first().and_then(|warning| warning.help.as_deref());
        assert_eq!(help.is_some(), want.is_some(), "{text}");
        let begins = help
            .zip(want)
            .is_none_or(|(help, want)| help.starts_with(want));
        assert!(begins, "{text}: {help:?}");
    }
}

#[test]
fn section_6_a_memory_buffer_has_4_to_256_kib() {
    for (text, want, codes) in [
        (":4:a", 4, &[][..]),
        (":64:DEBUG7", 64, &[]),
        (":256:a", 256, &[]),
        (":3:a", 4, &["W021"]),
    ] {
        let mut warnings = Vec::new();
        let piece = Piece::new(text);
        let target = parse(piece, LoadOptions::default(), false, &mut warnings);
        let capacity = target.map(|target| target.capacity).ok();
        assert_eq!(capacity, Some(want * 1024), "{text}");
        let told: Vec<&str> = warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(told, codes, "{text}");
    }
    let longest = "a".repeat(LONGEST_NAME);
    assert!(read(&format!(":64:{longest}")).is_ok());
    assert!(read(&format!(":64:{longest}a")).is_err());
}

#[test]
fn what_is_no_destination_is_refused() {
    for (text, code) in [
        ("", "E102"),
        ("-x", "E102"),
        ("/var/log/", "E102"),
        ("/var/log/x y", "E102"),
        ("@", "E102"),
        ("@h:0", "E102"),
        ("@h:x", "E102"),
        ("@[::1", "E102"),
        ("@-h", "E102"),
        ("@foo://h", "E102"),
        ("@udp4://[::1]", "E102"),
        ("@tcp6://127.0.0.1", "E102"),
        ("@tls://h", "E110"),
        ("@relp://h", "E110"),
        ("@(z9)h", "E109"),
        ("|/bin/cat -", "E109"),
        ("|cat", "E109"),
        (":64", "E102"),
        ("::debug", "E102"),
        (":0:debug", "E102"),
        (":064:debug", "E102"),
        (":+64:debug", "E102"),
        (":64k:debug", "E102"),
        (":257:debug", "E102"),
        (":99999999999999999999:debug", "E102"),
        (":64:", "E102"),
        (":64:a.b", "E102"),
        (":64:a b", "E102"),
        (":64:\u{e4}", "E102"),
        (":omusrmsg:*", "E109"),
        ("~", "E109"),
        ("stop", "E109"),
        ("^prog", "E109"),
        ("?Dyn", "E109"),
        ("root joe", "E102"),
        ("root,,joe", "E102"),
        ("*,root", "E102"),
    ] {
        assert_eq!(
            read(text).map_err(|problem| problem.code),
            Err(code),
            "{text}"
        );
    }
}

//! Any text is some configuration of every family: spans lie in their files, and every diagnostic can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::cli::Dialect;
use syslogd::config::{self, Loaded, Span};

fuzz_target!(|octets: &[u8]| {
    let text = String::from_utf8_lossy(octets);
    for (dialect, _) in Dialect::ALL {
        let files = [("main.conf", &*text), ("sub.conf", &*text)];
        check(&config::parse_files_as(dialect.into(), &files));
    }
});

fn check(loaded: &Loaded) {
    let check = |span: Span| {
        let text = loaded.sources.text(span.file);
        assert!(
            text.get(span.start as usize..span.end as usize).is_some(),
            "{span:?}"
        );
    };
    for rule in &loaded.config.rules {
        check(rule.span);
        check(rule.action_span);
        assert!(!rule.destination.to_string().is_empty());
    }
    for diagnostic in loaded.diagnostics.iter().chain(&loaded.suspicions) {
        check(diagnostic.span);
        diagnostic
            .secondary
            .iter()
            .for_each(|(span, _)| check(*span));
        let shown = diagnostic.render(&loaded.sources, false);
        assert!(shown.contains(&diagnostic.message), "{shown}");
    }
}

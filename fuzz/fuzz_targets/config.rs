//! Any text is some configuration: spans lie in their files, and every diagnostic can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::cli::Dialect;
use syslogd::config::{self, Span};

fuzz_target!(|octets: &[u8]| {
    let (first, octets) = octets.split_first().unwrap_or((&0, octets));
    let (dialect, _) = Dialect::ALL[usize::from(*first) % Dialect::ALL.len()];
    let text = String::from_utf8_lossy(octets);
    let files = [("main.conf", &*text), ("sub.conf", &*text)];
    let loaded = config::parse_files_as(dialect.into(), &files);
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
    for diagnostic in &loaded.diagnostics {
        check(diagnostic.span);
        diagnostic
            .secondary
            .iter()
            .for_each(|(span, _)| check(*span));
        let shown = diagnostic.render(&loaded.sources, false);
        assert!(shown.contains(&diagnostic.message), "{shown}");
    }
});

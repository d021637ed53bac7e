//! What can be asked over the control socket: one line of words.
//!
//! ```text
//! list
//! read NAME    take NAME [confirm]    clear NAME    follow NAME    overflowed NAME
//! ```

use super::take::Proof;

/// A request has at most so many octets, its line feed included.
pub(super) const LONGEST: usize = 1024;

/// What a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Request {
    /// Which memory buffers there are.
    List,
    /// Something about the memory buffer of this name.
    Ring(Verb, String),
}

/// What shall be done with a memory buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verb {
    /// Show what is in it.
    Read,
    /// Show it, and forget what was shown.
    Take(Proof),
    /// Empty it.
    Clear,
    /// Show what is in it and what comes.
    Follow,
    /// Tell whether something was overwritten.
    Overflowed,
}

const VERBS: [(&str, Verb); 5] = [
    ("read", Verb::Read),
    ("take", Verb::Take(Proof::Read)),
    ("clear", Verb::Clear),
    ("follow", Verb::Follow),
    ("overflowed", Verb::Overflowed),
];

impl Request {
    /// Reads the line of a client. A line without its end may be the beginning of another, and is none.
    ///
    /// # Errors
    /// Why it is no request, and what is: a sentence that is printable whatever was sent.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err(format!(
                "a request is one line of less than {LONGEST} octets"
            ));
        };
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let verb = |word: &str| VERBS.iter().find(|(known, _)| *known == word);
        match words.as_slice() {
            ["list"] => Ok(Self::List),
            [word, name] if name.bytes().all(|octet| octet.is_ascii_alphanumeric()) => verb(word)
                .map(|(_, verb)| Self::Ring(*verb, (*name).to_owned()))
                .ok_or_else(|| unknown(word)),
            ["take", name, "confirm"]
                if name.bytes().all(|octet| octet.is_ascii_alphanumeric()) =>
            {
                let verb = Verb::Take(Proof::Confirmed);
                Ok(Self::Ring(verb, (*name).to_owned()))
            }
            [word, _] if verb(word).is_some() => {
                let sentence = "the name of a memory buffer has letters and digits only";
                Err(sentence.to_owned())
            }
            ["list", ..] => Err("list stands alone".to_owned()),
            [word, ..] if verb(word).is_some() => Err(format!("after {word} comes one name")),
            [word, ..] => Err(unknown(word)),
            [] => Err(unknown("")),
        }
    }
}

fn unknown(word: &str) -> String {
    let word: String = word.chars().take(20).collect();
    let verbs = VERBS.map(|(verb, _)| verb).join(", ");
    format!("no request begins with {word:?}: it is list, or one of {verbs} and a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_verb_and_a_name() {
        for (line, want) in [
            ("list\n", Request::List),
            ("read debug\n", Request::Ring(Verb::Read, "debug".into())),
            (
                "take a1\r\n",
                Request::Ring(Verb::Take(Proof::Read), "a1".into()),
            ),
            (
                "take a1 confirm\n",
                Request::Ring(Verb::Take(Proof::Confirmed), "a1".into()),
            ),
            (" clear  x \n", Request::Ring(Verb::Clear, "x".into())),
            ("follow 9\n", Request::Ring(Verb::Follow, "9".into())),
            (
                "overflowed x\n",
                Request::Ring(Verb::Overflowed, "x".into()),
            ),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Ok(want), "{line:?}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_printable_sentence() {
        for line in [
            &b""[..],
            b"\n",
            b"read debug",
            b"list all\n",
            b"read\n",
            b"read a b\n",
            b"read a confirm\n",
            b"take ../x confirm\n",
            b"read ../x\n",
            b"READ debug\n",
            b"\x1b[2J\x07 \xff\n",
            b"\0\0\n",
        ] {
            let sentence = Request::parse(line).expect_err("it is no request");
            let printable = !sentence.chars().any(char::is_control);
            assert!(printable && !sentence.is_empty(), "{line:?}: {sentence:?}");
        }
    }
}

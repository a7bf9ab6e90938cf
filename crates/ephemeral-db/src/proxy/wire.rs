//! Messages of Postgres's wire protocol, version 3: a byte of kind, four of length, the body. The length counts itself.

/// The longest message that is told of: `COMMIT` and the tags of completed statements are far shorter.
const LONGEST: usize = 64;

/// Where the length ends in a message that has a kind.
const HEADER: usize = 5;

/// A short message, whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A client asks, as a simple query, for the commit of its transaction.
    pub(super) fn asks_for_commit(&self) -> bool {
        self.0[0] == b'Q' && self.text().is_some_and(|sql| sql.trim_end_matches(';').eq_ignore_ascii_case("commit"))
    }

    /// A server says which statement it has completed: `COMMIT`, `INSERT 0 1`.
    pub(super) fn completed(&self) -> Option<&str> {
        if self.0[0] == b'C' { self.text() } else { None }
    }

    /// A server refuses a statement.
    pub(super) fn is_refusal(&self) -> bool {
        self.0[0] == b'E'
    }

    /// The one text that such a message consists of.
    fn text(&self) -> Option<&str> {
        let (end, text) = self.0.get(HEADER..)?.split_last()?;
        if *end == 0 { std::str::from_utf8(text).ok() } else { None }
    }
}

/// Finds the messages in what comes from one side, however it was cut into reads. It holds back no more than the begin of
/// a message, at most [`LONGEST`] bytes.
pub(super) struct Framer {
    /// A client's first message has no kind.
    expects_kind: bool,
    begun: Vec<u8>,
    /// How much of a longer message is still to come.
    to_come: usize,
}

impl Framer {
    pub(super) fn of_client() -> Self {
        Self { expects_kind: false, begun: Vec::new(), to_come: 0 }
    }

    pub(super) fn of_server() -> Self {
        Self { expects_kind: true, begun: Vec::new(), to_come: 0 }
    }

    /// Takes from `input` up to the end of its next short message, and lays what may be passed on into `output`. `None`
    /// once the input is used up.
    pub(super) fn next(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Option<Message> {
        while !input.is_empty() {
            if self.to_come > 0 {
                let (now, later) = input.split_at(self.to_come.min(input.len()));
                output.extend_from_slice(now);
                self.to_come -= now.len();
                *input = later;
                continue;
            }
            let (byte, later) = input.split_at(1);
            self.begun.extend_from_slice(byte);
            *input = later;
            let Some(length) = self.length().filter(|length| self.begun.len() >= LONGEST.min(*length)) else {
                continue;
            };
            output.extend_from_slice(&self.begun);
            let message = Message(std::mem::take(&mut self.begun));
            self.to_come = length - message.0.len();
            let had_kind = std::mem::replace(&mut self.expects_kind, true);
            if had_kind && self.to_come == 0 {
                return Some(message);
            }
        }
        None
    }

    /// How long the message is in all, once its length has come.
    fn length(&self) -> Option<usize> {
        let kind = usize::from(self.expects_kind);
        let length = self.begun.get(kind..kind + 4)?.try_into().ok()?;
        // What is shorter than its own length is nonsense, for the other side to refuse.
        Some(kind + usize::try_from(u32::from_be_bytes(length)).ok()?.max(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// Feeds the bytes in pieces of this size: the messages found, and what was passed on.
    fn framed(mut framer: Framer, bytes: &[u8], piece: usize) -> (Vec<Message>, Vec<u8>) {
        let (mut found, mut output) = (Vec::new(), Vec::new());
        for mut input in bytes.chunks(piece) {
            while let Some(message) = framer.next(&mut input, &mut output) {
                found.push(message);
            }
        }
        (found, output)
    }

    #[test]
    fn a_commit_is_found_however_the_bytes_are_cut_and_all_of_them_are_passed_on() {
        let startup = message(0, b"\0\x03\0\0user\0postgres\0\0");
        let long = message(b'B', &b"Q\0\0\0\x0bCOMMIT\0".repeat(100));
        let bytes =
            [&startup[1..], &message(b'Q', b"BEGIN\0"), &long, b"Q\0\0\0\x0bCOMMIT\0", &message(b'X', b"")].concat();
        for piece in 1..=bytes.len() {
            let (found, output) = framed(Framer::of_client(), &bytes, piece);
            let commits: Vec<_> = found.iter().map(Message::asks_for_commit).collect();
            assert_eq!(commits, [false, true, false], "pieces of {piece}");
            assert_eq!(output, bytes, "pieces of {piece}");
        }
    }

    #[test]
    fn a_server_says_what_it_completed() {
        let long = message(b'D', &[b'C'; 1000]);
        let bytes = [&message(b'C', b"INSERT 0 1\0")[..], &long, b"C\0\0\0\x0bCOMMIT\0", &message(b'Z', b"I")].concat();
        let (found, output) = framed(Framer::of_server(), &bytes, 7);
        assert_eq!(
            found.iter().map(Message::completed).collect::<Vec<_>>(),
            [Some("INSERT 0 1"), Some("COMMIT"), None]
        );
        assert_eq!(output, bytes);
    }

    #[test]
    fn other_statements_and_other_messages_are_no_commits() {
        for (kind, body) in [(b'Q', &b"COMMIT PREPARED 'a'\0"[..]), (b'P', b"COMMIT\0"), (b'Q', b"COMMIT"), (b'Q', b"")]
        {
            let (found, _) = framed(Framer::of_server(), &message(kind, body), 100);
            assert_eq!(found.iter().map(Message::asks_for_commit).collect::<Vec<_>>(), [false], "{body:?}");
        }
        let (found, _) = framed(Framer::of_server(), &message(b'Q', b"commit;\0"), 100);
        assert!(found[0].asks_for_commit());
    }
}

//! Messages of Postgres's wire protocol, version 3.
//!
//! A message has a type byte, four bytes of length, and a body. The length includes itself and not the type.

/// The maximum length of a message that [`Framer`] returns completely. `COMMIT` and command tags are far shorter.
const MAX_LENGTH: usize = 64;

/// Ends a batch of messages.
pub(super) const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];

/// Requests the answers so far, without ending the batch.
pub(super) const FLUSH: [u8; 5] = [b'H', 0, 0, 0, 4];

/// The length of the type byte and the length field.
const HEADER: usize = 5;

/// A short message, or the beginning of a long one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Returns true for a simple query that commits the transaction.
    pub(super) fn is_commit_request(&self) -> bool {
        self.0[0] == b'Q' && self.text().is_some_and(|sql| sql.trim_end_matches(';').eq_ignore_ascii_case("commit"))
    }

    /// Returns the command tag of a completed statement, such as `COMMIT` or `INSERT 0 1`.
    pub(super) fn command_tag(&self) -> Option<&str> {
        if self.0[0] == b'C' { self.text() } else { None }
    }

    /// Returns true for the error answer of a server.
    pub(super) fn is_error(&self) -> bool {
        self.0[0] == b'E'
    }

    /// Returns true if a client sends a statement to execute, prepared or not.
    pub(super) fn is_statement(&self) -> bool {
        matches!(self.0[0], b'Q' | b'E')
    }

    /// Returns true if a client executes a prepared statement.
    pub(super) fn is_execute(&self) -> bool {
        self.0[0] == b'E'
    }

    /// Returns true for the end of a client's batch. It commits a statement outside of a transaction.
    pub(super) fn is_sync(&self) -> bool {
        self.0 == SYNC
    }

    /// Returns true if a server has completed, suspended, skipped or refused a statement.
    pub(super) fn ends_execution(&self) -> bool {
        matches!(self.0[0], b'C' | b's' | b'I' | b'E')
    }

    /// Returns whether a server that is ready for the next batch is outside of a transaction.
    pub(super) fn ready_outside_transaction(&self) -> Option<bool> {
        (self.0[0] == b'Z').then(|| self.0.last() == Some(&b'I'))
    }

    /// Returns the only text in the body.
    fn text(&self) -> Option<&str> {
        let (end, text) = self.0.get(HEADER..)?.split_last()?;
        if *end == 0 { std::str::from_utf8(text).ok() } else { None }
    }
}

/// Finds the messages in the bytes from one side, which may be split anywhere.
///
/// It holds back the beginning of a message only, at most [`MAX_LENGTH`] bytes.
pub(super) struct Framer {
    /// False for the first message of a client, which has no type byte.
    expects_type: bool,
    /// The beginning of the current message.
    buffered: Vec<u8>,
    /// The remaining length of a longer message.
    remaining: usize,
}

impl Framer {
    pub(super) fn of_client() -> Self {
        Self { expects_type: false, buffered: Vec::new(), remaining: 0 }
    }

    pub(super) fn of_server() -> Self {
        Self { expects_type: true, buffered: Vec::new(), remaining: 0 }
    }

    /// Consumes `input` up to the end of the next short message, or [`MAX_LENGTH`] bytes of the next long one. Appends the
    /// bytes to forward to `output`.
    ///
    /// Returns `None` if the input ends before that.
    pub(super) fn next(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Option<Message> {
        while !input.is_empty() {
            if self.remaining > 0 {
                self.skip(input, output);
            } else if let Some(message) = self.next_byte(input, output) {
                return Some(message);
            }
        }
        None
    }

    /// Forwards the rest of a longer message.
    fn skip(&mut self, input: &mut &[u8], output: &mut Vec<u8>) {
        let (message, rest) = input.split_at(self.remaining.min(input.len()));
        output.extend_from_slice(message);
        self.remaining -= message.len();
        *input = rest;
    }

    /// Buffers a byte. Returns the message, or its beginning, once enough of it is buffered.
    fn next_byte(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Option<Message> {
        let (byte, rest) = input.split_at(1);
        self.buffered.extend_from_slice(byte);
        *input = rest;
        let length = self.message_length().filter(|length| self.buffered.len() >= MAX_LENGTH.min(*length))?;
        output.extend_from_slice(&self.buffered);
        let message = Message(std::mem::take(&mut self.buffered));
        self.remaining = length - message.0.len();
        let had_type = std::mem::replace(&mut self.expects_type, true);
        had_type.then_some(message)
    }

    /// Returns the total length of the current message, once its length field is complete.
    fn message_length(&self) -> Option<usize> {
        let type_length = usize::from(self.expects_type);
        let length = self.buffered.get(type_length..type_length + 4)?.try_into().ok()?;
        // A length below 4 is invalid. The message is forwarded, and the other side rejects it.
        Some(type_length + usize::try_from(u32::from_be_bytes(length)).ok()?.max(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// Feeds the bytes in pieces of this size. Returns the messages and the forwarded bytes.
    fn feed(mut framer: Framer, bytes: &[u8], piece: usize) -> (Vec<Message>, Vec<u8>) {
        let (mut found, mut output) = (Vec::new(), Vec::new());
        for mut input in bytes.chunks(piece) {
            while let Some(message) = framer.next(&mut input, &mut output) {
                found.push(message);
            }
        }
        (found, output)
    }

    #[test]
    fn commit_is_found_in_split_input_and_all_bytes_are_forwarded() {
        let startup = message(0, b"\0\x03\0\0user\0postgres\0\0");
        let long = message(b'B', &b"Q\0\0\0\x0bCOMMIT\0".repeat(100));
        let bytes =
            [&startup[1..], &message(b'Q', b"BEGIN\0"), &long, b"Q\0\0\0\x0bCOMMIT\0", &message(b'X', b"")].concat();
        for piece in 1..=bytes.len() {
            let (found, output) = feed(Framer::of_client(), &bytes, piece);
            let commits: Vec<_> = found.iter().map(Message::is_commit_request).collect();
            assert_eq!(commits, [false, false, true, false], "pieces of {piece}");
            assert_eq!(output, bytes, "pieces of {piece}");
        }
    }

    #[test]
    fn command_tags_of_a_server_are_found() {
        let long = message(b'D', &[b'C'; 1000]);
        let bytes = [&message(b'C', b"INSERT 0 1\0")[..], &long, b"C\0\0\0\x0bCOMMIT\0", &message(b'Z', b"I")].concat();
        let (found, output) = feed(Framer::of_server(), &bytes, 7);
        assert_eq!(
            found.iter().map(Message::command_tag).collect::<Vec<_>>(),
            [Some("INSERT 0 1"), None, Some("COMMIT"), None]
        );
        assert_eq!(output, bytes);
    }

    #[test]
    fn other_statements_and_messages_are_not_commits() {
        for (kind, body) in [(b'Q', &b"COMMIT PREPARED 'a'\0"[..]), (b'P', b"COMMIT\0"), (b'Q', b"COMMIT"), (b'Q', b"")]
        {
            let (found, _) = feed(Framer::of_server(), &message(kind, body), 100);
            assert_eq!(found.iter().map(Message::is_commit_request).collect::<Vec<_>>(), [false], "{body:?}");
        }
        let (found, _) = feed(Framer::of_server(), &message(b'Q', b"commit;\0"), 100);
        assert!(found[0].is_commit_request());
    }
}

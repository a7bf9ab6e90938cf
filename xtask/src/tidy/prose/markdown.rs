//! Paragraphs of Markdown, which comments are written in too.

/// A piece of prose: a paragraph, a heading, a list item or the cell of a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Paragraph {
    /// Its first line in the file.
    pub(super) line: usize,
    pub(super) text: String,
    /// True for the first paragraph of a doc comment.
    pub(super) opens_doc: bool,
}

/// Returns the lines of a text with their numbers.
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

/// Splits lines into paragraphs, and leaves out fenced code.
pub(super) fn paragraphs<'text>(lines: impl Iterator<Item = (usize, &'text str)>) -> Vec<Paragraph> {
    let mut reader = Reader::default();
    for (line, text) in lines {
        reader.read(line, text.trim());
    }
    reader.close();
    reader.done
}

#[derive(Default)]
struct Reader {
    done: Vec<Paragraph>,
    open: Option<Paragraph>,
    is_in_code: bool,
}

impl Reader {
    fn read(&mut self, line: usize, text: &str) {
        if text.starts_with("```") || text.starts_with("~~~") {
            self.close();
            self.is_in_code = !self.is_in_code;
        } else if self.is_in_code {
            // Code has rules of its own.
        } else if text.is_empty() {
            self.close();
        } else if text.starts_with('|') {
            self.close();
            self.done.extend(cells(text).map(|cell| paragraph(line, cell)));
        } else if let Some(heading) = heading(text) {
            self.close();
            self.done.push(paragraph(line, heading));
        } else if let Some(item) = item(text) {
            self.close();
            self.open = Some(paragraph(line, item));
        } else if let Some(open) = &mut self.open {
            open.text.push(' ');
            open.text.push_str(text);
        } else {
            self.open = Some(paragraph(line, text));
        }
    }

    fn close(&mut self) {
        self.done.extend(self.open.take());
    }
}

fn paragraph(line: usize, text: &str) -> Paragraph {
    Paragraph { line, text: text.to_owned(), opens_doc: false }
}

fn heading(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches('#');
    (rest.len() < text.len() && rest.starts_with(' ')).then(|| rest.trim_start())
}

/// Returns the text of a list item or a quote.
fn item(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(['-', '*', '+', '>']).or_else(|| {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then(|| rest.strip_prefix('.')).flatten()
    })?;
    rest.starts_with(' ').then(|| rest.trim_start())
}

/// Returns the cells of a table's row that hold text. A `|` in code, or behind a backslash, separates nothing.
fn cells(row: &str) -> impl Iterator<Item = &str> {
    let (mut is_code, mut is_escaped) = (false, false);
    let cells = row.split(move |c: char| {
        let separates = c == '|' && !is_code && !is_escaped;
        is_code ^= c == '`';
        is_escaped = c == '\\';
        separates
    });
    cells.map(str::trim).filter(|cell| cell.contains(|c: char| !"-: ".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        paragraphs(numbered(text)).into_iter().map(|paragraph| (paragraph.line, paragraph.text)).collect()
    }

    #[test]
    fn paragraphs_headings_and_items_are_read_one_by_one() {
        let text = "# Head\nfirst\nline\n\n- one\n  more\n- two\n1. three\n> quote";
        let want = [(1, "Head"), (2, "first line"), (5, "one more"), (7, "two"), (8, "three"), (9, "quote")];
        assert_eq!(texts(text), want.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn fenced_code_is_left_out() {
        assert_eq!(texts("a\n```rust\ncode: x; y\n```\nb"), [(1, "a".to_owned()), (5, "b".to_owned())]);
    }

    #[test]
    fn a_table_is_read_cell_by_cell() {
        let text = "| Head | `a | b` |\n|---|:--|\n| c \\| d | |";
        let want = [(1, "Head"), (1, "`a | b`"), (3, "c \\| d")];
        assert_eq!(texts(text), want.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn a_line_that_begins_with_a_number_or_a_star_goes_on() {
        assert_eq!(texts("waits\n0.5 s\n*at most*\n-1"), [(1, "waits 0.5 s *at most* -1".to_owned())]);
    }
}

//! Sequence diagrams: participants, calls between them, and notes over one of them.

use anyhow::{Context, bail};

use super::{Area, Drawing, count, width_of};

const MARGIN: f64 = 60.0;
const ROW: f64 = 34.0;
const HEAD: f64 = 30.0;

struct Column<'a> {
    id: &'a str,
    label: &'a str,
    at: f64,
}

/// Draws a diagram. A line of another form is an error.
pub(super) fn svg<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<String> {
    let lines: Vec<_> = lines.collect();
    let columns = columns(&lines)?;
    let at = |id: &str| {
        let found = columns.iter().find(|column| column.id == id);
        found.map(|column| column.at).with_context(|| format!("no participant {id}"))
    };
    let events: Vec<_> = lines.iter().copied().filter(|line| !line.starts_with("participant ")).collect();
    let mut drawing = Drawing::default();
    let end = count(events.len()).mul_add(ROW, HEAD + 22.0);
    // First, so that all others are above them.
    for Column { at, .. } in &columns {
        drawing.line([*at, HEAD + 2.0], [*at, end], r#"stroke-dasharray="3 4" opacity="0.6""#);
    }
    for Column { label, at, .. } in &columns {
        let width = width_of(label) + 20.0;
        drawing.rectangle([at - width / 2.0, 2.0], [width, HEAD]);
        drawing.text([*at, 21.0], "middle", label);
    }
    let mut right = columns.last().map_or(0.0, |last| last.at) + MARGIN;
    for (number, line) in events.iter().enumerate() {
        let y = count(number + 1).mul_add(ROW, HEAD + 6.0);
        if let Some((over, text)) = line.strip_prefix("Note over ").and_then(|rest| rest.split_once(": ")) {
            let width = width_of(text) + 16.0;
            drawing.rectangle([at(over)? - width / 2.0, y - 20.0], [width, 24.0]);
            drawing.text([at(over)?, y - 4.0], "middle", text);
        } else {
            let (from, to, text) = call(line)?;
            let (from, to) = (at(from)?, at(to)?);
            drawing.line([from, y], [to, y], r#"marker-end="url(#arrow)""#);
            let mut area = Area::of_label([0.0, y - 11.0], text);
            area.at[0] = from.min(to) + 5.0;
            drawing.label(&area, "start", text);
            right = right.max(area.at[0] + area.size[0]);
        }
    }
    Ok(drawing.finished(right, end + 4.0, "sequence diagram"))
}

/// Returns a call such as `A->>B: text`.
fn call(line: &str) -> anyhow::Result<(&str, &str, &str)> {
    let parts = line.split_once("->>").and_then(|(from, rest)| Some((from, rest.split_once(": ")?)));
    let Some((from, (to, text))) = parts else { bail!("not a line of a sequence diagram: {line}") };
    Ok((from, to, text))
}

/// Returns the participants, declared or not. Those that exchange long texts stand further apart.
fn columns<'a>(lines: &[&'a str]) -> anyhow::Result<Vec<Column<'a>>> {
    let mut columns: Vec<Column<'a>> = Vec::new();
    let mut add = |id: &'a str, label: &'a str| {
        if columns.iter().all(|column| column.id != id) {
            columns.push(Column { id, label, at: 0.0 });
        }
    };
    let mut calls = Vec::new();
    for line in lines {
        if let Some(declared) = line.strip_prefix("participant ") {
            let (id, label) = declared.split_once(" as ").unwrap_or((declared, declared));
            add(id, label);
        } else if !line.starts_with("Note over ") {
            let (from, to, text) = call(line)?;
            add(from, from);
            add(to, to);
            calls.push((from, to, width_of(text) + 24.0));
        }
    }
    let mut at = MARGIN;
    for index in 0..columns.len() {
        columns[index].at = at;
        at = columns.get(index + 1).map_or(at, |next| {
            let between = calls
                .iter()
                .filter(|(from, to, _)| [(*from, *to), (*to, *from)].contains(&(columns[index].id, next.id)));
            at + between.map(|(.., width)| *width).fold(150.0, f64::max)
        });
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_notes_are_drawn_between_their_participants() {
        let text = "participant A as one\nA->>B: hello <b>\nNote over A: later";
        let drawn = svg(text.lines()).unwrap();
        for part in [">one</text>", ">B</text>", ">hello &lt;b&gt;</text>", ">later</text>"] {
            assert!(drawn.contains(part), "{part}: {drawn}");
        }
        assert!(!drawn.contains("\n\n"), "a blank line would end the HTML");
    }

    #[test]
    fn lifelines_are_behind_boxes_and_labels() {
        let drawn = svg("A->>B: hello\nNote over A: later\nB->>A: back".lines()).unwrap();
        let (lifelines, others) = drawn.split_at(drawn.rfind("stroke-dasharray").unwrap());
        assert_eq!(lifelines.matches("stroke-dasharray").count(), 1, "the other one of two");
        assert!(!lifelines.contains("<rect"), "{drawn}");
        let boxes = others.matches("<rect").count();
        assert_eq!(
            (boxes, others.matches("var(--bg,Canvas)").count()),
            (5, 5),
            "heads, a note and two labels: {drawn}"
        );
    }

    #[test]
    fn line_of_another_form_is_refused() {
        for line in ["loop forty times", "A->>B", "Note over C: text"] {
            assert!(svg(["A->>B: hello", line].into_iter()).is_err(), "{line}");
        }
    }
}

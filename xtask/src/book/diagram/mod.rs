//! Draws the diagrams of our pages from their mermaid text. mdBook has no program for them.

mod flowchart;
mod graph;
mod sequence;
mod states;
mod tables;

use std::fmt::Write as _;

/// The size of the text.
const FONT: u32 = 13;
/// The estimated width of a letter of this size.
const LETTER: f64 = 7.2;

/// A line of a diagram with its number. The first one, with the kind, is line 0.
type Numbered<'a> = (usize, &'a str);

/// A line that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct BrokenLine {
    /// The number of the line within the diagram, from 0.
    pub(super) line: usize,
    what: String,
}

impl BrokenLine {
    fn new(line: usize, kind: &str, text: &str) -> Self {
        Self { line, what: format!("not a line of {kind}: {text}") }
    }

    fn without_title() -> Self {
        Self { line: 0, what: "it has no title for readers who do not see it: add a line `accTitle: ...`".to_owned() }
    }
}

/// Returns the picture as HTML.
pub(super) fn svg(text: &str) -> Result<String, BrokenLine> {
    let mut lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let whole = |error: anyhow::Error| BrokenLine { line: 0, what: format!("{error:#}") };
    let kind = lines.next().map_or("", |(_, kind)| kind);
    let plain = lines.clone().map(|(_, line)| line);
    match kind {
        "sequenceDiagram" => sequence::svg(plain).map_err(whole),
        "stateDiagram-v2" => states::svg(plain).map_err(whole),
        "flowchart LR" => graph::svg(&flowchart::read(lines)?).map_err(whole),
        "erDiagram" => graph::svg(&tables::read(lines)?).map_err(whole),
        other => Err(BrokenLine { line: 0, what: format!("the book draws no diagram of the kind {other}") }),
    }
}

/// The parts of a picture. A blank line would end the HTML within the page.
#[derive(Default)]
struct Drawing {
    parts: String,
}

impl Drawing {
    fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], attributes: &str) {
        let _ = writeln!(
            self.parts,
            r#"<line x1="{x1:.0}" y1="{y1:.0}" x2="{x2:.0}" y2="{y2:.0}" stroke="currentColor" {attributes}/>"#
        );
    }

    fn rectangle(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2]) {
        let _ = writeln!(
            self.parts,
            r#"<rect x="{x:.0}" y="{y:.0}" width="{width:.0}" height="{height:.0}" rx="5" fill="none" stroke="currentColor"/>"#
        );
    }

    /// Adds a text. The anchor is `start` or `middle`.
    fn text(&mut self, [x, y]: [f64; 2], anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(self.parts, r#"<text x="{x:.0}" y="{y:.0}" text-anchor="{anchor}">{text}</text>"#);
    }

    fn finished(self, width: f64, height: f64, label: &str) -> String {
        let label = escaped(label);
        format!(
            "<div class=\"diagram\">\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" style=\"max-width:100%\" role=\"img\" aria-label=\"{label}\" font-size=\"{FONT}\" \
             font-family=\"sans-serif\" fill=\"currentColor\">\n\
             <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"currentColor\"/></marker></defs>\n{}</svg>\n</div>",
            self.parts
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn width_of(text: &str) -> f64 {
    f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX)) * LETTER
}

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

/// The smallest size of text that a picture is shrunk to. A narrower page scrolls it.
const MIN_FONT: u32 = 12;
/// The height of a label.
const LABEL: f64 = 17.0;
/// The colour of the page. It hides what is behind a box or a label.
const PAGE: &str = "fill:var(--bg,Canvas)";

/// A rectangle: its left upper corner and its size.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    at: [f64; 2],
    size: [f64; 2],
}

impl Area {
    /// Returns the place of a label with this middle.
    fn of_label([x, y]: [f64; 2], text: &str) -> Self {
        let width = width_of(text) + 6.0;
        Self { at: [x - width / 2.0, y - LABEL / 2.0], size: [width, LABEL] }
    }

    fn middle(&self) -> [f64; 2] {
        [self.at[0] + self.size[0] / 2.0, self.at[1] + self.size[1] / 2.0]
    }

    fn overlaps(&self, other: &Self) -> bool {
        (0..2).all(|axis| {
            self.at[axis] < other.at[axis] + other.size[axis] && other.at[axis] < self.at[axis] + self.size[axis]
        })
    }

    /// Returns true if a point is in it or on its edge.
    fn contains(&self, point: &[f64; 2]) -> bool {
        (0..2).all(|axis| (self.at[axis]..=self.at[axis] + self.size[axis]).contains(&point[axis]))
    }
}

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
            r#"<rect x="{x:.0}" y="{y:.0}" width="{width:.0}" height="{height:.0}" rx="5" style="{PAGE}" stroke="currentColor"/>"#
        );
    }

    /// Adds a text. The anchor is `start` or `middle`.
    fn text(&mut self, [x, y]: [f64; 2], anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(self.parts, r#"<text x="{x:.0}" y="{y:.0}" text-anchor="{anchor}">{text}</text>"#);
    }

    /// Adds a text over lines, which end at its box. The anchor is `start` or `middle`.
    fn label(&mut self, area: &Area, anchor: &str, text: &str) {
        let Area { at: [x, y], size: [width, height] } = area;
        let _ = writeln!(
            self.parts,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" style="{PAGE}"/>"#
        );
        let [middle, y] = area.middle();
        let x = if anchor == "start" { area.at[0] + 3.0 } else { middle };
        self.text([x, y + 4.5], anchor, text);
    }

    fn finished(self, width: f64, height: f64, label: &str) -> String {
        let label = escaped(label);
        let least = width * f64::from(MIN_FONT) / f64::from(FONT);
        format!(
            "<div class=\"diagram\" style=\"overflow-x:auto\">\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" style=\"max-width:100%;min-width:{least:.0}px\" role=\"img\" aria-label=\"{label}\" font-size=\"{FONT}\" \
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
    count(text.chars().count()) * LETTER
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::blocks;
    use crate::workspace;

    /// Returns the text of the diagrams of a page that have this kind.
    pub(super) fn of_page(page: &str, kind: &str) -> Vec<String> {
        let text = std::fs::read_to_string(workspace::root().join("docs").join(page)).unwrap();
        let diagrams = blocks(&text).into_iter().filter(|block| block.language == "mermaid");
        diagrams.map(|block| block.text.to_owned()).filter(|text| text.trim_start().starts_with(kind)).collect()
    }

    #[test]
    fn picture_that_is_too_wide_scrolls_before_its_text_is_small() {
        let drawn = Drawing::default().finished(1300.0, 100.0, "wide");
        assert!(drawn.starts_with(r#"<div class="diagram" style="overflow-x:auto">"#), "{drawn}");
        assert!(drawn.contains("max-width:100%;min-width:1200px"), "{drawn}");
        assert!(!drawn.contains("\n\n"), "a blank line would end the HTML");
    }

    #[test]
    fn no_text_is_smaller_than_the_font_of_the_picture() {
        for page in ["architecture.md", "concepts.md", "security.md"] {
            for text in of_page(page, "") {
                assert_eq!(svg(&text).unwrap().matches("font-size").count(), 1, "{page}: {text}");
            }
        }
    }
}

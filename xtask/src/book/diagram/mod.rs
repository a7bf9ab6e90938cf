//! Draws the two kinds of diagrams that are generated, from their mermaid text. mdBook has no program for them.

mod sequence;
mod states;

use std::fmt::Write as _;

/// The size of the text.
const FONT: u32 = 13;
/// The estimated width of a letter of this size.
const LETTER: f64 = 7.2;

/// Returns the picture as HTML, or `None` for another kind of diagram.
pub(super) fn svg(text: &str) -> anyhow::Result<Option<String>> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.next() {
        Some("sequenceDiagram") => sequence::svg(lines).map(Some),
        Some("stateDiagram-v2") => states::svg(lines).map(Some),
        _ => Ok(None),
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
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.parts, r#"<text x="{x:.0}" y="{y:.0}" text-anchor="{anchor}">{text}</text>"#);
    }

    fn finished(self, width: f64, height: f64, label: &str) -> String {
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

fn width_of(text: &str) -> f64 {
    f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX)) * LETTER
}

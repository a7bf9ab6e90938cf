//! State diagrams: the states in a row, and arcs between them. Arcs to the right are above, and those to the left below.

use std::fmt::Write as _;

use anyhow::Context;

use super::{Drawing, width_of};

const SPACING: f64 = 190.0;
const BOX: [f64; 2] = [116.0, 32.0];
/// The height of an arc for each state that it passes.
const RISE: f64 = 44.0;

struct Arrow<'a> {
    from: usize,
    to: usize,
    label: &'a str,
}

/// Draws a diagram. A line of another form is an error.
pub(super) fn svg<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<String> {
    let (states, arrows) = read(lines)?;
    let above = arrows.iter().map(Arrow::rises).fold(0.0, f64::max);
    let below = arrows.iter().map(|arrow| -arrow.rises()).fold(0.0, f64::max);
    let middle = above + 40.0;
    let x = |index: usize| f64::from(u32::try_from(index).unwrap_or_default()).mul_add(SPACING, BOX[0] / 2.0 + 4.0);
    let mut drawing = Drawing::default();
    for (index, state) in states.iter().enumerate() {
        let (text, [width, height]) = if *state == "[*]" { ("", [14.0, 14.0]) } else { (*state, BOX) };
        drawing.rectangle([x(index) - width / 2.0, middle - height / 2.0], [width, height]);
        drawing.text([x(index), middle + 5.0], "middle", text);
    }
    for arrow in &arrows {
        let (from, to) = arrow.ends(x(arrow.from), x(arrow.to));
        let (side, rise) = if arrow.rises() < 0.0 { (1.0, -arrow.rises()) } else { (-1.0, arrow.rises()) };
        let edge = middle + side * BOX[1] / 2.0;
        let peak = edge + side * rise * 2.0 - side * 8.0;
        let centre = f64::midpoint(from, to);
        writeln!(
            drawing.parts,
            r#"<path d="M{from:.0} {edge:.0} Q{centre:.0} {peak:.0} {to:.0} {edge:.0}" fill="none" stroke="currentColor" marker-end="url(#arrow)"/>"#
        )?;
        let label = f64::midpoint(edge, peak) + if side < 0.0 { -5.0 } else { 15.0 };
        drawing.text([centre, label], "middle", arrow.label);
    }
    let width = x(states.len().saturating_sub(1)) + BOX[0] / 2.0 + width_of("margin");
    Ok(drawing.finished(width, middle + below + 50.0, "state diagram"))
}

impl Arrow<'_> {
    /// Returns the height of the arc. It is negative below the states.
    fn rises(&self) -> f64 {
        let passed = u32::try_from(self.from.abs_diff(self.to)).unwrap_or_default();
        let height = RISE * f64::from(passed).mul_add(0.9, 0.5);
        if self.to < self.from { -height } else { height }
    }

    /// Returns where the arc leaves and arrives. Arcs of both directions do not meet in one point.
    fn ends(&self, from: f64, to: f64) -> (f64, f64) {
        match self.from.cmp(&self.to) {
            std::cmp::Ordering::Less => (from + 18.0, to - 18.0),
            std::cmp::Ordering::Equal => (from - 12.0, to + 12.0),
            std::cmp::Ordering::Greater => (from - 18.0, to + 18.0),
        }
    }
}

/// Returns the start and the states in the order of their declaration or first use, and the arrows.
fn read<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<(Vec<&'a str>, Vec<Arrow<'a>>)> {
    let (mut states, mut arrows) = (vec!["[*]"], Vec::new());
    for line in lines {
        if line.chars().all(char::is_alphanumeric) {
            states.push(line);
            continue;
        }
        let parts = line.split_once(" --> ").and_then(|(from, rest)| Some((from, rest.split_once(": ")?)));
        let (from, (to, label)) = parts.with_context(|| format!("not a line of a state diagram: {line}"))?;
        let mut index = |state: &'a str| {
            states.iter().position(|known| *known == state).unwrap_or_else(|| {
                states.push(state);
                states.len() - 1
            })
        };
        let (from, to) = (index(from), index(to));
        arrows.push(Arrow { from, to, label });
    }
    Ok((states, arrows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_arrows_are_drawn_once() {
        let drawn = svg("b\n[*] --> a: new\na --> b: go\nb --> a: back\nb --> b: again".lines()).unwrap();
        assert_eq!(drawn.matches("<rect").count(), 3);
        assert!(drawn.find(">b</text>") < drawn.find(">a</text>"), "b is declared first");
        assert_eq!(drawn.matches("<path d=\"M").count(), 4 + 1, "four arrows and the head of an arrow");
        for label in ["new", "go", "back", "again"] {
            assert!(drawn.contains(&format!(">{label}</text>")), "{label}");
        }
        assert!(!drawn.contains("\n\n"), "a blank line would end the HTML");
    }

    #[test]
    fn line_of_another_form_is_refused() {
        assert!(svg(["a --> b"].into_iter()).is_err());
        assert!(svg(["note right of a"].into_iter()).is_err());
    }
}

//! The picture of a graph. Its colours are those of the page, so that it can be read on dark and light pages.

use std::fmt::Write as _;

use super::super::{Area, Drawing, PAGE, count, escaped};
use super::labels::labels;
use super::route::{Places, places};
use super::{Edge, End, Graph, Node, Shape};

const LINE: f64 = 17.0;
/// The height of a cylinder's cap.
const CAP: f64 = 7.0;
/// Returns the picture as HTML.
pub(in super::super) fn svg(graph: &Graph) -> anyhow::Result<String> {
    let places = places(graph)?;
    let mut drawing = Drawing::default();
    writeln!(drawing.parts, "<title>{}</title>", escaped(&graph.title))?;
    writeln!(drawing.parts, "<desc>{}</desc>", escaped(&described(graph)))?;
    for (group, area) in graph.groups.iter().zip(&places.groups) {
        frame(&mut drawing, &group.title, area)?;
    }
    for (edge, points) in graph.edges.iter().zip(&places.lines) {
        line(&mut drawing, edge, points)?;
    }
    for (node, area) in graph.nodes.iter().zip(&places.nodes) {
        outline(&mut drawing, node.shape, area)?;
        texts(&mut drawing, node, area)?;
    }
    // Labels are above all lines.
    let named = graph.edges.iter().filter(|edge| !edge.label.is_empty());
    for (edge, area) in named.zip(labels(graph, &places)) {
        drawing.label(&area, "middle", &edge.label);
    }
    let Places { size: [width, height], .. } = places;
    Ok(drawing.finished(width, height, &graph.title))
}

/// Returns the lines of the picture as a text.
fn described(graph: &Graph) -> String {
    let name = |node: usize| graph.nodes[node].lines.join(" ");
    let sentence = |edge: &Edge| {
        let label = if edge.label.is_empty() { String::new() } else { format!(": {}", edge.label) };
        format!("{} to {}{label}.", name(edge.from), name(edge.to))
    };
    graph.edges.iter().map(sentence).collect::<Vec<_>>().join(" ")
}

fn frame(drawing: &mut Drawing, title: &str, area: &Area) -> std::fmt::Result {
    let Area { at: [x, y], size: [width, height] } = area;
    writeln!(
        drawing.parts,
        r#"<rect x="{x:.0}" y="{y:.0}" width="{width:.0}" height="{height:.0}" rx="10" fill="currentColor" fill-opacity="0.04" stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="5 4"/>"#
    )?;
    writeln!(
        drawing.parts,
        r#"<text x="{:.0}" y="{:.0}" opacity="0.75" font-style="italic">{}</text>"#,
        x + 14.0,
        y + 21.0,
        escaped(title)
    )
}

fn outline(drawing: &mut Drawing, shape: Shape, area: &Area) -> std::fmt::Result {
    let Area { at: [x, y], size: [width, height] } = area;
    // The page's colour below hides the lines behind a box.
    for (fill, stroke) in [(PAGE, "none"), ("fill:currentColor", "currentColor")] {
        let style =
            format!(r#"style="{fill}" fill-opacity="{}" stroke="{stroke}""#, if stroke == "none" { 1.0 } else { 0.07 });
        match shape {
            Shape::Rectangle => writeln!(
                drawing.parts,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="6" {style}/>"#
            )?,
            Shape::Cylinder => {
                let (top, bottom, right, radius) = (y + CAP, y + height - CAP, x + width, width / 2.0);
                writeln!(
                    drawing.parts,
                    r#"<path d="M{x:.1} {top:.1} A{radius:.1} {CAP} 0 0 1 {right:.1} {top:.1} V{bottom:.1} A{radius:.1} {CAP} 0 0 1 {x:.1} {bottom:.1} Z" {style}/>"#
                )?;
                writeln!(
                    drawing.parts,
                    r#"<path d="M{x:.1} {top:.1} A{radius:.1} {CAP} 0 0 0 {right:.1} {top:.1}" fill="none" stroke="{stroke}"/>"#
                )?;
            }
        }
    }
    Ok(())
}

/// Writes the text of a box. Its first line is its name.
fn texts(drawing: &mut Drawing, node: &Node, area: &Area) -> std::fmt::Result {
    let [x, middle] = area.middle();
    let cap = if node.shape == Shape::Cylinder { CAP } else { 0.0 };
    let mut y = middle + cap - (count(node.lines.len()) - 1.0) * LINE / 2.0 + 4.5;
    for (number, line) in node.lines.iter().enumerate() {
        let style = if number == 0 { r#"font-weight="600""# } else { r#"opacity="0.8""# };
        writeln!(
            drawing.parts,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" {style}>{}</text>"#,
            escaped(line)
        )?;
        y += LINE;
    }
    Ok(())
}

fn line(drawing: &mut Drawing, edge: &Edge, points: &[[f64; 2]]) -> std::fmt::Result {
    let Some(([x, y], rest)) = points.split_first() else { return Ok(()) };
    let mut path = format!("M{x:.1} {y:.1}");
    let mut before = [*x, *y];
    for (number, point) in rest.iter().enumerate() {
        // Between the two sides of a column a line is straight.
        if number % 2 == 1 {
            write!(path, " L{:.1} {:.1}", point[0], point[1])?;
        } else {
            let bend = (point[0] - before[0]) / 2.0;
            write!(
                path,
                " C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
                before[0] + bend,
                before[1],
                point[0] - bend,
                point[1],
                point[0],
                point[1]
            )?;
        }
        before = *point;
    }
    let dots = if edge.is_dotted { r#" stroke-dasharray="2 5" stroke-linecap="round""# } else { "" };
    let arrow = if edge.ends[1] == End::Arrow { r#" marker-end="url(#arrow)""# } else { "" };
    writeln!(
        drawing.parts,
        r#"<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.8" stroke-width="1.3"{dots}{arrow}/>"#
    )?;
    let ends =
        [(edge.ends[0], points.first(), points.get(1)), (edge.ends[1], points.last(), points.iter().rev().nth(1))];
    for (end, at, next) in ends {
        if let (Some(at), Some(next)) = (at, next) {
            foot(drawing, end, *at, if next[0] > at[0] { 1.0 } else { -1.0 })?;
        }
    }
    Ok(())
}

/// Draws how many rows are at the end of a line, beside the box. The line leads away from it to the right if `away` is 1.
fn foot(drawing: &mut Drawing, end: End, [x, y]: [f64; 2], away: f64) -> std::fmt::Result {
    let mut bar = |distance: f64| {
        let at = away.mul_add(distance, x);
        drawing.line([at, y - 6.0], [at, y + 6.0], "");
    };
    let circle = match end {
        End::Plain | End::Arrow => None,
        End::ExactlyOne => {
            bar(6.0);
            bar(11.0);
            None
        }
        End::ZeroOrOne => {
            bar(6.0);
            Some(14.0)
        }
        End::ZeroOrMore => {
            for side in [-6.0, 6.0] {
                drawing.line([x, y + side], [away.mul_add(11.0, x), y], "");
            }
            Some(16.0)
        }
    };
    let Some(distance) = circle else { return Ok(()) };
    let at = away.mul_add(distance, x);
    writeln!(drawing.parts, r#"<circle cx="{at:.1}" cy="{y:.1}" r="4" style="{PAGE}" stroke="currentColor"/>"#)
}

//! The places of labels: each one is on its line, and no other line or label is there.

use super::super::Area;
use super::Graph;
use super::route::Places;

/// The points that stand for one piece of a line.
const POINTS: u8 = 64;
/// The place of a label on the first piece of its line: the middle, or the nearest free place beside it.
const ON_LINE: [f64; 13] = [0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.3, 0.7, 0.25, 0.75, 0.2, 0.8];
/// The free space between a label and a box. The sign at the end of a line stands there.
const FROM_BOX: f64 = 22.0;

/// Returns the places of the labels that are not empty, in the order of their lines.
pub(super) fn labels(graph: &Graph, places: &Places) -> Vec<Area> {
    let curves: Vec<_> = places.lines.iter().map(|points| curve(points)).collect();
    let mut taken: Vec<Area> = Vec::new();
    for (number, edge) in graph.edges.iter().enumerate().filter(|(_, edge)| !edge.label.is_empty()) {
        let [from, to] = [places.lines[number][0], places.lines[number][1]];
        let possible = ON_LINE.map(|share| Area::of_label(on_piece(from, to, share), &edge.label));
        let faults = |area: &Area| {
            let wide =
                Area { at: [area.at[0] - FROM_BOX, area.at[1]], size: [area.size[0] + 2.0 * FROM_BOX, area.size[1]] };
            let lines = curves.iter().enumerate().filter(|(other, _)| *other != number);
            lines.filter(|(_, points)| points.iter().any(|point| area.contains(point))).count()
                + taken.iter().filter(|other| other.overlaps(area)).count()
                + places.nodes.iter().filter(|node| node.overlaps(&wide)).count()
        };
        taken.extend(possible.into_iter().min_by_key(faults));
    }
    taken
}

/// Returns points of a line, close to each other. Every second piece is straight.
fn curve(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let share = |step: u8| f64::from(step) / f64::from(POINTS);
    let piece = |number: usize, from: [f64; 2], to: [f64; 2], share: f64| match number % 2 {
        0 => on_piece(from, to, share),
        _ => [0, 1].map(|axis| (to[axis] - from[axis]).mul_add(share, from[axis])),
    };
    let pieces = points.windows(2).enumerate();
    pieces
        .flat_map(|(number, ends)| (0..=POINTS).map(move |step| piece(number, ends[0], ends[1], share(step))))
        .collect()
}

/// Returns a point of the curve between two columns. It leaves and arrives horizontally.
fn on_piece(from: [f64; 2], to: [f64; 2], share: f64) -> [f64; 2] {
    let rest = 1.0 - share;
    let begin = rest * rest * (rest + 3.0 * share);
    let bend = 1.5 * rest * share;
    let x = (rest.powi(3) + bend).mul_add(from[0], (share.powi(3) + bend) * to[0]);
    [x, begin.mul_add(from[1], (1.0 - begin) * to[1])]
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::of_page;
    use super::super::super::{flowchart, tables};
    use super::super::route::places;
    use super::*;

    /// The graphs of our pages.
    fn graphs() -> Vec<Graph> {
        let lines = |text: &str| text.lines().map(str::trim).map(str::to_owned).enumerate().skip(1).collect::<Vec<_>>();
        let mut graphs = Vec::new();
        for page in ["architecture.md", "security.md"] {
            for text in of_page(page, "flowchart LR") {
                let lines = lines(&text);
                graphs.push(flowchart::read(lines.iter().map(|(number, line)| (*number, line.as_str()))).unwrap());
            }
            for text in of_page(page, "erDiagram") {
                let lines = lines(&text);
                graphs.push(tables::read(lines.iter().map(|(number, line)| (*number, line.as_str()))).unwrap());
            }
        }
        assert_eq!(graphs.len(), 3);
        graphs
    }

    #[test]
    fn labels_are_away_from_boxes_other_lines_and_each_other() {
        for graph in graphs() {
            let places = places(&graph).unwrap();
            let labels = labels(&graph, &places);
            let mut named = graph.edges.iter().enumerate().filter(|(_, edge)| !edge.label.is_empty());
            for (place, label) in labels.iter().enumerate() {
                let (own, edge) = named.next().unwrap();
                let what = format!("{} of {}", edge.label, graph.title);
                assert!(places.nodes.iter().all(|node| !node.overlaps(label)), "a box at {what}");
                assert!(labels[..place].iter().all(|other| !other.overlaps(label)), "a label at {what}");
                for (number, points) in places.lines.iter().enumerate() {
                    let meets = curve(points).iter().any(|point| label.contains(point));
                    assert_eq!(meets, number == own, "line {number} at {what}");
                }
            }
            assert!(named.next().is_none(), "each label has a place");
        }
    }

    #[test]
    fn ends_of_lines_touch_their_boxes_apart_from_each_other() {
        for graph in graphs() {
            let places = places(&graph).unwrap();
            let mut ends: Vec<[f64; 2]> = Vec::new();
            for (edge, points) in graph.edges.iter().zip(&places.lines) {
                for (node, point) in [(edge.from, points[0]), (edge.to, points[points.len() - 1])] {
                    let Area { at, size } = places.nodes[node];
                    let is_on_side = (point[0] - at[0]).abs() < 0.1 || (point[0] - at[0] - size[0]).abs() < 0.1;
                    assert!(is_on_side && (at[1]..=at[1] + size[1]).contains(&point[1]), "{point:?} {at:?} {size:?}");
                    let is_apart = |other: &[f64; 2]| (0..2).any(|axis| (other[axis] - point[axis]).abs() >= 13.0);
                    assert!(ends.iter().all(is_apart), "{point:?} {ends:?}");
                    ends.push(point);
                }
            }
        }
    }
}

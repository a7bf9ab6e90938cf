//! State diagrams: the states in a row, and arrows between them. An arrow to the next state is straight. Those that pass a state
//! are above, and those to the left below.

use std::fmt::Write as _;

use anyhow::{Context, ensure};

use super::{Area, Drawing, LABEL, width_of};

const BOX: [f64; 2] = [112.0, 32.0];
/// The size of the circle at the start.
const START: f64 = 14.0;
const MARGIN: f64 = 6.0;
/// The least space between two states, and the free space around a label there.
const GAP: f64 = 60.0;
const AROUND_LABEL: f64 = 20.0;
/// The distance of the first arrow at a side from the corner of its box, and the distance of two.
const CORNER: f64 = 8.0;
const APART: f64 = 16.0;
/// The height of an arrow from a state to itself, and its width.
const LOOP: [f64; 2] = [24.0, 16.0];
/// The height of the first arrow that is above or below the states, and the distance of two.
const ABOVE: f64 = 46.0;
const BELOW: f64 = 20.0;
const LANE: f64 = 30.0;
/// The radius of a bend.
const BEND: f64 = 8.0;

struct Arrow<'a> {
    from: usize,
    to: usize,
    label: &'a str,
}

/// The place of an arrow.
struct Route {
    /// The points that it passes through. It has a bend at each but the first and the last.
    points: Vec<[f64; 2]>,
    label: Area,
}

/// Draws a diagram. A line of another form is an error.
pub(super) fn svg<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<String> {
    let (states, arrows) = read(lines)?;
    let mut boxes = boxes(states.len(), &arrows);
    let mut routes = routes(&boxes, &arrows);
    let top =
        routes.iter().map(|route| route.label.at[1]).chain(boxes.iter().map(|area| area.at[1])).fold(0.0, f64::min);
    let shift = MARGIN - top;
    for area in &mut boxes {
        area.at[1] += shift;
    }
    for route in &mut routes {
        route.label.at[1] += shift;
        for point in &mut route.points {
            point[1] += shift;
        }
    }
    let mut drawing = Drawing::default();
    for route in &routes {
        writeln!(
            drawing.parts,
            r#"<path d="{}" fill="none" stroke="currentColor" marker-end="url(#arrow)"/>"#,
            path(&route.points)
        )?;
    }
    for (state, area) in states.iter().zip(&boxes) {
        let [x, y] = area.middle();
        if *state == "[*]" {
            writeln!(drawing.parts, r#"<circle cx="{x:.0}" cy="{y:.0}" r="{:.0}" fill="currentColor"/>"#, START / 2.0)?;
        } else {
            drawing.rectangle(area.at, area.size);
            drawing.text([x, y + 5.0], "middle", state);
        }
    }
    // Labels are above all lines.
    for (arrow, route) in arrows.iter().zip(&routes) {
        drawing.label(&route.label, "middle", arrow.label);
    }
    let areas = || boxes.iter().chain(routes.iter().map(|route| &route.label));
    let most = |axis: usize| areas().map(|area| area.at[axis] + area.size[axis]).fold(0.0, f64::max) + MARGIN;
    Ok(drawing.finished(most(0), most(1), "state diagram"))
}

/// Returns the places of the states. The label of a straight arrow has room between them.
fn boxes(count: usize, arrows: &[Arrow<'_>]) -> Vec<Area> {
    let mut left = MARGIN;
    let mut boxes = Vec::new();
    for state in 0..count {
        let size = if state == 0 { [START, START] } else { BOX };
        boxes.push(Area { at: [left, -size[1] / 2.0], size });
        let straight = arrows.iter().filter(|arrow| arrow.from == state && arrow.to == state + 1);
        left += size[0] + straight.map(|arrow| width_of(arrow.label) + AROUND_LABEL).fold(GAP, f64::max);
    }
    boxes
}

/// Returns the places of the arrows.
fn routes(boxes: &[Area], arrows: &[Arrow<'_>]) -> Vec<Route> {
    let lanes = lanes(arrows);
    let route = |(arrow, lane): (&Arrow<'_>, f64)| {
        let [from, to] = [boxes[arrow.from], boxes[arrow.to]];
        // The direction away from the states: up, or down for an arrow to the left.
        let out = if arrow.to < arrow.from { 1.0 } else { -1.0 };
        let edge = |area: &Area| out * area.size[1] / 2.0;
        let (begin, end, y) = if arrow.is_straight() {
            let points = [from.at[0] + from.size[0], to.at[0]].map(|x| [x, 0.0]).to_vec();
            return routed(points, out, arrow.label);
        } else if arrow.from == arrow.to {
            let middle = from.middle()[0];
            (middle - LOOP[0] / 2.0, middle + LOOP[0] / 2.0, edge(&from) - LOOP[1])
        } else {
            let first = if out < 0.0 { ABOVE } else { BELOW };
            let y = out * lane.mul_add(LANE, BOX[1] / 2.0 + first);
            (side(boxes, arrows, arrow, true), side(boxes, arrows, arrow, false), y)
        };
        routed(vec![[begin, edge(&from)], [begin, y], [end, y], [end, edge(&to)]], out, arrow.label)
    };
    arrows.iter().zip(lanes).map(route).collect()
}

/// Returns an arrow with its label beside the middle of it.
fn routed(points: Vec<[f64; 2]>, out: f64, label: &str) -> Route {
    let [from, to] = [points[points.len() / 2 - 1], points[points.len() / 2]];
    let middle = [f64::midpoint(from[0], to[0]), out.mul_add(LABEL / 2.0 + 3.0, from[1])];
    Route { points, label: Area::of_label(middle, label) }
}

/// Returns where an arrow begins or ends at the upper or lower edge of its state. Long arrows are further inside, so that they do
/// not cross the short ones.
fn side(boxes: &[Area], arrows: &[Arrow<'_>], arrow: &Arrow<'_>, is_begin: bool) -> f64 {
    let state = |arrow: &Arrow<'_>| if is_begin { arrow.from } else { arrow.to };
    let is_right = |arrow: &Arrow<'_>| (arrow.from < arrow.to) == is_begin;
    let others = arrows.iter().filter(|other| other.has_lane() && state(other) == state(arrow));
    let beside = others.filter(|other| is_right(other) == is_right(arrow) && other.passes() < arrow.passes()).count();
    let area = boxes[state(arrow)];
    let inside = (area.size[0] / 2.0 - super::count(beside).mul_add(APART, CORNER)).max(0.0);
    area.middle()[0] + if is_right(arrow) { inside } else { -inside }
}

/// Returns the number of each arrow above or below the states. No two of one number are over the same states.
fn lanes(arrows: &[Arrow<'_>]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..arrows.len()).filter(|number| arrows[*number].has_lane()).collect();
    order.sort_by_key(|number| arrows[*number].passes());
    let mut lanes = vec![0; arrows.len()];
    for (place, number) in order.iter().enumerate() {
        let below = order[..place].iter().filter(|other| arrows[**other].shares_states(&arrows[*number]));
        lanes[*number] = below.map(|other| lanes[*other] + 1).max().unwrap_or(0);
    }
    lanes.into_iter().map(super::count).collect()
}

/// Returns a line with round bends.
fn path(points: &[[f64; 2]]) -> String {
    let [x, y] = points[0];
    let mut path = format!("M{x:.1} {y:.1}");
    for bend in points.windows(3) {
        let beside = |point: [f64; 2]| {
            let length = (point[0] - bend[1][0]).hypot(point[1] - bend[1][1]);
            let share = (BEND / length).min(0.5);
            [0, 1].map(|axis| (point[axis] - bend[1][axis]).mul_add(share, bend[1][axis]))
        };
        let ([x1, y1], [x, y], [x2, y2]) = (beside(bend[0]), bend[1], beside(bend[2]));
        let _ = write!(path, " L{x1:.1} {y1:.1} Q{x:.1} {y:.1} {x2:.1} {y2:.1}");
    }
    let [x, y] = points[points.len() - 1];
    let _ = write!(path, " L{x:.1} {y:.1}");
    path
}

impl Arrow<'_> {
    fn is_straight(&self) -> bool {
        self.to == self.from + 1
    }

    /// Returns true if it is above or below other states.
    fn has_lane(&self) -> bool {
        self.from != self.to && !self.is_straight()
    }

    /// Returns the number of steps to its state.
    fn passes(&self) -> usize {
        self.from.abs_diff(self.to)
    }

    /// Returns true if both are on one side of the row, over a common part of it.
    fn shares_states(&self, other: &Self) -> bool {
        let range = |arrow: &Self| (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
        let ((low, high), (other_low, other_high)) = (range(self), range(other));
        (self.from < self.to) == (other.from < other.to) && low < other_high && other_low < high
    }
}

/// Returns the start and the states in the order of their declaration or first use, and the arrows.
fn read<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<(Vec<&'a str>, Vec<Arrow<'a>>)> {
    let (mut states, mut arrows) = (vec!["[*]"], Vec::<Arrow<'a>>::new());
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
        let is_new = arrows.iter().all(|arrow| (arrow.from, arrow.to) != (from, to));
        ensure!(is_new, "a second arrow between the same states: {line}");
        arrows.push(Arrow { from, to, label });
    }
    Ok((states, arrows))
}

#[cfg(test)]
mod tests {
    use super::super::tests::of_page;
    use super::*;

    #[test]
    fn states_and_arrows_are_drawn_once() {
        let drawn = svg("b\n[*] --> a: new\na --> b: go\nb --> a: back\nb --> b: again".lines()).unwrap();
        assert_eq!(drawn.matches("rx=\"5\"").count(), 2);
        assert_eq!(drawn.matches("fill=\"currentColor\"/>\n").count(), 1, "the start is filled");
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
        assert!(svg(["a --> b: one", "a --> b: two"].into_iter()).is_err());
    }

    /// Returns the points of a line, one at each step.
    fn steps(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let piece = |ends: &[[f64; 2]]| {
            let ends = [ends[0], ends[1]];
            (0..=200_u8).map(move |step| {
                [0, 1].map(|axis| (ends[1][axis] - ends[0][axis]).mul_add(f64::from(step) / 200.0, ends[0][axis]))
            })
        };
        points.windows(2).flat_map(piece).collect()
    }

    #[test]
    fn arrows_touch_their_states_and_no_label() {
        let texts = of_page("concepts.md", "stateDiagram-v2");
        let crowded = "a\nb\nc\nd\n[*] --> c: new\na --> c: to c\na --> d: to d\nb --> d: on\nd --> a: back\nd --> c: less\nc --> c: x";
        for text in [texts[0].split_once('\n').unwrap().1, crowded] {
            let (states, arrows) = read(text.lines().map(str::trim)).unwrap();
            let boxes = boxes(states.len(), &arrows);
            let routes = routes(&boxes, &arrows);
            let mut ends: Vec<[f64; 2]> = Vec::new();
            for (place, (arrow, Route { points, label })) in arrows.iter().zip(&routes).enumerate() {
                let name = arrow.label;
                for (state, point) in [(arrow.from, points[0]), (arrow.to, points[points.len() - 1])] {
                    assert!(boxes[state].contains(&point), "{name} does not touch {}", states[state]);
                    let is_apart = |end: &[f64; 2]| (0..2).any(|axis| (end[axis] - point[axis]).abs() >= 7.0);
                    assert!(ends.iter().all(is_apart), "{name} ends where another one does");
                    ends.push(point);
                }
                assert!(routes.iter().all(|route| !steps(&route.points).iter().any(|at| label.contains(at))), "{name}");
                assert!(boxes.iter().all(|area| !area.overlaps(label)), "a state at {name}");
                assert!(routes[..place].iter().all(|route| !route.label.overlaps(label)), "a label at {name}");
            }
        }
    }
}

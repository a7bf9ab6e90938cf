//! The places of boxes, frames and lines.

use super::super::{Area, count, width_of};
use super::columns::{Columns, Item, arranged};
use super::{Edge, Graph, Group, Node, Shape};

/// The height of a line of text.
const LINE: f64 = 17.0;
const PADDING: f64 = 14.0;
const MARGIN: f64 = 10.0;
/// The free space around the label of a line.
const AROUND_LABEL: f64 = 84.0;
const MIN_GAP: f64 = 64.0;
/// The space between a frame and its boxes. A title needs more of it.
const FRAME: f64 = 16.0;
const TITLE: f64 = 26.0;
/// The distance of two lines at a box, and at one whose lines have labels.
const APART: f64 = 14.0;
const APART_WITH_LABELS: f64 = 26.0;
/// The width of bold letters in proportion to others.
const BOLD: f64 = 1.1;

/// The places of everything in a picture.
pub(super) struct Places {
    pub(super) nodes: Vec<Area>,
    pub(super) groups: Vec<Area>,
    /// The points that each line passes through.
    pub(super) lines: Vec<Vec<[f64; 2]>>,
    /// The size of the picture.
    pub(super) size: [f64; 2],
}

/// Returns the size of a box. It has room for its text, and for the lines that end at one side of it.
fn size_of(graph: &Graph, node: usize) -> [f64; 2] {
    let Node { lines, shape, .. } = &graph.nodes[node];
    let name = lines.first().map_or(0.0, |name| width_of(name) * BOLD);
    let width = lines.iter().map(|line| width_of(line)).fold(name, f64::max) + 2.0 * PADDING;
    let cap = if *shape == Shape::Cylinder { LINE } else { 0.0 };
    let begins = graph.edges.iter().filter(|edge| edge.from == node).count();
    let ends = graph.edges.iter().filter(|edge| edge.to == node).count();
    let ends = (count(begins.max(ends)) + 1.0) * apart(graph, node);
    [width.max(72.0), (count(lines.len()).mul_add(LINE, cap) + PADDING).max(ends)]
}

/// Returns the distance of the lines at a box.
fn apart(graph: &Graph, node: usize) -> f64 {
    let has_label = |edge: &Edge| (edge.from == node || edge.to == node) && !edge.label.is_empty();
    if graph.edges.iter().any(has_label) { APART_WITH_LABELS } else { APART }
}

/// Places everything. An error names a box that would stand in a frame to which it does not belong.
pub(super) fn places(graph: &Graph) -> anyhow::Result<Places> {
    let sizes: Vec<_> = (0..graph.nodes.len()).map(|node| size_of(graph, node)).collect();
    let columns = arranged(graph, |node| sizes[node][1]);
    let lefts = lefts(graph, &columns, &sizes);
    let mut nodes: Vec<Area> = Vec::new();
    for (node, size) in sizes.iter().enumerate() {
        let column = columns.of_node[node];
        let middle = columns.middle(column, Item::Node(node));
        let left = lefts[column].0 + (lefts[column].1 - size[0]) / 2.0;
        nodes.push(Area { at: [left, middle - size[1] / 2.0], size: *size });
    }
    let groups: Vec<_> = (0..graph.groups.len()).map(|group| frame(graph, group, &nodes)).collect();
    for (node, area) in graph.nodes.iter().zip(&nodes) {
        let foreign =
            groups.iter().enumerate().find(|(group, frame)| node.group != Some(*group) && frame.overlaps(area));
        anyhow::ensure!(foreign.is_none(), "{} does not belong to the frame that it stands in", node.id);
    }
    let lines = lines(graph, &columns, &nodes, &lefts);
    Ok(shifted(Places { nodes, groups, lines, size: [0.0, 0.0] }))
}

/// Returns the left edge and the width of each column. Between two columns is room for the longest label.
fn lefts(graph: &Graph, columns: &Columns, sizes: &[[f64; 2]]) -> Vec<(f64, f64)> {
    let mut lefts: Vec<(f64, f64)> = Vec::new();
    let mut x = 0.0;
    for column in 0..columns.items.len() {
        let of_column = (0..sizes.len()).filter(|node| columns.of_node[*node] == column);
        let width = of_column.map(|node| sizes[node][0]).fold(0.0, f64::max);
        lefts.push((x, width));
        // A label stands in the first gap of its line.
        let begins =
            graph.edges.iter().filter(|edge| columns.of_node[edge.from].min(columns.of_node[edge.to]) == column);
        let label = begins.map(|edge| width_of(&edge.label)).filter(|width| *width > 0.0).fold(0.0, f64::max);
        let frames = if has_edge_of_frame(graph, columns, column) { FRAME } else { 0.0 };
        x += width + frames + MIN_GAP.max(if label > 0.0 { label + AROUND_LABEL } else { 0.0 });
    }
    lefts
}

/// Returns true if a frame begins or ends after this column.
fn has_edge_of_frame(graph: &Graph, columns: &Columns, column: usize) -> bool {
    (0..graph.groups.len()).any(|group| {
        let inside = |at: usize| {
            (0..graph.nodes.len()).any(|node| graph.nodes[node].group == Some(group) && columns.of_node[node] == at)
        };
        inside(column) != inside(column + 1)
    })
}

fn frame(graph: &Graph, group: usize, nodes: &[Area]) -> Area {
    let inside =
        || graph.nodes.iter().zip(nodes).filter(move |(node, _)| node.group == Some(group)).map(|(_, area)| area);
    let least = |axis: usize| inside().map(|area| area.at[axis]).fold(f64::INFINITY, f64::min);
    let most = |axis: usize| inside().map(|area| area.at[axis] + area.size[axis]).fold(f64::NEG_INFINITY, f64::max);
    let Group { title } = &graph.groups[group];
    let top = if title.is_empty() { FRAME } else { FRAME + TITLE };
    let at = [least(0) - FRAME, least(1) - top];
    let width = (most(0) + FRAME - at[0]).max(width_of(title) + 2.0 * FRAME);
    Area { at, size: [width, most(1) + FRAME - at[1]] }
}

/// Returns the points of each line. Lines at one side of a box are in the order of their other ends, so that they do not cross.
fn lines(graph: &Graph, columns: &Columns, nodes: &[Area], lefts: &[(f64, f64)]) -> Vec<Vec<[f64; 2]>> {
    let mut lines: Vec<Vec<[f64; 2]>> = Vec::new();
    for (number, edge) in graph.edges.iter().enumerate() {
        let (from, to) = (columns.of_node[edge.from], columns.of_node[edge.to]);
        let mut between: Vec<_> = (from.min(to) + 1..from.max(to))
            .flat_map(|column| {
                let y = columns.middle(column, Item::Passage(number));
                [[lefts[column].0, y], [lefts[column].0 + lefts[column].1, y]]
            })
            .collect();
        let is_forward = from < to;
        if !is_forward {
            between.reverse();
        }
        let side = |node: usize, is_right: bool| nodes[node].at[0] + if is_right { nodes[node].size[0] } else { 0.0 };
        let begin = [side(edge.from, is_forward), nodes[edge.from].middle()[1]];
        let end = [side(edge.to, !is_forward), nodes[edge.to].middle()[1]];
        lines.push([vec![begin], between, vec![end]].concat());
    }
    for (node, area) in nodes.iter().enumerate() {
        for is_right in [false, true] {
            separate(graph, &mut lines, node, area, is_right);
        }
    }
    lines
}

/// Spreads the ends of the lines at one side of a box over its height.
fn separate(graph: &Graph, lines: &mut [Vec<[f64; 2]>], node: usize, area: &Area, is_right: bool) {
    let x = area.at[0] + if is_right { area.size[0] } else { 0.0 };
    let mut ends = Vec::new();
    for (number, edge) in graph.edges.iter().enumerate() {
        let line = &lines[number];
        let last = line.len() - 1;
        for (own, own_node, next, far) in [(0, edge.from, 1, last), (last, edge.to, last - 1, 0)] {
            if own_node == node && (line[own][0] - x).abs() < 0.5 {
                ends.push((number, own, line[next][1], line[far][1]));
            }
        }
    }
    ends.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.3.total_cmp(&b.3)).then(a.0.cmp(&b.0)));
    let apart = apart(graph, node);
    let first = area.middle()[1] - apart * (count(ends.len()) - 1.0) / 2.0;
    for (place, (number, own, ..)) in ends.iter().enumerate() {
        lines[*number][*own][1] = count(place).mul_add(apart, first);
    }
}

/// Moves everything so that the picture begins at its left upper corner.
fn shifted(mut places: Places) -> Places {
    let areas = || places.nodes.iter().chain(&places.groups);
    let corner = |axis: usize| {
        let points = places.lines.iter().flatten().map(|point| point[axis]);
        areas().map(|area| area.at[axis]).chain(points).fold(f64::INFINITY, f64::min) - MARGIN
    };
    let corner = [corner(0), corner(1)];
    let shift = |point: &mut [f64; 2]| (0..2).for_each(|axis| point[axis] -= corner[axis]);
    places.nodes.iter_mut().chain(&mut places.groups).for_each(|area| shift(&mut area.at));
    places.lines.iter_mut().flatten().for_each(shift);
    for axis in 0..2 {
        let points = places.lines.iter().flatten().map(|point| point[axis]);
        let areas = places.nodes.iter().chain(&places.groups).map(|area| area.at[axis] + area.size[axis]);
        places.size[axis] = areas.chain(points).fold(0.0, f64::max) + MARGIN;
    }
    places
}

//! The column of each box, and its place in it. Lines over several columns pass through a free place in each of them.

use super::Graph;

/// Repetitions of the passes that order and move boxes. The pictures are small, and do not change after a few.
const PASSES: usize = 24;
/// The free space between two boxes of a column.
const SPACE: f64 = 26.0;
/// The height of the place that a line passes through.
const PASSAGE: f64 = 12.0;

/// A box, or the place in a column that a line passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Node(usize),
    /// The line with this number.
    Passage(usize),
}

/// The columns from left to right.
pub(super) struct Columns {
    /// The items of each column from top to bottom.
    pub(super) items: Vec<Vec<Item>>,
    /// The middle of each item.
    pub(super) middles: Vec<Vec<f64>>,
    /// The column of each node.
    pub(super) of_node: Vec<usize>,
}

impl Columns {
    /// Returns the middle of an item of a column.
    pub(super) fn middle(&self, column: usize, item: Item) -> f64 {
        let place = self.items[column].iter().position(|other| *other == item);
        place.map_or(0.0, |place| self.middles[column][place])
    }
}

/// Orders the boxes so that few lines cross. `height` is that of a node.
pub(super) fn arranged(graph: &Graph, height: impl Fn(usize) -> f64) -> Columns {
    let of_node = ranks(graph);
    let mut items = vec![Vec::new(); of_node.iter().max().map_or(0, |last| last + 1)];
    for (node, column) in of_node.iter().enumerate() {
        items[*column].push(Item::Node(node));
    }
    for (number, edge) in graph.edges.iter().enumerate() {
        let (low, high) = (of_node[edge.from].min(of_node[edge.to]), of_node[edge.from].max(of_node[edge.to]));
        for column in items.iter_mut().take(high).skip(low + 1) {
            column.push(Item::Passage(number));
        }
    }
    let middles = items.iter().map(|column: &Vec<Item>| vec![0.0; column.len()]).collect();
    let mut columns = Columns { items, middles, of_node };
    let height = |item: Item| match item {
        Item::Node(node) => height(node),
        Item::Passage(_) => PASSAGE,
    };
    for column in 0..columns.items.len() {
        let wanted = vec![0.0; columns.items[column].len()];
        columns.middles[column] = spread(&columns.items[column], &wanted, &height);
    }
    for pass in 0..PASSES {
        let count = columns.items.len();
        for step in 0..count {
            let column = if pass % 2 == 0 { step } else { count - 1 - step };
            settle(graph, &mut columns, column, pass < PASSES / 2, &height);
        }
    }
    columns
}

/// Moves the items of a column to the middle of their neighbours, and reorders them while `may_swap`.
fn settle(graph: &Graph, columns: &mut Columns, column: usize, may_swap: bool, height: &impl Fn(Item) -> f64) {
    let own = &columns.middles[column];
    let wanted = columns.items[column].iter().enumerate().map(|(place, item)| {
        let neighbours = neighbours(graph, columns, column, *item);
        let sum: f64 = neighbours.iter().sum();
        let count = u32::try_from(neighbours.len()).unwrap_or(u32::MAX);
        if count == 0 { own[place] } else { sum / f64::from(count) }
    });
    let mut sorted: Vec<(Item, f64)> = columns.items[column].iter().copied().zip(wanted.collect::<Vec<_>>()).collect();
    if may_swap {
        sorted.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    }
    let (items, wanted): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
    columns.middles[column] = spread(&items, &wanted, height);
    columns.items[column] = items;
}

/// Returns the middles of the items that a line leads to from this one, in the columns beside it.
fn neighbours(graph: &Graph, columns: &Columns, column: usize, item: Item) -> Vec<f64> {
    let mut found = Vec::new();
    for (number, edge) in graph.edges.iter().enumerate() {
        let is_on_it = match item {
            Item::Node(node) => edge.from == node || edge.to == node,
            Item::Passage(passage) => passage == number,
        };
        if !is_on_it {
            continue;
        }
        for beside in
            [column.checked_sub(1), Some(column + 1)].into_iter().flatten().filter(|at| *at < columns.items.len())
        {
            let ends = [edge.from, edge.to].map(Item::Node);
            let of_line = |other: &Item| ends.contains(other) || *other == Item::Passage(number);
            found.extend(
                columns.items[beside].iter().copied().filter(of_line).map(|other| columns.middle(beside, other)),
            );
        }
    }
    found
}

/// Returns places near the wanted ones at which no items overlap.
fn spread(items: &[Item], wanted: &[f64], height: &impl Fn(Item) -> f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let least = at
            .checked_sub(1)
            .map(|before| places[before] + f64::midpoint(height(items[before]), height(*item)) + SPACE);
        places.push(least.map_or(wanted[at], |least| least.max(wanted[at])));
    }
    // What was pushed down only is moved up again as a whole.
    let count = f64::from(u32::try_from(items.len().max(1)).unwrap_or(u32::MAX));
    let shift = places.iter().zip(wanted).map(|(place, wanted)| wanted - place).sum::<f64>() / count;
    places.into_iter().map(|place| place + shift).collect()
}

/// Returns the column of each node: after all nodes that lead to it. A line that closes a circle is left out, and a dotted one
/// leads to the left.
fn ranks(graph: &Graph) -> Vec<usize> {
    let mut forward: Vec<(usize, usize)> = Vec::new();
    for edge in &graph.edges {
        let (from, to) = if edge.is_dotted { (edge.to, edge.from) } else { (edge.from, edge.to) };
        if !reaches(&forward, to, from) {
            forward.push((from, to));
        }
    }
    let mut ranks = vec![0; graph.nodes.len()];
    for _ in 0..graph.nodes.len() {
        for (from, to) in &forward {
            ranks[*to] = ranks[*to].max(ranks[*from] + 1);
        }
    }
    // A node that nothing leads to stands right before the first one that it leads to, unless a frame is there.
    for node in 0..ranks.len() {
        let is_source = forward.iter().all(|(_, to)| *to != node);
        let next = forward.iter().filter(|(from, _)| *from == node).map(|(_, to)| ranks[*to]).min();
        let has_frame = |column: usize| {
            let mut others = graph.nodes.iter().zip(&ranks).filter(|(_, rank)| **rank == column);
            others.any(|(other, _)| other.group != graph.nodes[node].group)
        };
        if let Some(before) = next.filter(|_| is_source).map(|next| next - 1).filter(|column| !has_frame(*column)) {
            ranks[node] = before;
        }
    }
    behind_frames(graph, &forward, &mut ranks);
    ranks
}

/// Moves a node that leads nowhere, and belongs to no frame, behind the frames in whose columns it would stand.
fn behind_frames(graph: &Graph, forward: &[(usize, usize)], ranks: &mut [usize]) {
    let framed = graph.nodes.iter().zip(&*ranks).filter(|(node, _)| node.group.is_some()).map(|(_, rank)| *rank);
    let framed: Vec<usize> = framed.collect();
    let (Some(first), Some(last)) = (framed.iter().copied().min(), framed.iter().copied().max()) else { return };
    for (node, rank) in ranks.iter_mut().enumerate() {
        let is_end = forward.iter().any(|(_, to)| *to == node) && forward.iter().all(|(from, _)| *from != node);
        if is_end && graph.nodes[node].group.is_none() && (first..=last).contains(rank) {
            *rank = last + 1;
        }
    }
}

fn reaches(edges: &[(usize, usize)], from: usize, to: usize) -> bool {
    from == to || edges.iter().any(|(start, next)| *start == from && reaches(edges, *next, to))
}

#[cfg(test)]
mod tests {
    use super::super::{Edge, End};
    use super::*;

    fn graph(edges: &[(&str, &str, bool)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to, is_dotted) in edges {
            let (from, to) = (graph.node(from), graph.node(to));
            graph.edges.push(Edge {
                from,
                to,
                ends: [End::Plain, End::Arrow],
                label: String::new(),
                is_dotted: *is_dotted,
            });
        }
        graph
    }

    #[test]
    fn columns_follow_the_lines() {
        for (edges, want) in [
            (&[("a", "b", false), ("b", "c", false), ("a", "c", false)][..], vec![0, 1, 2]),
            (&[("a", "b", false), ("b", "a", false)], vec![0, 1]),
            (&[("a", "b", false), ("c", "b", true)], vec![0, 1, 2]),
            (&[("a", "b", false), ("b", "c", false), ("d", "c", false)], vec![0, 1, 2, 1]),
        ] {
            assert_eq!(ranks(&graph(edges)), want, "{edges:?}");
        }
    }

    #[test]
    fn boxes_of_a_column_do_not_overlap() {
        let edges = [("a", "c", false), ("b", "c", false), ("b", "d", false), ("a", "e", false), ("c", "e", false)];
        let columns = arranged(&graph(&edges), |_| 40.0);
        assert_eq!(columns.items[1].len(), 3, "two boxes and a passage: {:?}", columns.items);
        for (items, middles) in columns.items.iter().zip(&columns.middles) {
            for (pair, places) in items.windows(2).zip(middles.windows(2)) {
                let height = |item| if matches!(item, Item::Node(_)) { 40.0 } else { PASSAGE };
                let needed = f64::midpoint(height(pair[0]), height(pair[1])) + SPACE;
                assert!(places[1] - places[0] >= needed - 1e-6, "{items:?} {middles:?}");
            }
        }
    }
}

//! Boxes in columns, with lines between them: flowcharts and diagrams of tables.

mod columns;
mod draw;
mod labels;
mod route;

pub(super) use draw::svg;

/// The content of a picture.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Graph {
    /// A sentence for readers who do not see the picture.
    pub(super) title: String,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    pub(super) groups: Vec<Group>,
}

/// The outline of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Rectangle,
    Cylinder,
}

/// A box.
#[derive(Debug, PartialEq)]
pub(super) struct Node {
    pub(super) id: String,
    /// The lines of its text. The first one is its name.
    pub(super) lines: Vec<String>,
    pub(super) shape: Shape,
    /// The group that it stands in.
    pub(super) group: Option<usize>,
}

/// The sign at one end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Plain,
    Arrow,
    ExactlyOne,
    ZeroOrOne,
    ZeroOrMore,
}

/// A line between two boxes.
#[derive(Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) ends: [End; 2],
    pub(super) label: String,
    /// A dotted line leads to the left: its source stands after its target.
    pub(super) is_dotted: bool,
}

/// A frame around boxes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) title: String,
}

impl Graph {
    /// Returns the place of a node, which is added if it is new.
    pub(super) fn node(&mut self, id: &str) -> usize {
        if let Some(at) = self.nodes.iter().position(|node| node.id == id) {
            return at;
        }
        self.nodes.push(Node { id: id.to_owned(), lines: vec![id.to_owned()], shape: Shape::Rectangle, group: None });
        self.nodes.len() - 1
    }
}

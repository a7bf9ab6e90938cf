//! Flowcharts: boxes with texts, arrows with labels, and frames.

use super::graph::{Edge, End, Graph, Group, Shape};
use super::{BrokenLine, Numbered};

/// Reads a flowchart. A line of another form is an error.
pub(super) fn read<'a>(lines: impl Iterator<Item = Numbered<'a>>) -> Result<Graph, BrokenLine> {
    let mut graph = Graph::default();
    let mut frame = None;
    for (number, line) in lines {
        let understood = if let Some(title) = line.strip_prefix("accTitle: ") {
            title.clone_into(&mut graph.title);
            Some(())
        } else if let Some(group) = line.strip_prefix("subgraph ").filter(|_| frame.is_none()) {
            quoted(group).map(|(_, title)| {
                frame = Some(graph.groups.len());
                graph.groups.push(Group { title: title.to_owned() });
            })
        } else if line == "end" {
            frame.take().map(|_| ())
        } else {
            arrow(&mut graph, line, frame).or_else(|| node(&mut graph, line, frame).map(|_| ()))
        };
        understood.ok_or_else(|| BrokenLine::new(number, "a flowchart", line))?;
    }
    if graph.title.is_empty() {
        return Err(BrokenLine::without_title());
    }
    Ok(graph)
}

/// Reads a line such as `a --> b`, `a -.-> b` or `a -- "text" --> b`. A box may be declared at each end.
fn arrow(graph: &mut Graph, line: &str, frame: Option<usize>) -> Option<()> {
    let (from, label, to, is_dotted) = if let Some((from, rest)) = line.split_once(" -- \"") {
        let (label, to) = rest.split_once("\" --> ")?;
        (from, label, to, false)
    } else if let Some((from, to)) = line.split_once(" -.-> ") {
        (from, "", to, true)
    } else {
        let (from, to) = line.split_once(" --> ")?;
        (from, "", to, false)
    };
    let (from, to) = (node(graph, from, frame)?, node(graph, to, frame)?);
    graph.edges.push(Edge { from, to, ends: [End::Plain, End::Arrow], label: label.to_owned(), is_dotted });
    Some(())
}

/// Reads a box such as `a`, `a["text<br/>more"]` or `a[("text")]`.
fn node(graph: &mut Graph, text: &str, frame: Option<usize>) -> Option<usize> {
    let text = text.trim();
    let (id, label, shape) = if text.contains('[') {
        let is_cylinder = text.ends_with(")]");
        let plain = if is_cylinder { text.replacen("[(", "[", 1).replacen(")]", "]", 1) } else { text.to_owned() };
        let (id, label) = quoted(&plain)?;
        (id.to_owned(), Some(label.to_owned()), if is_cylinder { Shape::Cylinder } else { Shape::Rectangle })
    } else {
        (text.to_owned(), None, Shape::Rectangle)
    };
    if id.is_empty() || !id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return None;
    }
    let at = graph.node(&id);
    let node = &mut graph.nodes[at];
    if let Some(label) = label {
        node.lines = label.split("<br/>").map(str::to_owned).collect();
        node.shape = shape;
        node.group = frame;
    } else if node.group.is_none() && node.lines == [id] {
        node.group = frame;
    }
    Some(at)
}

/// Splits `id["text"]`.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (id, label) = text.split_once("[\"")?;
    let label = label.strip_suffix("\"]")?;
    (!label.contains(['"', '[', ']'])).then_some((id, label))
}

#[cfg(test)]
mod tests {
    use super::super::svg;

    const SMALL: &str = "flowchart LR\naccTitle: Who calls whom\na[\"client<br/>token\"] -- \"https\" --> b\n\
                         subgraph all[\"the service\"]\nb[\"serve & store\"]\nport -.-> b\nend\nb --> db[(\"database\")]";

    #[test]
    fn boxes_arrows_and_frames_are_drawn_once() {
        let drawn = svg(SMALL).unwrap();
        for part in [
            "<title>Who calls whom</title>",
            "<desc>client token to serve &amp; store: https.",
            ">client</text>",
            ">token</text>",
            ">https</text>",
            ">the service</text>",
            ">serve &amp; store</text>",
            ">database</text>",
            ">port</text>",
        ] {
            assert_eq!(drawn.matches(part).count(), 1, "{part}: {drawn}");
        }
        assert_eq!(drawn.matches("marker-end").count(), 3);
        assert_eq!(drawn.matches(r#"stroke-dasharray="2 5""#).count(), 1, "one dotted arrow");
        assert!(!drawn.contains("\n\n"), "a blank line would end the HTML");
    }

    #[test]
    fn line_of_another_form_is_refused_with_its_number() {
        for line in [
            "a --x b",
            "a --> b & c",
            "style a fill:red",
            "a{\"choice\"}",
            "subgraph x",
            "end",
            "a[\"one\"",
            "a -- text --> b",
        ] {
            let error = svg(&format!("{SMALL}\n{line}")).unwrap_err().to_string();
            assert!(error.contains("not a line of a flowchart") && error.contains(line), "{error}");
            assert_eq!(svg(&format!("{SMALL}\n{line}")).unwrap_err().line, 8, "{line}");
        }
        assert!(svg("flowchart TD\na --> b").is_err(), "only from left to right");
        assert!(svg("flowchart LR\na --> b").unwrap_err().to_string().contains("accTitle"));
    }
}

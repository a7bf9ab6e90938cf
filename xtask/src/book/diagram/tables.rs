//! Diagrams of tables: their names, and how many rows of one belong to a row of the other.

use super::graph::{Edge, End, Graph};
use super::{BrokenLine, Numbered};

/// Reads a diagram of tables. A line of another form is an error.
pub(super) fn read<'a>(lines: impl Iterator<Item = Numbered<'a>>) -> Result<Graph, BrokenLine> {
    let mut graph = Graph::default();
    for (number, line) in lines {
        let understood = if let Some(title) = line.strip_prefix("accTitle: ") {
            title.clone_into(&mut graph.title);
            Some(())
        } else if is_name(line) {
            graph.node(line);
            Some(())
        } else {
            relation(&mut graph, line)
        };
        understood.ok_or_else(|| BrokenLine::new(number, "a diagram of tables", line))?;
    }
    if graph.title.is_empty() {
        return Err(BrokenLine::without_title());
    }
    Ok(graph)
}

/// Reads a line such as `a ||--o{ b : "text"`.
fn relation(graph: &mut Graph, line: &str) -> Option<()> {
    let (tables, label) = line.split_once(" : ")?;
    let [from, relation, to] = <[&str; 3]>::try_from(tables.split_whitespace().collect::<Vec<_>>()).ok()?;
    let (left, right) = relation.split_once("--").or_else(|| relation.split_once(".."))?;
    if !is_name(from) || !is_name(to) {
        return None;
    }
    let left = match left {
        "||" => End::ExactlyOne,
        "|o" => End::ZeroOrOne,
        "}o" => End::ZeroOrMore,
        _ => return None,
    };
    let right = match right {
        "||" => End::ExactlyOne,
        "o|" => End::ZeroOrOne,
        "o{" => End::ZeroOrMore,
        _ => return None,
    };
    let (from, to) = (graph.node(from), graph.node(to));
    graph.edges.push(Edge {
        from,
        to,
        ends: [left, right],
        label: label.trim_matches('"').to_owned(),
        is_dotted: false,
    });
    Some(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::super::svg;

    #[test]
    fn tables_and_their_relations_are_drawn() {
        let drawn = svg("erDiagram\naccTitle: Tables\na ||--o{ b : owns\nb |o..o| c : \"may have\"\nalone").unwrap();
        for part in [">a</text>", ">b</text>", ">c</text>", ">alone</text>", ">owns</text>", ">may have</text>"] {
            assert_eq!(drawn.matches(part).count(), 1, "{part}: {drawn}");
        }
        assert_eq!(drawn.matches("<circle").count(), 3, "each end with a zero has one");
        assert_eq!(drawn.matches("<line").count(), 2 + 2 + 1 + 1, "two bars, a foot of two lines, a bar and a bar");
    }

    #[test]
    fn line_of_another_form_is_refused_with_its_number() {
        for line in ["a ||--|{ b : owns", "a ||--o{ b", "a { string name }", "a || b : x"] {
            let error = svg(&format!("erDiagram\naccTitle: Tables\n{line}")).unwrap_err();
            assert!(error.line == 2 && error.to_string().contains(line), "{error}");
        }
    }
}

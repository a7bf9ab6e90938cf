//! The table of a run.

use comfy_table::{CellAlignment, Table, presets};

use super::figure::Figure;

const COLUMNS: [&str; 6] = ["figure", "value", "floor or ideal", "ratio", "last", "change"];

/// Returns an aligned table. The change is in percent, or `new` for a figure that the previous run lacks.
pub(super) fn render(figures: &[Figure], previous: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(COLUMNS);
    for figure in figures {
        table.add_row(cells(figure, previous));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn cells(figure: &Figure, previous: &[Figure]) -> [String; 6] {
    let show = |value: Option<f64>| value.map(|value| figure.unit.show(value)).unwrap_or_default();
    let last = previous.iter().find(|last| last.name == figure.name && last.unit == figure.unit);
    let change = match (last, figure.change(previous)) {
        (None, _) => "new".to_owned(),
        (Some(_), None) => "from 0".to_owned(),
        (Some(_), Some(percent)) => format!("{percent:+.0} %"),
    };
    [
        figure.name.clone(),
        figure.unit.show(figure.value),
        show(figure.reference),
        figure.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        show(last.map(|last| last.value)),
        change,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    #[test]
    fn a_row_shows_ratio_and_change_and_new_figures_say_so() {
        let figure = |value, reference| Figure { name: "reads".into(), unit: Unit::PerSecond, value, reference };
        let row = cells(&figure(150.0, Some(600.0)), &[figure(100.0, None)]);
        assert_eq!(row, ["reads", "150/s", "600/s", "0.25", "100/s", "+50 %"]);
        assert_eq!(cells(&figure(150.0, None), &[figure(0.0, None)])[5], "from 0");
        assert_eq!(cells(&figure(150.0, None), &[]), ["reads", "150/s", "", "", "", "new"]);
        let table = render(&[figure(150.0, None)], &[]);
        assert!(COLUMNS.iter().all(|column| table.contains(column)), "{table}");
    }
}

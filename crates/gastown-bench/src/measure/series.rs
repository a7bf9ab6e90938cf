//! The values of figures over several rounds.

use super::latencies::median;
use crate::report::{Figure, Unit};

/// The values of several figures, in the order in which the figures first appeared.
#[derive(Debug, Default)]
pub(crate) struct Series(Vec<Row>);

#[derive(Debug)]
struct Row {
    name: String,
    unit: Unit,
    values: Vec<f64>,
    references: Vec<f64>,
}

impl Series {
    /// Adds the value of one round.
    pub(crate) fn add(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        self.beside(name, unit, value, None);
    }

    /// Adds the value of one round, and the floor or ideal that it is compared with.
    pub(crate) fn beside(&mut self, name: impl Into<String>, unit: Unit, value: f64, reference: Option<f64>) {
        let name = name.into();
        let at = self.0.iter().position(|row| row.name == name).unwrap_or(self.0.len());
        if at == self.0.len() {
            self.0.push(Row { name, unit, values: Vec::new(), references: Vec::new() });
        }
        let row = &mut self.0[at];
        row.values.push(value);
        row.references.extend(reference);
    }

    /// Returns the median of each figure.
    pub(crate) fn medians(self) -> Vec<Figure> {
        self.0.into_iter().map(Row::into_median).collect()
    }
}

impl Row {
    fn into_median(self) -> Figure {
        let reference = (!self.references.is_empty()).then(|| median(&self.references));
        Figure { name: self.name, unit: self.unit, value: median(&self.values), reference }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_in_the_order_of_their_first_value() {
        let mut series = Series::default();
        for (rate, floor) in [(30.0, 100.0), (10.0, 300.0), (20.0, 200.0)] {
            series.beside("reads", Unit::PerSecond, rate, Some(floor));
            series.add("memory", Unit::Mebibytes, rate);
        }
        let figure = |name: &str, unit, reference| Figure { name: name.to_owned(), unit, value: 20.0, reference };
        let want = [figure("reads", Unit::PerSecond, Some(200.0)), figure("memory", Unit::Mebibytes, None)];
        assert_eq!(series.medians(), want);
    }
}

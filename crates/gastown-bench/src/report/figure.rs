//! One measured figure and its unit.

use serde::{Deserialize, Serialize};

/// A measured value, beside the floor or the ideal of the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) value: f64,
    /// The floor of a rate, or the ideal of a time or count.
    pub(crate) reference: Option<f64>,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    PerSecond,
    Milliseconds,
    Seconds,
    Mebibytes,
    Count,
    /// A quotient of two figures.
    Ratio,
}

impl Figure {
    /// Returns the quotient of value and reference.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.reference.filter(|reference| *reference > 0.0).map(|reference| self.value / reference)
    }

    /// Returns the change in percent since the figure of the same name, if there is one.
    pub(crate) fn change(&self, previous: &[Self]) -> Option<f64> {
        let last = previous.iter().find(|figure| figure.name == self.name && figure.unit == self.unit)?;
        match (last.value == 0.0, self.value == 0.0) {
            (true, true) => Some(0.0),
            (true, false) => None,
            (false, _) => Some((self.value / last.value - 1.0) * 100.0),
        }
    }
}

impl Unit {
    /// Returns the value with its unit.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", rounded(value)),
            Self::Milliseconds => format!("{} ms", rounded(value)),
            Self::Seconds => format!("{} s", rounded(value)),
            Self::Mebibytes => format!("{} MiB", rounded(value)),
            Self::Ratio => format!("{value:.2}"),
            Self::Count if value.fract() == 0.0 => format!("{value:.0}"),
            Self::Count => rounded(value),
        }
    }
}

/// Returns about three significant digits.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, value: f64, reference: Option<f64>) -> Figure {
        Figure { name: name.to_owned(), unit: Unit::PerSecond, value, reference }
    }

    fn shown(value: Option<f64>) -> Option<String> {
        value.map(|value| format!("{value:.3}"))
    }

    #[test]
    fn ratio_needs_a_reference_above_zero() {
        assert_eq!(shown(figure("a", 30.0, Some(40.0)).ratio()).as_deref(), Some("0.750"));
        assert_eq!(figure("a", 30.0, Some(0.0)).ratio(), None);
        assert_eq!(figure("a", 30.0, None).ratio(), None);
    }

    #[test]
    fn change_is_that_since_the_figure_of_the_same_name_and_unit() {
        let last = [figure("a", 50.0, None), figure("b", 0.0, None)];
        let change = |name, value| shown(figure(name, value, None).change(&last));
        assert_eq!(change("a", 40.0).as_deref(), Some("-20.000"));
        assert_eq!(change("b", 0.0).as_deref(), Some("0.000"));
        assert_eq!(change("b", 1.0), None);
        assert_eq!(change("c", 1.0), None);
        let other_unit = Figure { unit: Unit::Count, ..figure("a", 40.0, None) };
        assert_eq!(other_unit.change(&last), None);
    }

    #[test]
    fn values_are_shown_with_three_digits_and_their_unit() {
        for (unit, value, want) in [
            (Unit::PerSecond, 1096.4, "1096/s"),
            (Unit::Milliseconds, 0.1234, "0.123 ms"),
            (Unit::Milliseconds, 5.678, "5.68 ms"),
            (Unit::Mebibytes, 20.04, "20.0 MiB"),
            (Unit::Seconds, 91.0, "91.0 s"),
            (Unit::Count, 55.0, "55"),
            (Unit::Count, 0.5, "0.500"),
            (Unit::Ratio, 0.966, "0.97"),
        ] {
            assert_eq!(unit.show(value), want);
        }
    }
}

//! Where settings come from: the environment, and a file below it. Read once; every mistake is collected.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;

/// Settings as they were found, by name.
#[derive(Clone, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
}

/// A settings file could not be read. Its text never shows a value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there, or not readable.
    #[error("cannot read the settings file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It is not TOML.
    #[error("the settings file {} is not TOML (line {line})", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
    },
}

impl Source {
    /// Settings from pairs, such as the process's environment. Blank values count as absent.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: pairs.into_iter().filter(|(_, value)| !is_blank(value)).collect(), mistakes: Vec::new() }
    }

    /// The process's environment.
    pub fn from_environment() -> Self {
        // Names or values that are not UTF-8 cannot be settings of ours.
        let pairs = std::env::vars_os();
        Self::from_pairs(pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))))
    }

    /// Puts a TOML file of `NAME = value` lines below what is here: what is set already wins, blank values count as
    /// absent. `known` are the names that may occur. Other names, and values that are tables or lists, are mistakes that
    /// are told with all the others.
    ///
    /// Errors: unreadable, not TOML.
    pub fn with_file(mut self, path: &Path, known: &[&str]) -> Result<Self, SourceError> {
        let path = path.to_owned();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) => return Err(SourceError::Unreadable { path, cause }),
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            // The parser's own text would quote the line, and with it perhaps a secret.
            Err(error) => {
                let error: toml::de::Error = error;
                let start = error.span().map_or(0, |span| span.start);
                let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
                return Err(SourceError::Malformed { path, line });
            }
        };
        for (name, value) in table {
            let value = match value {
                _ if !known.contains(&name.as_str()) => Err("is no setting"),
                toml::Value::String(text) => Ok(text),
                toml::Value::Integer(number) => Ok(number.to_string()),
                toml::Value::Boolean(truth) => Ok(truth.to_string()),
                _ => Err("is wrong: must be a text, a number or a truth value"),
            };
            match value {
                Ok(value) if is_blank(&value) => {}
                Ok(value) => {
                    self.values.entry(name).or_insert(value);
                }
                Err(problem) => {
                    self.mistakes.push(Mistake { name, problem: format!("{problem} (in {})", path.display()) });
                }
            }
        }
        Ok(self)
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Every setting, by name.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Fills a blank.
    pub fn fill(&mut self, name: &str, value: impl FnOnce() -> String) {
        self.values.entry(name.to_owned()).or_insert_with(value);
    }
}

/// A secret of white space alone would be accepted, sealed and refused by everybody it is shown to.
fn is_blank(value: &str) -> bool {
    value.trim().is_empty()
}

/// A setting that is missing or wrong: its name and what is expected, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct Mistake {
    /// The setting.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads typed settings and collects the mistakes.
pub(crate) struct Reader<'a> {
    source: &'a Source,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, mistakes: source.mistakes.clone() }
    }

    /// Notes a setting that is not there, unless what is there was wrong already.
    fn missing(&mut self, name: &str) {
        if self.source.get(name).is_none() && self.mistakes.iter().all(|mistake| mistake.name != name) {
            self.wrong(name, "is missing");
        }
    }

    /// A setting without which nothing works.
    pub(crate) fn required<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: Display,
    {
        self.missing(name);
        self.optional(name)
    }

    /// A setting that may be absent.
    pub(crate) fn optional<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: Display,
    {
        match self.source.get(name)?.trim().parse() {
            Ok(value) => Some(value),
            Err(problem) => {
                self.wrong(name, &format!("is wrong: {problem}"));
                None
            }
        }
    }

    /// A setting with a default.
    pub(crate) fn or<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: Display,
    {
        self.optional(name).unwrap_or(default)
    }

    /// A secret without which nothing works.
    pub(crate) fn required_secret(&mut self, name: &str) -> Option<SecretString> {
        self.missing(name);
        self.secret(name)
    }

    /// A secret that may be absent.
    pub(crate) fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.source.get(name).map(|value| SecretString::from(value.to_owned()))
    }

    /// Whether a setting is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.source.get(name).is_some()
    }

    /// Notes a mistake.
    pub(crate) fn wrong(&mut self, name: &str, problem: &str) {
        self.mistakes.push(Mistake { name: name.to_owned(), problem: problem.to_owned() });
    }

    /// The mistakes so far, in the order the settings were read.
    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}

//! Where settings come from: the environment, and a file below it. Read once; every mistake is collected.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;

/// Settings as they were found, by name.
#[derive(Clone, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    /// Names whose value in the environment is not UTF-8: set, and of no use.
    not_text: BTreeSet<String>,
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
        Self { values: pairs.into_iter().filter(|(_, value)| !is_blank(value)).collect(), ..Self::default() }
    }

    /// The process's environment.
    pub fn from_environment() -> Self {
        Self::from_os_pairs(std::env::vars_os())
    }

    fn from_os_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let (mut texts, mut not_text) = (Vec::new(), BTreeSet::new());
        for (name, value) in pairs {
            // A name that is not UTF-8 is none of ours.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => texts.push((name, value)),
                Err(_) => drop(not_text.insert(name)),
            }
        }
        Self { not_text, ..Self::from_pairs(texts) }
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
                // The environment stands above the file, also where it makes no sense.
                Ok(_) if self.not_text.contains(&name) => {}
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

    /// The value of a setting without which a command cannot do its work.
    ///
    /// Errors: it is missing, or not UTF-8.
    pub fn required(&self, name: &str) -> Result<&str, Mistake> {
        let problem = if self.not_text.contains(name) { NOT_TEXT } else { MISSING };
        self.get(name).ok_or_else(|| Mistake { name: name.to_owned(), problem: problem.to_owned() })
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

const MISSING: &str = "is missing";
const NOT_TEXT: &str = "is wrong: must be UTF-8";

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

    /// What a setting is set to; that it is no text is noted.
    fn value(&mut self, name: &str) -> Option<&'a str> {
        if self.source.not_text.contains(name) {
            self.wrong(name, NOT_TEXT);
            return None;
        }
        self.source.get(name)
    }

    /// Notes a setting that is not there, unless what is there was wrong already.
    fn missing(&mut self, name: &str) {
        if !self.has(name) && self.mistakes.iter().all(|mistake| mistake.name != name) {
            self.wrong(name, MISSING);
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
        match self.value(name)?.trim().parse() {
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
        self.value(name).map(|value| SecretString::from(value.to_owned()))
    }

    /// Whether a setting is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.source.get(name).is_some() || self.source.not_text.contains(name)
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

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn environment() -> Source {
        let not_text = || OsString::from_vec(b"canary-\xff".to_vec());
        let pairs = [("PORT", OsString::from("80")), ("HOST", not_text()), ("R2_ACCESS_KEY", not_text())];
        Source::from_os_pairs(pairs.map(|(name, value)| (OsString::from(name), value)))
    }

    #[test]
    fn a_value_that_is_no_text_is_told_as_such_and_not_as_missing() {
        let source = environment();
        let mut reader = Reader::new(&source);
        assert_eq!(reader.or("PORT", 1), 80);
        assert_eq!(reader.or("HOST", "usual".to_owned()), "usual");
        assert!(reader.required_secret("R2_ACCESS_KEY").is_none() && reader.has("R2_ACCESS_KEY"));
        let told: Vec<_> = reader.into_mistakes().iter().map(ToString::to_string).collect();
        assert_eq!(told, ["HOST is wrong: must be UTF-8", "R2_ACCESS_KEY is wrong: must be UTF-8"]);
        let told =
            ["PORT", "HOST", "R2_BUCKET"].map(|name| source.required(name).map_err(|mistake| mistake.to_string()));
        assert_eq!(told, [Ok("80"), Err("HOST is wrong: must be UTF-8".into()), Err("R2_BUCKET is missing".into())]);
    }

    #[test]
    fn no_file_and_no_default_hides_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gastown.toml");
        std::fs::write(&file, "HOST = \"127.0.0.1\"\n").unwrap();
        let mut source = environment().with_file(&file, &["HOST"]).unwrap();
        source.fill("R2_ACCESS_KEY", || "filled".to_owned());
        let mut reader = Reader::new(&source);
        assert_eq!((reader.optional::<String>("HOST"), reader.optional::<String>("R2_ACCESS_KEY")), (None, None));
        assert_eq!(reader.into_mistakes().len(), 2);
    }
}

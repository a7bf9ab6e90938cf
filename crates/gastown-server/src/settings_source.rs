//! The sources of settings: the environment, and a file with lower precedence. Every mistake is collected.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;

/// Unparsed settings, by name.
#[derive(Clone, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    /// The names whose value in the environment is not UTF-8.
    not_text: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

/// A settings file could not be read. The error contains no value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It does not exist, or is not readable.
    #[error("failed to read the settings file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// It is not TOML.
    #[error("the settings file {} is not TOML (line {line})", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
    },
}

impl Source {
    /// Creates a source from pairs of name and value. Blank values count as absent.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: pairs.into_iter().filter(|(_, value)| !is_blank(value)).collect(), ..Self::default() }
    }

    /// Reads the environment of the process.
    pub fn from_environment() -> Self {
        Self::from_os_pairs(std::env::vars_os())
    }

    fn from_os_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let (mut texts, mut not_text) = (Vec::new(), BTreeSet::new());
        for (name, value) in pairs {
            // No setting has a name that is not UTF-8.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => texts.push((name, value)),
                Err(_) => drop(not_text.insert(name)),
            }
        }
        Self { not_text, ..Self::from_pairs(texts) }
    }

    /// Adds a TOML file of `NAME = value` lines. Existing settings take precedence, and blank values count as absent. Names
    /// that are not in `known`, and values that are tables or lists, are mistakes, which are reported with all others.
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
            // The parser's message quotes the line, which may contain a secret.
            Err(error) => {
                let error: toml::de::Error = error;
                let start = error.span().map_or(0, |span| span.start);
                let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
                return Err(SourceError::Malformed { path, line });
            }
        };
        for (name, value) in table {
            self.add(&path, known, name, value);
        }
        Ok(self)
    }

    /// Adds one entry of the file at `path`.
    fn add(&mut self, path: &Path, known: &[&str], name: String, value: toml::Value) {
        let value = match value {
            _ if !known.contains(&name.as_str()) => Err("is unknown"),
            toml::Value::String(text) => Ok(text),
            toml::Value::Integer(number) => Ok(number.to_string()),
            toml::Value::Boolean(flag) => Ok(flag.to_string()),
            _ => Err("is invalid: must be a string, a number or a boolean"),
        };
        match value {
            Ok(value) if is_blank(&value) => {}
            // The environment takes precedence, even with an invalid value.
            Ok(_) if self.not_text.contains(&name) => {}
            Ok(value) => {
                self.values.entry(name).or_insert(value);
            }
            Err(problem) => {
                self.mistakes.push(Mistake { name, problem: format!("{problem} (in {})", path.display()) });
            }
        }
    }

    /// Returns the value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Returns the value of a required setting.
    ///
    /// Errors: it is missing, in quotes, or not UTF-8.
    pub fn required(&self, name: &str) -> Result<&str, Mistake> {
        let problem = match self.get(name) {
            Some(value) if is_quoted(value) => QUOTED,
            Some(value) => return Ok(value),
            None if self.not_text.contains(name) => NOT_TEXT,
            None => MISSING,
        };
        Err(Mistake { name: name.to_owned(), problem: problem.to_owned() })
    }

    /// Returns every setting, by name.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a setting that is absent.
    pub fn fill(&mut self, name: &str, value: impl FnOnce() -> String) {
        self.values.entry(name.to_owned()).or_insert_with(value);
    }
}

const MISSING: &str = "is missing";
const NOT_TEXT: &str = "is invalid: must be UTF-8";
const QUOTED: &str = "is invalid: has quotes around its value, which env files may leave there; remove them";

/// Returns true for a value in quotes. Shells remove them from env files, but other programs pass them on.
fn is_quoted(value: &str) -> bool {
    let value = value.trim();
    let within = |quote| value.strip_prefix(quote).is_some_and(|rest: &str| rest.ends_with(quote));
    within('"') || within('\'')
}

/// Returns true for white space. A secret of white space would be sealed and then rejected by every receiver.
fn is_blank(value: &str) -> bool {
    value.trim().is_empty()
}

/// A missing or invalid setting: its name and the problem, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct Mistake {
    /// The name of the setting.
    pub name: String,
    /// The problem, such as `is missing`.
    pub problem: String,
}

/// Parses settings and collects the mistakes.
pub(crate) struct Reader<'a> {
    source: &'a Source,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, mistakes: source.mistakes.clone() }
    }

    /// Returns the value of a setting. Records a mistake, at most once, if it is not UTF-8 or in quotes.
    pub(crate) fn value(&mut self, name: &str) -> Option<&'a str> {
        let value = self.source.get(name);
        let problem = match value {
            _ if self.source.not_text.contains(name) => NOT_TEXT,
            Some(value) if is_quoted(value) => QUOTED,
            _ => return value,
        };
        if !self.is_wrong(name) {
            self.wrong(name, problem);
        }
        None
    }

    fn is_wrong(&self, name: &str) -> bool {
        self.mistakes.iter().any(|mistake| mistake.name == name)
    }

    /// Records that a setting is missing, unless a mistake is recorded already.
    fn missing(&mut self, name: &str) {
        if !self.has(name) && !self.is_wrong(name) {
            self.wrong(name, MISSING);
        }
    }

    /// Parses a required setting.
    pub(crate) fn required<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: Display,
    {
        self.missing(name);
        self.optional(name)
    }

    /// Parses an optional setting.
    pub(crate) fn optional<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: Display,
    {
        match self.value(name)?.trim().parse() {
            Ok(value) => Some(value),
            Err(problem) => {
                self.wrong(name, &format!("is invalid: {problem}"));
                None
            }
        }
    }

    /// Parses a setting with a default.
    pub(crate) fn or<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: Display,
    {
        self.optional(name).unwrap_or(default)
    }

    /// Parses a number from 1 to `most`, with a default.
    pub(crate) fn count<T>(&mut self, name: &str, default: T, most: T) -> T
    where
        T: FromStr<Err: Display> + Display + Default + PartialOrd + Copy,
    {
        let given = self.or(name, default);
        if given <= T::default() || given > most {
            self.wrong(name, &format!("is invalid: must be between 1 and {most}"));
        }
        given
    }

    /// Returns a required secret.
    pub(crate) fn required_secret(&mut self, name: &str) -> Option<SecretString> {
        self.missing(name);
        self.secret(name)
    }

    /// Returns an optional secret.
    pub(crate) fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.value(name).map(|value| SecretString::from(value.to_owned()))
    }

    /// Returns true if a setting is present.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.source.get(name).is_some() || self.source.not_text.contains(name)
    }

    /// Records a mistake.
    pub(crate) fn wrong(&mut self, name: &str, problem: &str) {
        self.mistakes.push(Mistake { name: name.to_owned(), problem: problem.to_owned() });
    }

    /// Returns the mistakes, in the order in which the settings were read.
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
    fn value_that_is_not_utf8_is_invalid_and_not_missing() {
        let source = environment();
        let mut reader = Reader::new(&source);
        assert_eq!(reader.or("PORT", 1), 80);
        assert_eq!(reader.or("HOST", "usual".to_owned()), "usual");
        assert!(reader.required_secret("R2_ACCESS_KEY").is_none() && reader.has("R2_ACCESS_KEY"));
        let mistakes: Vec<_> = reader.into_mistakes().iter().map(ToString::to_string).collect();
        assert_eq!(mistakes, ["HOST is invalid: must be UTF-8", "R2_ACCESS_KEY is invalid: must be UTF-8"]);
        let required =
            ["PORT", "HOST", "R2_BUCKET"].map(|name| source.required(name).map_err(|mistake| mistake.to_string()));
        assert_eq!(
            required,
            [Ok("80"), Err("HOST is invalid: must be UTF-8".into()), Err("R2_BUCKET is missing".into())]
        );
    }

    #[test]
    fn neither_file_nor_default_hides_it() {
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

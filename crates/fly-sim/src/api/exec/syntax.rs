//! The syntax of the shell language: words, pipelines, `&&`, `||`, `;`, variables and redirections.

use std::{iter::Peekable, str::Chars};

/// Words at the place of a command that begin a construct of the shell.
const KEYWORDS: [&str; 12] =
    ["if", "for", "while", "until", "case", "function", "select", "time", "{", "}", "[[", "do"];

/// A part of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// A quoted text, which may be empty.
    Quoted(String),
    Variable {
        name: String,
        is_quoted: bool,
    },
}

/// An argument before its variables are expanded.
pub(super) type Word = Vec<Part>;

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    Input(Word),
    /// Output or errors to a file.
    Output {
        is_error: bool,
        append: bool,
        target: Word,
    },
    /// `2>&1` or `>&2`.
    Merge {
        is_error: bool,
    },
}

/// A command with its redirections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
}

/// The condition under which a pipeline runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Success,
    Failure,
}

/// Commands that are connected with `|`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pipeline {
    pub(super) when: When,
    pub(super) is_negated: bool,
    pub(super) commands: Vec<Simple>,
}

/// The reason why a script is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("{0} is not simulated")]
    NotSimulated(String),
    #[error("syntax error: {0}")]
    Invalid(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(Word),
    Redirect(Redirect),
    Pipe,
    And,
    Or,
    End,
}

/// Parses a script. Nothing of a script with an unknown construct is run.
pub(super) fn parse(script: &str) -> Result<Vec<Pipeline>, SyntaxError> {
    let mut pipelines = Vec::new();
    let (mut when, mut commands, mut simple) = (When::Always, Vec::new(), Simple::default());
    for token in Lexer::new(script).tokens()?.into_iter().chain([Token::End]) {
        match token {
            Token::Word(word) => simple.words.push(word),
            Token::Redirect(redirect) => simple.redirects.push(redirect),
            Token::Pipe => commands.push(finished(std::mem::take(&mut simple))?),
            Token::And | Token::Or | Token::End => {
                let is_empty = simple == Simple::default() && commands.is_empty();
                if is_empty && token == Token::End && when == When::Always {
                    continue;
                }
                commands.push(finished(std::mem::take(&mut simple))?);
                pipelines.push(pipeline(when, std::mem::take(&mut commands))?);
                when = match token {
                    Token::And => When::Success,
                    Token::Or => When::Failure,
                    Token::Word(_) | Token::Redirect(_) | Token::Pipe | Token::End => When::Always,
                };
            }
        }
    }
    Ok(pipelines)
}

fn finished(simple: Simple) -> Result<Simple, SyntaxError> {
    if simple == Simple::default() {
        return Err(SyntaxError::Invalid("a command is missing"));
    }
    let first = simple.words.iter().find(|word| ***word != [Part::Text("!".to_owned())]);
    if let Some([Part::Text(first)]) = first.map(Vec::as_slice)
        && KEYWORDS.contains(&first.as_str())
    {
        return Err(SyntaxError::NotSimulated(format!("'{first}'")));
    }
    Ok(simple)
}

fn pipeline(when: When, mut commands: Vec<Simple>) -> Result<Pipeline, SyntaxError> {
    let words = commands.first_mut().map(|first| &mut first.words);
    let is_negated = match words {
        Some(words) if words.first().is_some_and(|word| *word == [Part::Text("!".to_owned())]) => {
            words.remove(0);
            if words.is_empty() {
                return Err(SyntaxError::Invalid("a command is missing"));
            }
            true
        }
        _ => false,
    };
    Ok(Pipeline { when, is_negated, commands })
}

/// Splits a text into words, as Fly splits `cmd`. There is no shell, so its operators are refused.
pub(super) fn split_words(text: &str) -> Result<Vec<String>, SyntaxError> {
    let mut words = Vec::new();
    for token in Lexer::new(text).tokens()? {
        let Token::Word(parts) = token else {
            return Err(SyntaxError::NotSimulated("an operator without a shell (use sh -c)".to_owned()));
        };
        let mut word = String::new();
        for part in parts {
            match part {
                Part::Text(text) | Part::Quoted(text) => word.push_str(&text),
                Part::Variable { name, .. } => word.extend(["$", &name]),
            }
        }
        words.push(word);
    }
    Ok(words)
}

struct Lexer<'script> {
    rest: Peekable<Chars<'script>>,
    tokens: Vec<Token>,
    /// The word that is being read.
    word: Option<Word>,
}

impl<'script> Lexer<'script> {
    fn new(script: &'script str) -> Self {
        Self { rest: script.chars().peekable(), tokens: Vec::new(), word: None }
    }

    fn tokens(mut self) -> Result<Vec<Token>, SyntaxError> {
        while let Some(next) = self.rest.next() {
            match next {
                ' ' | '\t' | '\r' => self.end_word(),
                '\n' | ';' => self.operator(Token::End),
                '#' if self.word.is_none() => while self.rest.next_if(|next| *next != '\n').is_some() {},
                '|' if self.rest.next_if_eq(&'|').is_some() => self.operator(Token::Or),
                '|' => self.operator(Token::Pipe),
                '&' if self.rest.next_if_eq(&'&').is_some() => self.operator(Token::And),
                '>' => self.output()?,
                '<' => self.input()?,
                _ => self.word_character(next)?,
            }
        }
        self.end_word();
        Ok(self.tokens)
    }

    fn operator(&mut self, token: Token) {
        self.end_word();
        self.tokens.push(token);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.tokens.push(Token::Word(word));
        }
    }

    fn word_character(&mut self, next: char) -> Result<(), SyntaxError> {
        match next {
            '\'' => {
                let text = self.until('\'')?;
                self.part(Part::Quoted(text));
            }
            '"' => self.double_quoted()?,
            '\\' => match self.rest.next() {
                Some('\n') | None => {}
                Some(escaped) => self.part(Part::Quoted(escaped.to_string())),
            },
            '$' => self.variable(false)?,
            '`' => return Err(SyntaxError::NotSimulated("command substitution".to_owned())),
            '&' => return Err(SyntaxError::NotSimulated("a job in the background".to_owned())),
            '(' | ')' => return Err(SyntaxError::NotSimulated("a subshell".to_owned())),
            '*' | '?' => return Err(SyntaxError::NotSimulated("a file name pattern".to_owned())),
            '~' if self.word.is_none() => return Err(SyntaxError::NotSimulated("'~'".to_owned())),
            plain => self.text(plain),
        }
        Ok(())
    }

    fn double_quoted(&mut self) -> Result<(), SyntaxError> {
        self.part(Part::Quoted(String::new()));
        loop {
            match self.rest.next() {
                None => return Err(SyntaxError::Invalid("a quote is not closed")),
                Some('"') => return Ok(()),
                Some('\\') => match self.rest.next() {
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => self.part(Part::Quoted(escaped.to_string())),
                    Some(other) => self.part(Part::Quoted(format!("\\{other}"))),
                    None => return Err(SyntaxError::Invalid("a quote is not closed")),
                },
                Some('$') => self.variable(true)?,
                Some('`') => return Err(SyntaxError::NotSimulated("command substitution".to_owned())),
                Some(plain) => self.part(Part::Quoted(plain.to_string())),
            }
        }
    }

    fn variable(&mut self, is_quoted: bool) -> Result<(), SyntaxError> {
        let name = match self.rest.peek() {
            Some('(') => return Err(SyntaxError::NotSimulated("command substitution".to_owned())),
            Some('{') => {
                self.rest.next();
                let name = self.until('}')?;
                if !is_name(&name) && name != "?" {
                    return Err(SyntaxError::NotSimulated(format!("'${{{name}}}'")));
                }
                name
            }
            Some('?') => self.rest.next().map(String::from).unwrap_or_default(),
            Some(first) if first.is_ascii_alphabetic() || *first == '_' => {
                let mut name = String::new();
                while let Some(next) = self.rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                    name.push(next);
                }
                name
            }
            Some(special) if special.is_ascii_digit() || matches!(special, '@' | '*' | '#' | '$' | '!' | '-') => {
                return Err(SyntaxError::NotSimulated(format!("'${special}'")));
            }
            _ => {
                self.part(Part::Quoted("$".to_owned()));
                return Ok(());
            }
        };
        self.part(Part::Variable { name, is_quoted });
        Ok(())
    }

    /// Parses what follows `>`: `>`, `&1`, `&2`, or a target. The number `1` or `2` directly before it is the descriptor.
    fn output(&mut self) -> Result<(), SyntaxError> {
        let is_error = match self.word.as_deref() {
            Some([Part::Text(descriptor)]) if descriptor == "1" || descriptor == "2" => {
                let is_error = descriptor == "2";
                self.word = None;
                is_error
            }
            _ => false,
        };
        self.end_word();
        let append = self.rest.next_if_eq(&'>').is_some();
        if self.rest.next_if_eq(&'&').is_some() {
            return match (self.rest.next(), is_error) {
                (Some('1'), true) | (Some('2'), false) => {
                    self.tokens.push(Token::Redirect(Redirect::Merge { is_error }));
                    Ok(())
                }
                _ => Err(SyntaxError::NotSimulated("this redirection".to_owned())),
            };
        }
        let target = self.target()?;
        self.tokens.push(Token::Redirect(Redirect::Output { is_error, append, target }));
        Ok(())
    }

    fn input(&mut self) -> Result<(), SyntaxError> {
        self.end_word();
        if matches!(self.rest.peek(), Some('<' | '>' | '(' | '&')) {
            return Err(SyntaxError::NotSimulated("this redirection".to_owned()));
        }
        let target = self.target()?;
        self.tokens.push(Token::Redirect(Redirect::Input(target)));
        Ok(())
    }

    /// Reads the word that follows a redirection.
    fn target(&mut self) -> Result<Word, SyntaxError> {
        while self.rest.next_if(|next| matches!(next, ' ' | '\t')).is_some() {}
        while let Some(next) =
            self.rest.next_if(|next| !matches!(next, ' ' | '\t' | '\n' | ';' | '|' | '&' | '<' | '>'))
        {
            self.word_character(next)?;
        }
        self.word.take().ok_or(SyntaxError::Invalid("the file of a redirection is missing"))
    }

    fn until(&mut self, end: char) -> Result<String, SyntaxError> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => return Err(SyntaxError::Invalid("a quote is not closed")),
                Some(next) if next == end => return Ok(text),
                Some(next) => text.push(next),
            }
        }
    }

    fn text(&mut self, plain: char) {
        let word = self.word.get_or_insert_with(Word::new);
        match word.last_mut() {
            Some(Part::Text(text)) => text.push(plain),
            _ => word.push(Part::Text(plain.to_string())),
        }
    }

    fn part(&mut self, part: Part) {
        self.word.get_or_insert_with(Word::new).push(part);
    }
}

/// Returns true for the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

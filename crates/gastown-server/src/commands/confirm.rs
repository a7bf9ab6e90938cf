//! Asking before something is done that cannot be undone.

use std::io::{BufRead, IsTerminal as _, Write};

use anyhow::{Context as _, bail};

/// Goes on where `yes` was given or the person at the terminal types `word`.
///
/// Errors: she did not, or there is nobody to ask.
pub(super) fn confirm(question: &str, word: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("this cannot be undone, and there is no terminal to ask on: add --yes");
    }
    if typed(question, word, stdin.lock(), std::io::stderr()).context("cannot ask")? {
        return Ok(());
    }
    bail!("nothing was done")
}

fn typed(question: &str, word: &str, mut answers: impl BufRead, mut questions: impl Write) -> std::io::Result<bool> {
    write!(questions, "{question}\nType {word} to go on: ")?;
    questions.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(answer.trim() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_itself_goes_on() {
        for (answer, goes_on) in [("mill\n", true), (" mill ", true), ("yes\n", false), ("Mill\n", false), ("", false)]
        {
            let mut asked = Vec::new();
            let typed = typed("Destroy town mill?", "mill", answer.as_bytes(), &mut asked).unwrap();
            assert_eq!(typed, goes_on, "{answer:?}");
            assert_eq!(String::from_utf8(asked).unwrap(), "Destroy town mill?\nType mill to go on: ");
        }
    }
}

//! Confirmation of commands that cannot be undone.

use std::io::{BufRead, IsTerminal as _, Write};

use anyhow::{Context as _, bail};

/// Succeeds if `yes` is given, or if the operator types `word` on the terminal.
///
/// Errors: not confirmed, or no terminal.
pub(super) fn confirm(question: &str, word: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("this cannot be undone, and there is no terminal for a confirmation: add --yes");
    }
    if typed(question, word, stdin.lock(), std::io::stderr()).context("failed to ask for confirmation")? {
        return Ok(());
    }
    bail!("not confirmed, nothing was changed")
}

fn typed(question: &str, word: &str, mut answers: impl BufRead, mut questions: impl Write) -> std::io::Result<bool> {
    write!(questions, "{question}\nType {word} to continue: ")?;
    questions.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(answer.trim() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_word_confirms() {
        for (answer, confirmed) in
            [("mill\n", true), (" mill ", true), ("yes\n", false), ("Mill\n", false), ("", false)]
        {
            let mut printed = Vec::new();
            let typed = typed("Destroy town mill?", "mill", answer.as_bytes(), &mut printed).unwrap();
            assert_eq!(typed, confirmed, "{answer:?}");
            assert_eq!(String::from_utf8(printed).unwrap(), "Destroy town mill?\nType mill to continue: ");
        }
    }
}

//! Confirmation of commands with great effects.

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
        bail!("{}", unasked(question));
    }
    if typed(question, word, stdin.lock(), std::io::stderr()).context("failed to ask for confirmation")? {
        return Ok(());
    }
    bail!("not confirmed, nothing was changed")
}

/// Returns the error without a terminal: the effect, and the way to confirm it.
fn unasked(question: &str) -> String {
    format!("not confirmed, nothing was changed: {question} There is no terminal to ask on: to confirm, add --yes")
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
    fn without_a_terminal_the_effect_and_the_flag_are_named() {
        let text = unasked("Bring registry.example/town:2 to 5 % of the towns? Running towns are restarted in waves.");
        assert!(
            text.contains("Running towns are restarted in waves.") && text.ends_with("to confirm, add --yes"),
            "{text}"
        );
        assert!(!text.contains("undone"), "{text}");
    }

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

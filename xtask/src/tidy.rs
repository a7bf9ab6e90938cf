//! The rules of this repository that the compiler does not check.

mod assembly;
mod edges;
mod exhaustive;
mod functions;
mod links;
mod log_messages;
mod manifests;
mod names;
mod prose;
mod provider_names;
mod references;
mod sizes;
mod snippets;
mod syntax;
mod texts;

use crate::workspace;
use functions::Functions;

pub(crate) use links::resolved;

/// The result of all rules.
pub(crate) struct Findings {
    /// Violations of a rule, each with its place.
    pub(crate) offences: Vec<String>,
    /// Figures for the reader.
    pub(crate) remarks: Vec<String>,
}

/// Checks all rules.
pub(crate) fn check() -> anyhow::Result<Findings> {
    let files = workspace::source_files()?;
    let mut offences = edges::offences(&edges::of_this_workspace()?);
    offences.extend(names::offences(&files));
    offences.extend(manifests::offences(&files)?);
    offences.extend(texts::offences(&files));
    offences.extend(references::offences(&files));
    offences.extend(links::offences(&files, &workspace::file_names()?));
    offences.extend(snippets::offences(&files)?);
    let (parsed, unparsed) = syntax::parse(&files);
    offences.extend(unparsed);
    let functions = Functions::of(&parsed);
    offences.extend(prose::offences(&files));
    offences.extend(exhaustive::offences(&parsed));
    offences.extend(log_messages::offences(&files, &parsed));
    offences.extend(provider_names::offences(&files));
    offences.extend(assembly::offences(&files));
    offences.extend(functions.offences());
    let remarks = sizes::longest(&files).into_iter().chain(functions.summary()).collect();
    Ok(Findings { offences, remarks })
}

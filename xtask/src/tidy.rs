//! The rules of this repository that no compiler knows.

mod edges;
mod exhaustive;
mod functions;
mod manifests;
mod names;
mod prose;
mod provider_names;
mod references;
mod sizes;
mod syntax;
mod texts;

use crate::workspace;
use functions::Functions;

/// What was found.
pub(crate) struct Findings {
    /// What breaks a rule, each with its place; none when all is well.
    pub(crate) offences: Vec<String>,
    /// Worth reading, no more.
    pub(crate) remarks: Vec<String>,
}

/// Checks everything.
pub(crate) fn check() -> anyhow::Result<Findings> {
    let files = workspace::source_files()?;
    let mut offences = edges::offences(&edges::of_this_workspace()?);
    offences.extend(names::offences(&files));
    offences.extend(manifests::offences(&files)?);
    offences.extend(texts::offences(&files));
    offences.extend(references::offences(&files));
    let (parsed, unparsed) = syntax::parse(&files);
    offences.extend(unparsed);
    let functions = Functions::of(&parsed);
    if files.iter().any(|file| file.path == "CHANGELOG.md") {
        offences.extend(prose::offences(&files));
        offences.extend(exhaustive::offences(&parsed));
        offences.extend(provider_names::offences(&files));
        offences.extend(functions.offences());
    }
    let remarks = sizes::longest(&files).into_iter().chain(functions.summary()).collect();
    Ok(Findings { offences, remarks })
}

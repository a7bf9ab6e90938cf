//! The binary `gastown-unseal`: opens the sealed environment at boot, and becomes the image's program.

use std::error::Error as _;
use std::io::Write as _;
use std::process::ExitCode;

use gastown_unseal::{UnsealError, Unsealed};

const HELP: &str = "\
Opens the sealed values of a sandbox's environment, and becomes the given program. Sandbox images run it at boot.

Usage: gastown-unseal [-- COMMAND [ARGUMENTS]...]

Without a command, prints the opened values as lines that a POSIX shell can eval.

The boot ends with exit code 1 unless SANDBOX_PRIVATE_KEY and all required variables are set and every sealed value
opens. Required: KILO_API_URL, KILO_JWT, TOWN_ID, R2_BUCKET, R2_ACCESS_KEY, INTERNAL_API_KEY.
Values from before a rotation are opened with SANDBOX_PRIVATE_KEY_PREVIOUS.

Example of a Dockerfile:
  ENTRYPOINT [\"gastown-unseal\", \"--\"]
  CMD [\"python3\", \"/sandbox.py\"]
";

#[expect(clippy::print_stderr, reason = "the error of a failed boot")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.source() {
                Some(cause) => eprintln!("gastown-unseal: {error}: {cause}"),
                None => eprintln!("gastown-unseal: {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), UnsealError> {
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--help" | "-h"] => write(HELP),
        ["--version" | "-V"] => write(concat!("gastown-unseal ", env!("CARGO_PKG_VERSION"), "\n")),
        [] | ["--"] => write(&(Unsealed::open(environment())?.shell_lines() + "\n")),
        ["--", program, ..] => Err(Unsealed::open(environment())?.become_program(program, &arguments[2..])),
        [first, ..] => Err(UnsealError::Misplaced { first: (*first).to_owned() }),
    }
}

/// Returns the variables of this process. One that is not UTF-8 is sealed only if its readable part claims so, and then it
/// does not open.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

fn write(text: &str) -> Result<(), UnsealError> {
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|cause| UnsealError::Run { program: "the output".to_owned(), cause })
}

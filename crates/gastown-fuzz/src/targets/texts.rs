//! Names, repositories and branches.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use gastown_domain::{Branch, RepoUrl, RigName, TownName};

use super::{Outcome, Target, hold};

const MEMORY: (u64, u64) = (16 * 1024, 64);

/// Names of towns and rigs.
pub(super) const NAMES: Target = Target {
    name: "names",
    start: || Ok(Box::new(|input| names(&text(input)))),
    words: &["-", "_", "hq", "mayor", "A", "İ", "ſ"],
    memory: MEMORY,
};

/// Addresses of repositories.
pub(super) const REPOS: Target = Target {
    name: "repos",
    start: || Ok(Box::new(|input| repo(&text(input)))),
    words: &[
        "https://",
        "ssh://",
        "git@",
        ":",
        "@",
        "user:password@",
        ":443",
        ":22",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "0x7f.1",
        ".internal",
        "github.com",
        "?",
        "#",
        "%2d",
        "--upload-pack=",
        "ext::",
        "$(",
        "`",
        "xn--",
        "。",
        "①",
    ],
    memory: MEMORY,
};

/// Branches.
pub(super) const BRANCHES: Target = Target {
    name: "branches",
    start: || Ok(Box::new(|input| branch(&text(input)))),
    words: &["refs/heads/", ".lock", "@{", "~", "^", ":", "?", "*", "-", "HEAD", "@", ".", "$(x)"],
    memory: MEMORY,
};

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

/// Parses a text, and the written form of the result again. Both must be equal.
fn stable<T>(input: &str) -> Result<Result<T, String>, String>
where
    T: FromStr + Display + Debug + PartialEq,
    T::Err: Debug + Display,
{
    match input.parse::<T>() {
        Ok(value) => {
            let again = value.to_string().parse::<T>();
            hold(
                again.as_ref().is_ok_and(|again| *again == value),
                "the written form does not parse to the same value",
            )?;
            Ok(Ok(value))
        }
        // The values in the text differ with each input. The variant is the behaviour.
        Err(error) => Ok(Err(kind(&error))),
    }
}

/// Returns the name of a variant.
fn kind(error: &impl Debug) -> String {
    format!("{error:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

fn names(input: &str) -> Outcome {
    let town = stable::<TownName>(input)?;
    let rig = stable::<RigName>(input)?;
    if let Ok(name) = &town {
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
        hold(name.as_str().chars().all(allowed) && name.as_str().len() <= 64, "a town's name breaks its rule")?;
        hold(name.as_str() == input, "a town's name was changed")?;
    }
    if let Ok(name) = &rig {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        hold(name.as_str().chars().all(allowed) && name.as_str().len() <= 64, "a rig's name breaks its rule")?;
        hold(name.folded().parse::<RigName>().is_ok(), "a folded rig's name is not accepted")?;
    }
    Ok(format!("{} {}", label(&town), label(&rig)))
}

fn repo(input: &str) -> Outcome {
    let repo = stable::<RepoUrl>(input)?;
    let Ok(url) = &repo else { return Ok(label(&repo)) };
    let url = url.as_str();
    hold(url.len() <= 2048 && url.chars().all(|c| c.is_ascii_graphic()), "a repository has bad characters")?;
    // A later colon is a character of the path.
    let is_option = |(_, after): (&str, &str)| after.starts_with('-');
    hold(!url.starts_with('-') && !url.contains("/-"), "a part begins with a dash")?;
    hold(!url.split_once(':').is_some_and(is_option), "a path begins with a dash")?;
    hold(!url.contains(['$', '`', ';', '|', '&', '<', '>', '\'', '"', '\\', '(', ')']), "a shell knows a character")?;
    hold(!url.contains(['?', '#']), "a query or a fragment is left")?;
    let form = match url.split_once("://") {
        Some(("https", rest)) => {
            let authority = rest.split('/').next().unwrap_or_default();
            hold(!authority.contains('@'), "a user name is left")?;
            public(authority)?;
            "https"
        }
        Some(("ssh", rest)) => {
            let authority = rest.split('/').next().unwrap_or_default();
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            hold(!user.contains(':'), "a password is left")?;
            public(host)?;
            "ssh"
        }
        Some(_) => return Err("another scheme".to_owned()),
        None => {
            let (user, rest) = url.split_once('@').ok_or("a local path")?;
            hold(!user.is_empty() && !user.contains('/'), "no user")?;
            public(rest.split(':').next().unwrap_or_default())?;
            "scp"
        }
    };
    Ok(form.to_owned())
}

/// Checks that a host, with a port or without, is a name with a dot or a global address.
fn public(authority: &str) -> Result<(), String> {
    let host = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map_or(authority, |(host, _)| host);
    let lower = host.to_lowercase();
    let private = ["localhost", "internal", "flycast", "local", "svc", "consul", "localdomain"];
    let last = lower.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    hold(host == lower, "a host is not folded")?;
    hold(!private.contains(&last), "a private name")?;
    if let Ok(address) = host.parse::<std::net::Ipv4Addr>() {
        let bad = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified();
        hold(!bad, "a private address")?;
    }
    let inner = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = inner.parse::<std::net::Ipv6Addr>() {
        let mapped =
            address.to_ipv4_mapped().is_some_and(|v4| v4.is_private() || v4.is_loopback() || v4.is_link_local());
        let bad = address.is_loopback() || address.is_unspecified() || address.is_unique_local() || mapped;
        hold(!bad && !address.is_unicast_link_local(), "a private address")?;
    }
    Ok(())
}

fn branch(input: &str) -> Outcome {
    let branch = stable::<Branch>(input)?;
    if let Ok(name) = &branch {
        let name = name.as_str();
        hold(name == input && name.len() <= 255 * 4, "a branch was changed or is too long")?;
        hold(!name.starts_with(['-', '/']) && !name.ends_with(['/', '.']), "a branch has a bad edge")?;
        hold(!name.contains("..") && !name.contains("@{") && !name.contains("//"), "git refuses the branch")?;
        hold(
            name.strip_suffix(".lock").is_none() && !name.contains(|c: char| c.is_control() || c == ' '),
            "git refuses the branch",
        )?;
        hold(
            !name.contains(['~', '^', ':', '?', '*', '[', '\\', '$', '`', ';', '|', '&', '<', '>']),
            "special characters",
        )?;
    }
    Ok(label(&branch))
}

fn label<T>(result: &Result<T, String>) -> String {
    result.as_ref().map_or_else(Clone::clone, |_| "accepted".to_owned())
}

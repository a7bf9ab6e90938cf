//! Git repositories and branches that a sandbox may clone.
//!
//! A repository is folded here to one form, so that equal repositories are equal texts everywhere. Only its form is checked:
//! the egress rules of the sandbox remain the actual protection (FM-45).

use percent_encoding::percent_decode_str;
use url::Url;

use crate::Invalid;
use crate::id::{bounded, is_bidi, text_newtype};
use crate::public_host::public_host;

const SHAPES: &str = "a repository as https://host/path, ssh://user@host/path or user@host:path";
const NOT_IN_SHELLS: &str = "characters without a meaning to shells";

text_newtype!(
    /// A git repository on a public host, as `https://…`, `ssh://…` or `user@host:path`.
    ///
    /// At most 2048 characters. Scheme and host are in lower case, a default port is left out. A user name of an `https` URL is
    /// dropped. Passwords, queries, fragments, local paths, options and other transports are rejected.
    RepoUrl,
    parse_repo
);
text_newtype!(
    /// A git branch that follows git's ref rules (`git check-ref-format --branch`) and means nothing to shells, at most 255
    /// characters.
    Branch,
    parse_branch
);

fn parse_repo(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 2048)?;
    if raw.starts_with('-') {
        return Err(Invalid::LeadingDash);
    }
    // Brackets stand around the address of a host. A path with one is refused below.
    let is_refused = |c: &char| !c.is_ascii_graphic() || (is_shell(*c) && !matches!(c, '[' | ']' | '?' | '#' | '~'));
    if let Some(bad) = raw.chars().find(is_refused) {
        return Err(Invalid::Character { bad, allowed: NOT_IN_SHELLS });
    }
    let folded = match raw.split_once("://") {
        Some((scheme, rest)) => parse_url(raw, scheme, rest)?,
        None => parse_scp(raw)?,
    };
    // A host in Unicode is longer in its folded form.
    bounded(&folded, 2048)?;
    Ok(folded)
}

fn parse_url(raw: &str, scheme: &str, rest: &str) -> Result<String, Invalid> {
    let shape = || Invalid::Shape { expected: SHAPES };
    let mut url = Url::parse(raw).map_err(|_| shape())?;
    // The parser of URLs takes `https:host/path` too, so the separator may be one of the path.
    if !scheme.eq_ignore_ascii_case(url.scheme()) {
        return Err(shape());
    }
    let keeps_user = match url.scheme() {
        "https" => false,
        "ssh" => true,
        _ => return Err(shape()),
    };
    // The parser of URLs skips slashes until it finds a host.
    let (_, path) = rest.split_once('/').filter(|(authority, _)| !authority.is_empty()).ok_or_else(shape)?;
    if url.password().is_some() {
        return Err(Invalid::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() || url.port() == Some(0) {
        return Err(shape());
    }
    user_name(url.username())?;
    // The parser resolves `..`, so the path is judged as it was given.
    repository_path(path)?;
    let host = public_host(url.host_str().unwrap_or_default(), SHAPES)?;
    url.set_host(Some(&host)).map_err(|_| shape())?;
    if !keeps_user {
        url.set_username("").map_err(|()| shape())?;
    }
    if url.scheme() == "ssh" && url.port() == Some(22) {
        url.set_port(None).map_err(|()| shape())?;
    }
    Ok(url.into())
}

/// Folds `user@host:path`, git's short form of ssh. Rejects `ext::sh -c …`, and `host:path` without a user.
fn parse_scp(raw: &str) -> Result<String, Invalid> {
    let shape = || Invalid::Shape { expected: SHAPES };
    let (user, rest) = raw.split_once('@').ok_or_else(shape)?;
    let (host, path) = rest.split_once(':').ok_or_else(shape)?;
    if user.is_empty() || user.contains('/') || path.starts_with(':') || path.contains(['?', '#']) {
        return Err(shape());
    }
    if user.contains(':') {
        return Err(Invalid::Credentials);
    }
    user_name(user)?;
    repository_path(path)?;
    Ok(format!("{user}@{}:{path}", public_host(host, SHAPES)?))
}

/// Rejects user names with a meaning to shells, also in encoded form.
fn user_name(user: &str) -> Result<(), Invalid> {
    match plain_text(user)?.chars().find(|c| is_shell(*c)) {
        Some(bad) => Err(Invalid::Character { bad, allowed: NOT_IN_SHELLS }),
        None => Ok(()),
    }
}

fn repository_path(path: &str) -> Result<(), Invalid> {
    if path.trim_matches('/').is_empty() {
        return Err(Invalid::Shape { expected: SHAPES });
    }
    let decoded = plain_text(path)?;
    if let Some(bad) = decoded.chars().find(|c| is_shell(*c) && *c != '~') {
        return Err(Invalid::Character { bad, allowed: NOT_IN_SHELLS });
    }
    for segment in decoded.split('/') {
        if segment.trim_start().starts_with('-') {
            return Err(Invalid::LeadingDash);
        }
        // The parser of URLs resolves both, so `https://host/.` would have no path.
        if matches!(segment.trim(), "." | "..") {
            return Err(Invalid::Shape { expected: "a path without '.' and '..'" });
        }
    }
    Ok(())
}

/// Decodes a part of a URL as git does, and rejects what a program could take for an option or a control character.
fn plain_text(part: &str) -> Result<String, Invalid> {
    let decoded = percent_decode_str(part)
        .decode_utf8()
        .map_err(|_| Invalid::Shape { expected: "a repository whose encoded characters are UTF-8" })?;
    if decoded.starts_with('-') {
        return Err(Invalid::LeadingDash);
    }
    let is_refused = |c: &char| c.is_control() || is_bidi(*c) || *c == '\\';
    match decoded.chars().find(is_refused) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "printable characters" }),
        None => Ok(decoded.into_owned()),
    }
}

/// Returns true for characters by which a shell expands, quotes, separates or redirects.
const fn is_shell(c: char) -> bool {
    matches!(
        c,
        '$' | '`'
            | '"'
            | '\''
            | '\\'
            | ';'
            | '&'
            | '|'
            | '<'
            | '>'
            | '('
            | ')'
            | '{'
            | '}'
            | '['
            | ']'
            | '*'
            | '?'
            | '!'
            | '#'
            | '~'
            | '^'
    )
}

fn parse_branch(raw: &str) -> Result<String, Invalid> {
    const ALLOWED: &str = "the characters that git allows in a branch name and that mean nothing to shells";
    bounded(raw, 255)?;
    if raw.starts_with('-') {
        return Err(Invalid::LeadingDash);
    }
    // A number sign begins a comment only at the start. Names such as `fix/#12` are common.
    let is_refused = |(at, c): &(usize, char)| {
        c.is_control() || c.is_whitespace() || is_bidi(*c) || *c == ':' || (is_shell(*c) && (*c != '#' || *at == 0))
    };
    // Git's own form `@{…}` is refused by its brace.
    if let Some((_, bad)) = raw.char_indices().find(is_refused) {
        return Err(Invalid::Character { bad, allowed: ALLOWED });
    }
    let parts_fit = raw
        .split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && !part.to_ascii_lowercase().ends_with(".lock"));
    if !parts_fit || raw == "@" || raw == "HEAD" || raw.contains("..") || raw.ends_with('.') {
        return Err(Invalid::Shape { expected: "a branch name by git's rules" });
    }
    Ok(raw.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_mean_nothing_to_shells() {
        for raw in [
            "https://%24%28reboot%29.com/acme/app",
            "https://g%60t.com/acme/app",
            "ssh://git@g%24thub.com/acme/app",
            "git@g%24thub.com:acme/app",
            "https://%2dgithub.com/acme/app",
            "ssh://git@%2dgithub.com/acme/app",
        ] {
            assert!(raw.parse::<RepoUrl>().is_err(), "{raw}");
        }
        for raw in ["https://my_host.github.com/acme/app", "https://b%C3%BCcher.com/acme/app"] {
            let repo = raw.parse::<RepoUrl>().unwrap();
            assert_eq!(repo.as_str().parse::<RepoUrl>().as_ref(), Ok(&repo), "{raw}");
        }
    }

    #[test]
    fn user_names_mean_nothing_to_shells() {
        for raw in [
            "git?@github.com:acme/app",
            "g[i]t@github.com:acme/app",
            "~git@github.com:acme/app",
            "#git@github.com:acme/app",
            "ssh://g%24t@github.com/acme/app",
            "ssh://g%3ft@github.com/acme/app",
            "https://g%60t@github.com/acme/app",
        ] {
            let refused = raw.parse::<RepoUrl>().unwrap_err();
            assert!(matches!(refused, Invalid::Character { .. }), "{raw}: {refused:?}");
        }
    }

    #[test]
    fn public_repositories_are_accepted() {
        for raw in [
            "https://git.example.com/demo/app.git",
            "https://github.com/a/b",
            "https://github.com:8443/a/b.git",
            "ssh://git@github.com/a/b.git",
            "ssh://git@github.com:2222/a/b.git",
            "git@github.com:a/b.git",
            "https://8.8.8.8/a",
        ] {
            assert!(raw.parse::<RepoUrl>().is_ok(), "{raw:?}: {:?}", raw.parse::<RepoUrl>());
        }
    }

    #[test]
    fn equal_repositories_have_one_form() {
        for (raw, want) in [
            ("HTTPS://GitHub.COM/A/b.git", "https://github.com/A/b.git"),
            ("https://github.com:443/a/b", "https://github.com/a/b"),
            ("https://github.com./a/b", "https://github.com/a/b"),
            ("https://name@dev.azure.com/org/My%20Project/_git/app", "https://dev.azure.com/org/My%20Project/_git/app"),
            ("https://name:@dev.azure.com/org/app", "https://dev.azure.com/org/app"),
            ("https://ghp_token@github.com/a/b", "https://github.com/a/b"),
            ("SSH://git@GitHub.com/a/b", "ssh://git@github.com/a/b"),
            ("ssh://git@github.com:22/a/b", "ssh://git@github.com/a/b"),
            ("ssh://github.com/a/b", "ssh://github.com/a/b"),
            ("git@GitHub.com:A/b.git", "git@github.com:A/b.git"),
            ("https://git.sr.ht/~sircmpwn/aerc", "https://git.sr.ht/~sircmpwn/aerc"),
        ] {
            let folded = raw.parse::<RepoUrl>();
            assert_eq!(folded.as_ref().map(RepoUrl::as_str), Ok(want), "{raw:?}");
            // A sandbox returns what was sent, and that is the same repository.
            assert_eq!(want.parse::<RepoUrl>(), folded, "{raw:?}");
        }
    }

    const REJECTED: &[&str] = &[
        "",
        "-b",
        "--upload-pack=touch /tmp/x",
        "file:///etc/passwd",
        "/etc/passwd",
        "../app",
        "ext::sh -c id",
        "ext::sh",
        "git://github.com/a/b",
        "http://github.com/a/b",
        "ftp://github.com/a",
        "https://user:pw@github.com/a/b",
        "ssh://git:pw@github.com/a/b",
        "u:p@github.com:a/b",
        "https://localhost/a",
        "https://LOCALHOST./a",
        "https://api.localhost/a",
        "https://intranet/a",
        "https://db.internal/a",
        "https://127.0.0.1/a",
        "https://2130706433/a",
        "https://0x7f.1/a",
        "ssh://git@0x7f.1/a",
        "git@127.0.0.1:a/b",
        "git@10.0.0.1:a/b",
        "https://192.168.1.1/a",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/a",
        "https://[::1]/a",
        "https://[fd00::1]/a",
        "https://[fe80::1]/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://[64:ff9b::7f00:1]/a",
        "https://0.0.0.0/a",
        "https://github.com",
        "https://github.com/",
        "https://github.com:0/a",
        "https://github.com/a?x=--upload-pack",
        "https://github.com/a#b",
        "https://github.com/-a",
        "git@github.com:-a",
        "git@-oProxyCommand=x:a",
        "ssh://-oProxyCommand=x/a",
        "https://github.com/a\nb",
        "https://github.com/a b",
        "https://github.com/a\u{202e}b",
        "https://github.com/a%0ab",
        "https://github.com/../../a%2e%2e/b",
        "git@github.com:../../b",
        "https:github.com/a",
        "https:github.com/%24%28id%29/x://github.com/a",
        "https:/github.com/a://github.com/a/",
        "https:///github.com/a",
        "https:////github.com/a",
        "https:///a",
        "https://@/a",
        "https://user@/a",
        "https://:443/a",
        "ssh:///a",
        "ssh://git@/a",
        "git@:a",
        "@github.com:a",
        "https://github.com../a",
        "https://github.com/a/../b",
        "https://github.com/a/..",
        "https://github.com/a/%2e%2e/b",
        "https://github.com/a/.%2E/b",
        "https://github.com/a/%20../b",
        "ssh://git@github.com/a/../b",
        "https://github.com/%2da",
        "https://github.com/%2D-upload-pack=x/a",
        "https://github.com/a%2f-b",
        "ssh://%2doProxyCommand=x@github.com/a",
        "ssh://git@%2doProxyCommand=x/a",
        "git@github.com:%2da",
        "https://github.com/a$(id)",
        "https://github.com/a`id`",
        "https://github.com/a;id",
        "https://github.com/a&id",
        "https://github.com/a|id",
        "https://github.com/a(b)",
        "https://github.com/a{b,c}",
        "https://github.com/a*",
        "https://github.com/a!b",
        "https://github.com/a[b]",
        "https://github.com/a%24(id)",
        "https://github.com/a%24%7Bid%7D",
        "https://github.com/a%60id%60",
        "https://github.com/a%00b",
        "https://github.com/a%7fb",
        "https://github.com/a%5cb",
        "https://github.com/a%ff",
        "https://github.com/a%E2%80%AEb",
        "https://$(id)@github.com/a",
        "git$(id)@github.com:a/b",
        "git@github.com:a?b",
        "git@github.com:a#b",
        "https://app.flycast/a",
        "https://api.default.svc/a",
        "git@web.service.consul:a/b",
        "https://host.localdomain/a",
        "https://host.test/a",
        "https://host.invalid/a",
        "https://host.onion/a",
        "ssh://git@192.0.0.1/a",
        "https://192.0.2.1/a",
        "https://198.18.0.1/a",
        "https://240.0.0.1/a",
        "https://[2001:db8::1]/a",
        "https://[::ffff:8.8.8.8]/a",
    ];

    #[test]
    fn shell_options_local_paths_and_private_hosts_are_rejected() {
        for raw in REJECTED {
            assert!(raw.parse::<RepoUrl>().is_err(), "{raw:?}");
        }
        assert_eq!("https://u:p@github.com/a".parse::<RepoUrl>(), Err(Invalid::Credentials));
    }

    #[test]
    fn path_of_dots_is_refused() {
        for raw in
            ["https://github.com/.", "https://github.com/./..", "https://github.com/%2e", "https://github.com/a/./b"]
        {
            assert!(raw.parse::<RepoUrl>().is_err(), "{raw}");
        }
    }

    #[test]
    fn branches_follow_gits_rules() {
        for raw in ["main", "feature/x", "v1.2", "a@b", "ünï", "fix/#12", "a+b", "a=b", "a,b", "50%"] {
            assert!(raw.parse::<Branch>().is_ok(), "{raw:?}");
        }
        for raw in [
            "",
            "-b",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a@{0}",
            "@",
            "HEAD",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\nb",
            "a\u{7f}",
            "a\u{202e}",
            "$(id)",
            "a$b",
            "a`id`",
            "a;id",
            "a&b",
            "a|b",
            "a>b",
            "a<b",
            "a(b)",
            "a{b}",
            "a!",
            "a'b",
            "a\"b",
            "#a",
            "a/../b",
        ] {
            assert!(raw.parse::<Branch>().is_err(), "{raw:?}");
        }
    }
}

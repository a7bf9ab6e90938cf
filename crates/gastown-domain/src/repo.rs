//! Git repositories and branches that a sandbox may clone.
//!
//! Only the form and the text of the host are checked. Names are not resolved, so the egress rules of the sandbox remain
//! the actual protection (FM-45).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::Invalid;
use crate::id::{bounded, is_bidi, text_newtype};

const SHAPES: &str = "a repository as https://host/path, ssh://user@host/path or user@host:path";

text_newtype!(
    /// A git repository on a public host, as `https://…`, `ssh://…` or `user@host:path`.
    ///
    /// At most 2048 characters. Credentials, queries, fragments, local paths, options and other transports are rejected.
    RepoUrl,
    parse_repo
);
text_newtype!(
    /// A git branch that follows git's ref rules (`git check-ref-format --branch`), at most 255 characters.
    Branch,
    parse_branch
);

impl Branch {
    /// Returns the default branch, `main`.
    pub fn main() -> Self {
        Self("main".to_owned())
    }
}

fn parse_repo(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 2048)?;
    if raw.starts_with('-') {
        return Err(Invalid::LeadingDash);
    }
    if let Some(bad) = raw.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '\'' | '`' | '<' | '>')) {
        return Err(Invalid::Character { bad, allowed: "the characters of a URL" });
    }
    if raw.contains("://") {
        parse_url(raw)?;
    } else {
        parse_scp(raw)?;
    }
    Ok(raw.to_owned())
}

fn parse_url(raw: &str) -> Result<(), Invalid> {
    let url = Url::parse(raw).map_err(|_| Invalid::Shape { expected: SHAPES })?;
    let user_allowed = match url.scheme() {
        "https" => false,
        "ssh" => true,
        _ => return Err(Invalid::Shape { expected: SHAPES }),
    };
    if url.password().is_some() || (!url.username().is_empty() && !user_allowed) {
        return Err(Invalid::Credentials);
    }
    if url.username().starts_with('-') {
        return Err(Invalid::LeadingDash);
    }
    if url.query().is_some() || url.fragment().is_some() || url.port() == Some(0) {
        return Err(Invalid::Shape { expected: SHAPES });
    }
    public_host(url.host_str().unwrap_or_default())?;
    repository_path(url.path())
}

/// Checks `user@host:path`, git's short form of ssh. Rejects `ext::sh -c …`, and `host:path` without a user.
fn parse_scp(raw: &str) -> Result<(), Invalid> {
    let shape = || Invalid::Shape { expected: SHAPES };
    let (user, rest) = raw.split_once('@').ok_or_else(shape)?;
    let (host, path) = rest.split_once(':').ok_or_else(shape)?;
    if user.is_empty() || user.contains('/') || path.starts_with(':') {
        return Err(shape());
    }
    if user.contains(':') {
        return Err(Invalid::Credentials);
    }
    public_host(host)?;
    repository_path(path)
}

fn repository_path(path: &str) -> Result<(), Invalid> {
    let inner = path.trim_matches('/');
    if inner.is_empty() {
        return Err(Invalid::Shape { expected: SHAPES });
    }
    let lower = inner.to_ascii_lowercase();
    if lower.contains("%0") || lower.contains("%1") || lower.contains("%7f") || lower.contains("%2e%2e") {
        return Err(Invalid::Shape { expected: "a path without encoded control characters" });
    }
    for segment in inner.split('/') {
        if segment.starts_with('-') {
            return Err(Invalid::LeadingDash);
        }
        if segment == ".." {
            return Err(Invalid::Shape { expected: "a path without '..'" });
        }
    }
    Ok(())
}

fn public_host(raw: &str) -> Result<(), Invalid> {
    if raw.starts_with('-') {
        return Err(Invalid::LeadingDash);
    }
    // The host of a non-special scheme is opaque, so `ssh://0x7f.1/` is parsed here as a browser would read it.
    match Host::parse(raw).map_err(|_| Invalid::Shape { expected: SHAPES })? {
        Host::Ipv4(address) => public_address(IpAddr::V4(address)),
        Host::Ipv6(address) => public_address(IpAddr::V6(address)),
        Host::Domain(name) => public_name(name.trim_end_matches('.')),
    }
}

fn public_name(name: &str) -> Result<(), Invalid> {
    const PRIVATE: [&str; 8] = ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa"];
    let last = name.rsplit('.').next().unwrap_or_default();
    // A single label is resolved through search domains, so it is always private.
    if PRIVATE.iter().any(|label| label.eq_ignore_ascii_case(last)) || !name.contains('.') {
        return Err(Invalid::PrivateHost { address: None });
    }
    Ok(())
}

fn public_address(address: IpAddr) -> Result<(), Invalid> {
    let public = match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    };
    if public { Ok(()) } else { Err(Invalid::PrivateHost { address: Some(address) }) }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b); // RFC 6598
    let benchmarking = a == 198 && (18..20).contains(&b); // RFC 2544
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || shared
        || benchmarking)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    // Only 2000::/3 is routed. 2002::/16 and 64:ff9b::/96 embed an IPv4 address that would need another check.
    let [first, second, ..] = address.segments();
    (first & 0xe000) == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second == 0x0db8 || second == 0))
}

fn parse_branch(raw: &str) -> Result<String, Invalid> {
    const ALLOWED: &str = "the characters that git allows in a branch name";
    bounded(raw, 255)?;
    if raw.starts_with('-') {
        return Err(Invalid::LeadingDash);
    }
    let forbidden = |c: &char| {
        c.is_control() || c.is_whitespace() || is_bidi(*c) || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    if let Some(bad) = raw.chars().find(forbidden) {
        return Err(Invalid::Character { bad, allowed: ALLOWED });
    }
    let parts_fit = raw
        .split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && !part.to_ascii_lowercase().ends_with(".lock"));
    if !parts_fit || raw == "@" || raw == "HEAD" || raw.contains("..") || raw.contains("@{") || raw.ends_with('.') {
        return Err(Invalid::Shape { expected: "a branch name by git's rules" });
    }
    Ok(raw.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        "https://token@github.com/a/b",
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
    ];

    #[test]
    fn shell_options_local_paths_and_private_hosts_are_rejected() {
        for raw in REJECTED {
            assert!(raw.parse::<RepoUrl>().is_err(), "{raw:?}");
        }
        assert_eq!("https://u:p@github.com/a".parse::<RepoUrl>(), Err(Invalid::Credentials));
    }

    #[test]
    fn branches_follow_gits_rules() {
        for raw in ["main", "feature/x", "v1.2", "a@b", "ünï"] {
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
        ] {
            assert!(raw.parse::<Branch>().is_err(), "{raw:?}");
        }
    }
}

//! Hosts that a sandbox may reach: names below a public top-level domain, and addresses outside all special ranges.
//!
//! Only the text is checked. Names are not resolved, so the egress rules of the sandbox remain the actual protection
//! (FM-45).

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;
use url::Host;

use crate::Invalid;

/// Parses a host, and returns it in lower case and without a trailing dot.
pub(crate) fn public_host(raw: &str, expected: &'static str) -> Result<String, Invalid> {
    let shape = || Invalid::Shape { expected };
    if raw.is_empty() {
        return Err(shape());
    }
    // The host of a non-special scheme is opaque, so `ssh://0x7f.1/` is parsed here as a browser would read it.
    match Host::parse(raw).map_err(|_| shape())? {
        Host::Ipv4(address) => public_address(address.into()).map(|()| address.to_string()),
        Host::Ipv6(address) => public_address(address.into()).map(|()| format!("[{address}]")),
        Host::Domain(name) => public_name(name.strip_suffix('.').unwrap_or(&name), expected),
    }
}

/// Top-level domains that no public name server knows. RFC 2606, 6761, 6762, 7686, 8375 and 9476 reserve some, and ICANN sets
/// some aside. The resolvers of private networks and clusters answer the others.
const PRIVATE: [&str; 31] = [
    "alt",
    "arpa",
    "cluster",
    "consul",
    "corp",
    "docker",
    "domain",
    "example",
    "flycast",
    "home",
    "internal",
    "intranet",
    "invalid",
    "kube",
    "kubernetes",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "node",
    "nomad",
    "onion",
    "pod",
    "private",
    "router",
    "svc",
    "test",
    "vault",
    "vpn",
    "workgroup",
];

fn public_name(name: &str, expected: &'static str) -> Result<String, Invalid> {
    // Parsers of URLs decode `%24` in a host and keep what is not forbidden there, such as `$` and `(`.
    let is_refused = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if let Some(bad) = name.chars().find(is_refused) {
        return Err(Invalid::Character { bad, allowed: "letters, digits, '-' and '_' in a host" });
    }
    if name.split('.').any(str::is_empty) {
        return Err(Invalid::Shape { expected });
    }
    if name.split('.').any(|label| label.starts_with('-')) {
        return Err(Invalid::LeadingDash);
    }
    let name = name.to_ascii_lowercase();
    // A single label is resolved through search domains, so it is always private.
    match name.rsplit_once('.') {
        Some((_, last)) if !PRIVATE.contains(&last) => Ok(name),
        Some(_) | None => Err(Invalid::PrivateHost { address: None }),
    }
}

/// The ranges of IANA's registries of special-purpose addresses, and multicast. Of IPv6 only `2000::/3` is routed, so the rest
/// is not listed.
const SPECIAL: [&str; 23] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
];

/// The only range of IPv6 that is routed.
const ROUTED: &str = "2000::/3";

static SPECIAL_NETS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| SPECIAL.iter().filter_map(|net| net.parse().ok()).collect());
static ROUTED_NET: LazyLock<Option<IpNet>> = LazyLock::new(|| ROUTED.parse().ok());

fn public_address(address: IpAddr) -> Result<(), Invalid> {
    let is_routed = address.is_ipv4() || ROUTED_NET.is_some_and(|net| net.contains(&address));
    let is_special = SPECIAL_NETS.iter().any(|net| net.contains(&address));
    if is_routed && !is_special { Ok(()) } else { Err(Invalid::PrivateHost { address: Some(address) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(raw: &str) -> Result<String, Invalid> {
        public_host(raw, "a host")
    }

    #[test]
    fn every_special_range_is_read_and_refused_from_its_first_to_its_last_address() {
        assert_eq!(SPECIAL_NETS.len(), SPECIAL.len());
        assert!(ROUTED_NET.is_some());
        for net in SPECIAL_NETS.iter() {
            for address in [net.network(), net.broadcast()] {
                assert_eq!(public_address(address), Err(Invalid::PrivateHost { address: Some(address) }), "{address}");
            }
        }
    }

    #[test]
    fn addresses_outside_the_special_ranges_are_public() {
        for raw in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.255", "[2606:4700::1111]"] {
            assert_eq!(host(raw).as_deref(), Ok(raw));
        }
    }

    #[test]
    fn addresses_in_disguise_are_read_as_addresses() {
        for raw in [
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "[::1]",
            "[::]",
            "[::ffff:8.8.8.8]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[fc00::1]",
            "[fd00::1]",
            "[fdaa::3]",
            "[fe80::1]",
            "[ff02::1]",
            "[2001::1]",
            "[2002:7f00:1::]",
            "[5f00::1]",
        ] {
            assert!(matches!(host(raw), Err(Invalid::PrivateHost { address: Some(_) })), "{raw}: {:?}", host(raw));
        }
    }

    #[test]
    fn names_of_private_networks_are_refused() {
        for last in PRIVATE {
            for raw in [last.to_owned(), format!("db.{last}"), format!("DB.{}.", last.to_uppercase())] {
                assert_eq!(host(&raw), Err(Invalid::PrivateHost { address: None }), "{raw}");
            }
        }
        for raw in [
            "app.flycast",
            "api.default.svc",
            "x.svc.cluster.local",
            "web.service.consul",
            "top1.nearest.of.app.internal",
        ] {
            assert_eq!(host(raw), Err(Invalid::PrivateHost { address: None }), "{raw}");
        }
    }

    #[test]
    fn hosts_are_folded_and_empty_labels_refused() {
        for (raw, want) in
            [("GitHub.COM", "github.com"), ("github.com.", "github.com"), ("b\u{fc}cher.de", "xn--bcher-kva.de")]
        {
            assert_eq!(host(raw).as_deref(), Ok(want), "{raw}");
        }
        for raw in ["", ".", "..", "github.com..", ".github.com", "git..hub.com", "%2e"] {
            assert!(matches!(host(raw), Err(Invalid::Shape { .. })), "{raw}: {:?}", host(raw));
        }
        for raw in ["-oProxyCommand=x.com", "%2doption.com", "a.-b.com"] {
            assert!(host(raw).is_err(), "{raw}");
        }
    }
}

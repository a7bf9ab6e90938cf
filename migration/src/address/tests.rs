use super::*;

/// Returns the mistake of an address, which shows no part of the address except parameters.
fn mistake(address: &str) -> String {
    let error = address.parse::<DatabaseAddress>().expect_err(address);
    let shown = format!("{error} {error:?}");
    for secret in ["canary", "p@ss", "rd?1", "h.example"] {
        assert!(!shown.contains(secret), "{address}: {shown}");
    }
    error.to_string()
}

fn postgres(address: &str) -> PostgresAddress {
    match address.parse() {
        Ok(DatabaseAddress::Postgres(postgres)) => *postgres,
        other => panic!("{address}: {other:?}"),
    }
}

#[test]
fn supported_addresses_reach_the_driver_unchanged() {
    let address = "postgresql://us%40er:p%40ss%23w%2Frd@h.example:6543/db?sslmode=require&application_name=mine";
    let options = postgres(address).options().clone();
    assert_eq!((options.get_host(), options.get_port(), options.get_username()), ("h.example", 6543, "us@er"));
    assert_eq!((options.get_database(), options.get_application_name()), (Some("db"), Some("mine")));
    assert!(matches!(options.get_ssl_mode(), PgSslMode::Require));
    let socket = postgres("postgres://u@%2Frun%2Fpg/db?options=-c%20search_path%3Dx");
    assert_eq!(socket.options().get_socket().and_then(|path| path.to_str()), Some("/run/pg"));
    assert_eq!(socket.options().get_options(), Some("-c search_path=x"));
    assert_eq!(socket.options().get_application_name(), Some(APPLICATION));
    for implied in [
        "channel_binding=prefer",
        "channel_binding=disable",
        "gssencmode=disable",
        "target_session_attrs=any",
        "client_encoding=utf8",
    ] {
        postgres(&format!("postgres://u:p@h/db?{implied}"));
    }
    for sqlite in
        ["sqlite::memory:", "sqlite://a%20b.db?mode=rwc", "sqlite:///a/b.db?cache=shared&immutable=0&vfs=unix"]
    {
        assert!(matches!(sqlite.parse(), Ok(DatabaseAddress::Sqlite(_))), "{sqlite}");
    }
}

#[test]
fn parameters_that_would_be_ignored_are_named() {
    for (parameter, named) in [
        ("channel_binding=require", "parameter channel_binding: must be disable or prefer"),
        ("target_session_attrs=read-write", "parameter target_session_attrs: must be any"),
        ("schema=canary", "parameter schema, which is not supported; use options"),
        ("ssl=true", "parameter ssl, which is not supported; use sslmode"),
        ("sslpassword=canary", "parameter sslpassword, which is not supported"),
        ("sslrootcert=system", "parameter sslrootcert: must be a file"),
        ("sslmode=canary", "parameter sslmode: must be disable, allow"),
        ("hostaddr=10.0.0.1", "parameter hostaddr, which is not supported; use host"),
        ("connect_timeout=10", "parameter connect_timeout, which is not supported"),
        ("pgbouncer=true", "parameter pgbouncer, which is not supported"),
        ("host=canary-1,canary-2", "parameter host: must be one host"),
        ("port=canary", "parameter port: must be one port"),
        ("sslmode=require&ssl-mode=disable", "parameter sslmode more than once"),
        ("statement-cache-capacity=canary", "parameter statement-cache-capacity: must be a number"),
        ("can%20ary!=1", "parameter with an unknown name, which is not supported"),
        ("password=abc&canary9", "parameter with an unknown name, which is not supported"),
    ] {
        let mistake = mistake(&format!("postgres://u:canary@h.example/db?{parameter}"));
        assert!(mistake.contains(named), "{parameter}: {mistake}");
    }
    for (parameter, named) in [
        ("mode=canary", "parameter mode: must be ro"),
        ("timeout=5", "parameter timeout, which is not supported"),
        ("mode=rw&mode=ro", "parameter mode more than once"),
    ] {
        let mistake = mistake(&format!("sqlite://town.db?{parameter}"));
        assert!(mistake.contains(named), "{parameter}: {mistake}");
    }
}

#[test]
fn unencoded_password_is_a_mistake() {
    for address in [
        "postgres://user:p@ss#w/rd?1@h.example/db",
        "postgres://user:p@ss@h.example/db",
        "postgres://user:canary/x@h.example/db",
        "postgres://user:canary?x@h.example/db",
        "postgres://user:12?canary@h.example/db",
        "postgres://user:canary#x@h.example/db",
        "postgres://user:canary%zz@h.example/db",
        "postgres://user:canary%@h.example/db",
        "postgres://h.example/db#canary",
    ] {
        assert!(mistake(address).contains("percent-encode the password"), "{address}");
    }
}

#[test]
fn malformed_addresses_show_nothing() {
    for (address, expected) in [
        ("mysql://user:canary@h.example/db", "must begin with"),
        ("canary", "must begin with"),
        ("", "must begin with"),
        ("postgres://user:canary@h.example:99999/db", "malformed"),
        ("postgres://user:canary@h.example:port/db", "malformed"),
        ("postgres://user:canary@h.example/db\n", "white space"),
        ("postgres://user:can ary@h.example/db", "white space"),
        ("postgres://user:canary@a.h.example:1,b.h.example:2/db", "several hosts"),
        ("postgres://user:canary@a.h.example,b.h.example/db", "several hosts"),
    ] {
        assert!(mistake(address).contains(expected), "{address}: {}", mistake(address));
    }
}

#[test]
fn host_without_sslmode_is_known() {
    for (address, host) in [
        ("postgres://u@h.example/db", Some("h.example")),
        ("postgres://u@localhost/db", Some("localhost")),
        ("postgres://u@ignored/db?host=h.example", Some("h.example")),
        ("postgres://u@h.example/db?sslmode=disable", None),
        ("postgres://u@h.example/db?ssl-mode=verify-full", None),
        ("postgres://u@%2Frun%2Fpg/db", None),
        ("postgres:///db?host=/run/pg", None),
    ] {
        assert_eq!(postgres(address).host_without_sslmode(), host, "{address}");
    }
}

#[test]
fn debug_shows_no_part() {
    let shown = ["postgres://user:canary@h.example/db", "sqlite://canary.db"]
        .map(|address| format!("{:?}", address.parse::<DatabaseAddress>().unwrap()));
    assert_eq!(shown, ["DatabaseAddress::Postgres", "DatabaseAddress::Sqlite"]);
}

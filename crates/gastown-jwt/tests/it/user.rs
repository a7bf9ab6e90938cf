//! Tokens of users: the accepted ones, and the reasons to reject all others.

use chrono::TimeDelta;
use gastown_domain::UserId;
use gastown_domain::ports::{TokenRejection, UserTokens as _, VerifiedToken};
use gastown_jwt::Rejection as R;
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::craft::{
    KEY_ID, NOW, OTHER_SECRET, SECRET, clock_at, keys, minter, opened, part, sign, sign_text, token, user_claims,
    user_claims_without, verifier,
};

fn alice() -> UserId {
    "alice".parse().unwrap()
}

/// Returns user id and pepper, for comparison.
fn shown(user: &VerifiedToken) -> (&str, Option<&str>) {
    (user.user.as_str(), user.pepper.as_ref().map(SecretString::expose_secret))
}

fn refusal(verifier: &TokenVerifier, token: &SecretString) -> Option<R> {
    verifier.verify_user(token.expose_secret()).err()
}

#[test]
fn token_of_the_host_application_is_accepted() {
    let cases = [
        (json!({}), ("user_abc123", Some("pepper"))),
        (json!({"apiTokenPepper": null}), ("user_abc123", None)),
        (json!({"env": "production"}), ("user_abc123", Some("pepper"))),
        (json!({"env": null, "nbf": null}), ("user_abc123", Some("pepper"))),
        (json!({"botId": "reviewer", "organizationId": 7}), ("user_abc123", Some("pepper"))),
        (json!({"exp": NOW + 157_680_000}), ("user_abc123", Some("pepper"))),
        (json!({"exp": 1_790_000_000.5, "nbf": 1.5e9}), ("user_abc123", Some("pepper"))),
        (json!({"exp": 1.8e9}), ("user_abc123", Some("pepper"))),
    ];

    for (replaced, want) in cases {
        let user = verifier().verify_user(token(&user_claims(&replaced)).expose_secret()).unwrap();
        assert_eq!(shown(&user), want, "{replaced}");
    }
}

#[test]
fn invalid_claims_are_rejected_with_their_reason() {
    let cases = [
        (json!({"type": "gastown_sandbox"}), R::Type),
        (json!({"type": "stream_ticket"}), R::Type),
        (json!({"type": ""}), R::Type),
        (json!({"type": null}), R::Type),
        (json!({"type": 5}), R::Type),
        (json!({"aud": "stream"}), R::Audience),
        (json!({"aud": []}), R::Audience),
        (json!({"aud": null}), R::Audience),
        (json!({"version": 2}), R::Version),
        (json!({"version": 4}), R::Version),
        (json!({"version": null}), R::MissingClaim { claim: "version" }),
        (json!({"version": "3"}), R::InvalidClaim { claim: "version" }),
        (json!({"exp": null}), R::MissingClaim { claim: "exp" }),
        (json!({"exp": "tomorrow"}), R::InvalidClaim { claim: "exp" }),
        (json!({"exp": NOW - 3600}), R::Expired),
        (json!({"exp": 0}), R::Expired),
        (json!({"exp": -1}), R::Expired),
        (json!({"exp": u64::MAX}), R::InvalidClaim { claim: "exp" }),
        (json!({"exp": true}), R::InvalidClaim { claim: "exp" }),
        (json!({"exp": 1_788_263_995.5}), R::Expired),
        (json!({"nbf": 1.788_264_006e9}), R::Early),
        (json!({"version": 3.5}), R::Version),
        (json!({"exp": 1e300}), R::InvalidClaim { claim: "exp" }),
        (json!({"nbf": NOW + 3600}), R::Early),
        (json!({"nbf": i64::MAX}), R::Early),
        (json!({"nbf": "tomorrow"}), R::InvalidClaim { claim: "nbf" }),
        (json!({"kiloUserId": null}), R::MissingClaim { claim: "kiloUserId" }),
        (json!({"kiloUserId": ""}), R::InvalidClaim { claim: "kiloUserId" }),
        (json!({"kiloUserId": "a b"}), R::InvalidClaim { claim: "kiloUserId" }),
        (json!({"kiloUserId": 5}), R::InvalidClaim { claim: "kiloUserId" }),
        (json!({"kiloUserId": ["user_abc123"]}), R::InvalidClaim { claim: "kiloUserId" }),
        (json!({"apiTokenPepper": 5}), R::InvalidClaim { claim: "apiTokenPepper" }),
    ];

    for (replaced, want) in cases {
        assert_eq!(refusal(&verifier(), &token(&user_claims(&replaced))), Some(want), "{replaced}");
    }
}

#[test]
fn claim_that_no_rule_uses_is_not_judged() {
    let odd = [json!(5), json!(-1.5), json!("text"), json!([1]), json!({"a": 1}), json!(true), json!(null)];
    for claim in ["iat", "iss", "jti", "sub", "town_id", "organization_id", "organizationId", "env"] {
        for value in &odd {
            assert_eq!(refusal(&verifier(), &token(&user_claims(&json!({ claim: value })))), None, "{claim}: {value}");
        }
    }
    let production = verifier().in_env("production");
    let odd_env = token(&user_claims(&json!({"env": 5})));
    assert_eq!(refusal(&production, &odd_env), Some(R::InvalidClaim { claim: "env" }));
}

/// A JSON number may be written with a fraction, an exponent, or both.
#[test]
fn numeric_dates_are_any_json_number() {
    for exp in ["1790000000", "1790000000.5", "1.8e9", "1.79E+9", "17900000000e-1"] {
        let claims =
            user_claims(&json!({})).to_string().replace(&format!("\"exp\":{}", NOW + 60), &format!("\"exp\":{exp}"));
        assert!(claims.contains(exp), "{claims}");
        assert_eq!(refusal(&verifier(), &sign_text(&json!({"alg": "HS256"}), &claims, SECRET)), None, "{exp}");
    }
}

/// The clock of these tests is 900 ms past the given second.
#[test]
fn fraction_of_a_date_counts() {
    let exact = TokenVerifier::new(keys(), clock_at(NOW)).with_leeway(TimeDelta::zero());
    let seconds = |fraction: &str| serde_json::from_str::<serde_json::Value>(&format!("{NOW}.{fraction}")).unwrap();
    for (claim, fraction, want) in
        [("exp", "89", Some(R::Expired)), ("exp", "91", None), ("nbf", "89", None), ("nbf", "91", Some(R::Early))]
    {
        let token = token(&user_claims(&json!({ claim: seconds(fraction) })));
        assert_eq!(refusal(&exact, &token), want, "{claim} .{fraction}");
    }
}

#[test]
fn missing_claim_is_rejected_by_name() {
    for claim in ["exp", "version", "kiloUserId", "apiTokenPepper"] {
        let token = token(&user_claims_without(claim));
        assert_eq!(refusal(&verifier(), &token), Some(R::MissingClaim { claim }));
    }
    assert_eq!(refusal(&verifier(), &token(&user_claims_without("iat"))), None);
}

#[test]
fn header_other_than_plain_hs256_is_rejected() {
    let claims = user_claims(&json!({}));
    let headers = [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": ""}),
        json!({"alg": null}),
        json!({"alg": "hs256"}),
        json!({"alg": "HS384"}),
        json!({"alg": "HS512"}),
        json!({"alg": "RS256"}),
        json!({"alg": "ES256"}),
        json!({"alg": "EdDSA"}),
        json!({"typ": "JWT"}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "crit": []}),
        json!([]),
        json!("HS256"),
    ];

    for header in headers {
        assert_eq!(refusal(&verifier(), &sign(&header, &claims, SECRET)), Some(R::Header), "{header}");
    }
}

#[test]
fn unsigned_token_is_rejected() {
    let (header, claims) = (json!({"alg": "none"}), part(&user_claims(&json!({}))));

    let unsigned = SecretString::from(format!("{}.{claims}.", part(&header)));
    let stripped = SecretString::from(format!("{}.{claims}.", part(&json!({"alg": "HS256"}))));

    assert_eq!(refusal(&verifier(), &unsigned), Some(R::Header));
    assert_eq!(refusal(&verifier(), &stripped), Some(R::Signature));
}

#[test]
fn signature_by_another_key_or_of_other_claims_is_rejected() {
    let good = token(&user_claims(&json!({})));
    let signature = good.expose_secret().rsplit('.').next().unwrap();
    let header = part(&json!({"alg": "HS256", "typ": "JWT"}));
    let bob = part(&user_claims(&json!({"kiloUserId": "bob"})));

    let by_another = sign(&json!({"alg": "HS256"}), &user_claims(&json!({})), OTHER_SECRET);
    let of_another = SecretString::from(format!("{header}.{bob}.{signature}"));

    assert_eq!(refusal(&verifier(), &by_another), Some(R::Signature));
    assert_eq!(refusal(&verifier(), &of_another), Some(R::Signature));
}

#[test]
fn text_that_is_not_a_token_is_rejected() {
    let good = token(&user_claims(&json!({})));
    let good = good.expose_secret();
    let cases = [
        (String::new(), R::Malformed),
        ("token".into(), R::Malformed),
        ("a.b".into(), R::Malformed),
        ("..".into(), R::Header),
        (format!("{good}.x"), R::Header),
        (format!(" {good}"), R::Header),
        (format!("{good}="), R::Malformed),
        (format!("{good}\n"), R::Malformed),
        (format!("{good}ü"), R::Malformed),
        ("x".repeat(8193), R::TooLong { got: 8193 }),
    ];

    for (raw, want) in cases {
        assert_eq!(refusal(&verifier(), &SecretString::from(raw.as_str())), Some(want), "{raw:?}");
    }
}

#[test]
fn claims_that_are_not_an_object_are_rejected() {
    for claims in [json!([]), json!(null), json!("claims"), json!(3)] {
        assert_eq!(refusal(&verifier(), &token(&claims)), Some(R::Malformed), "{claims}");
    }
}

#[test]
fn repeated_claim_is_rejected() {
    let claims = user_claims(&json!({})).to_string().replace("\"version\":3", "\"version\":2,\"version\":3");
    let twice = sign_text(&json!({"alg": "HS256"}), &claims, SECRET);

    assert_eq!(refusal(&verifier(), &twice), Some(R::Malformed));
}

/// The clock of these tests is 900 ms past the given second.
#[test]
fn token_ends_exactly_at_exp_plus_leeway() {
    let token = token(&user_claims(&json!({"exp": NOW})));
    let exact = |now| TokenVerifier::new(keys(), clock_at(now)).with_leeway(TimeDelta::zero());
    let lenient = |now| TokenVerifier::new(keys(), clock_at(now));

    assert_eq!(refusal(&exact(NOW - 1), &token), None);
    assert_eq!(refusal(&exact(NOW), &token), Some(R::Expired));
    assert_eq!(refusal(&lenient(NOW + 4), &token), None);
    assert_eq!(refusal(&lenient(NOW + 5), &token), Some(R::Expired));
}

#[test]
fn token_begins_exactly_at_nbf_minus_leeway() {
    let token = token(&user_claims(&json!({"nbf": NOW})));
    let exact = |now| TokenVerifier::new(keys(), clock_at(now)).with_leeway(TimeDelta::zero());
    let lenient = |now| TokenVerifier::new(keys(), clock_at(now));

    assert_eq!(refusal(&exact(NOW), &token), None);
    assert_eq!(refusal(&exact(NOW - 1), &token), Some(R::Early));
    assert_eq!(refusal(&lenient(NOW - 5), &token), None);
    assert_eq!(refusal(&lenient(NOW - 6), &token), Some(R::Early));
}

#[test]
fn only_a_different_environment_is_rejected() {
    let production = verifier().in_env("production");
    let cases = [
        (&production, json!({"env": "production"}), None),
        (&production, json!({"env": "staging"}), Some(R::Environment)),
        (&production, json!({"env": ""}), Some(R::Environment)),
        (&production, json!({}), None),
        (&verifier(), json!({"env": "staging"}), None),
    ];

    for (verifier, replaced, want) in cases {
        assert_eq!(refusal(verifier, &token(&user_claims(&replaced))), want, "{replaced}");
    }
}

#[test]
fn minted_user_token_has_the_claims_of_the_host() {
    let pepper = SecretString::from("p1");

    let token = minter().in_env("development").mint_user_token(&alice(), Some(&pepper), TimeDelta::minutes(5)).unwrap();

    let (header, claims) = opened(token.expose_secret(), SECRET);
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT", "kid": KEY_ID}));
    let want = json!({
        "kiloUserId": "alice", "apiTokenPepper": "p1", "version": 3, "env": "development",
        "iat": NOW, "exp": NOW + 300,
    });
    assert_eq!(claims, want);
}

#[test]
fn minted_user_token_is_accepted() {
    for pepper in [None, Some("p1")] {
        let secret = pepper.map(SecretString::from);
        let minted = minter().mint_user_token(&alice(), secret.as_ref(), TimeDelta::minutes(5)).unwrap();

        let user = verifier().verify_user(minted.expose_secret()).unwrap();

        assert_eq!(shown(&user), ("alice", pepper));
    }
}

#[test]
fn rotation_accepts_old_tokens_and_signs_with_the_new_key() {
    let old = minter().mint_user_token(&alice(), None, TimeDelta::minutes(5)).unwrap();
    let rotated = TokenKeys::new(&OTHER_SECRET.into()).unwrap().accepting_previous(&SECRET.into()).unwrap();
    let new = TokenMinter::new(rotated.clone(), clock_at(NOW))
        .mint_user_token(&alice(), None, TimeDelta::minutes(5))
        .unwrap();

    let verifier = TokenVerifier::new(rotated, clock_at(NOW));

    let key_id = |token: &SecretString, secret| opened(token.expose_secret(), secret).0["kid"].clone();
    assert_eq!(key_id(&old, SECRET), KEY_ID);
    assert_ne!(key_id(&new, OTHER_SECRET), KEY_ID);
    assert_eq!(refusal(&verifier, &old), None);
    assert_eq!(refusal(&verifier, &new), None);
    assert_eq!(refusal(&crate::craft::verifier(), &new), Some(R::Signature));
}

#[test]
fn port_maps_reasons_to_those_of_the_domain() {
    let port = verifier().in_env("production");
    let cases = [
        (json!({}), None),
        (json!({"type": "gastown_sandbox"}), Some(TokenRejection::Type)),
        (json!({"aud": "stream"}), Some(TokenRejection::Type)),
        (json!({"version": 2}), Some(TokenRejection::Version)),
        (json!({"env": "staging"}), Some(TokenRejection::Environment)),
        (json!({"exp": NOW - 60}), Some(TokenRejection::Expired)),
        (json!({"exp": null}), Some(TokenRejection::Claims)),
        (json!({"nbf": NOW + 60}), Some(TokenRejection::Immature)),
        (json!({"kiloUserId": ""}), Some(TokenRejection::Claims)),
        (json!({"kiloUserId": 5}), Some(TokenRejection::Claims)),
    ];

    for (replaced, want) in cases {
        let token = token(&user_claims(&replaced));
        assert_eq!(port.verify(token.expose_secret()).err(), want, "{replaced}");
    }
    let by_another = sign(&json!({"alg": "HS256"}), &user_claims(&json!({})), OTHER_SECRET);
    assert_eq!(port.verify(by_another.expose_secret()).err(), Some(TokenRejection::Signature));
    let unsigned = sign(&json!({"alg": "none"}), &user_claims(&json!({})), SECRET);
    assert_eq!(port.verify(unsigned.expose_secret()).err(), Some(TokenRejection::Algorithm));
}

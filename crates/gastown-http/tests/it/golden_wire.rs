//! The recorded life of a few towns, replayed in the recorded order.

use std::collections::BTreeMap;

use gastown_http::HttpSettings;
use serde_json::{Value, json};

use crate::{
    declared_reasons,
    fake_towns::FakeTowns,
    golden::{Answer, Recording, compare, compare_head, drop_messages, drop_reasons, meaning, record, records, send},
    server::Server,
    world::{ALICE, BOB, parts, serve, settings},
};

/// The recorded ids, and the ids that this service assigned instead.
#[derive(Default)]
struct Replay {
    ids: BTreeMap<String, String>,
}

impl Replay {
    /// Replaces recorded tokens and ids by ours. The recorded rig has a name that Gas Town does not accept.
    fn translate(&self, text: &str) -> String {
        let words = [("<TOKEN_A>", ALICE), ("<TOKEN_B>", BOB), ("rig-one", "rig_one")];
        let translated = words.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
        self.ids.iter().fold(translated, |text, (theirs, ours)| text.replace(theirs, ours))
    }

    async fn send(&mut self, server: &Server, record: &Recording) {
        let got = send(server, &record.request, |text| self.translate(text)).await;
        compare_head(record, &got);
        self.compare(record, &got);
    }

    fn compare(&mut self, record: &Recording, got: &Answer) {
        let want = record.response.body.as_deref().unwrap_or_default().replace("rig-one", "rig_one");
        let (mut want, mut got) = (meaning(&want), meaning(&got.body));
        declared_reasons::check(&got);
        drop_reasons(&mut got);
        if record.replay == "shape" || record.id == "c11-stream" {
            drop_messages(&mut want);
            drop_messages(&mut got);
        }
        self.same(&record.id, &want, &got);
    }

    /// Compares two values. Outputs may have more members than recorded. Errors have a reason and issues more.
    fn same(&mut self, at: &str, want: &Value, got: &Value) {
        match (want, got) {
            (Value::Array(wants), Value::Array(gots)) => {
                assert_eq!(wants.len(), gots.len(), "{at}: {got}");
                for (index, (want, got)) in wants.iter().zip(gots).enumerate() {
                    self.same(&format!("{at}[{index}]"), want, got);
                }
            }
            (Value::Object(wants), Value::Object(gots)) => {
                for (name, want) in wants {
                    let at = format!("{at}.{name}");
                    let got = gots.get(name).unwrap_or_else(|| panic!("{at} is missing: {got}"));
                    match name.as_str() {
                        "townId" | "rigId" => self.same_id(&at, want.as_str().unwrap(), got.as_str().unwrap()),
                        "error" => assert_eq!(got, want, "{at}"),
                        _ => self.same(&at, want, got),
                    }
                }
            }
            _ => assert_eq!(got, want, "{at}"),
        }
    }

    fn same_id(&mut self, at: &str, theirs: &str, ours: &str) {
        let known = self.ids.entry(theirs.to_owned()).or_insert_with(|| ours.to_owned());
        assert_eq!(known, ours, "{at}");
    }
}

fn is_of_the_town(record: &Recording) -> bool {
    match record.replay.as_str() {
        "exact" | "shape" | "lines" => true,
        // Recorded with another router, or with options of the tests below.
        "client" => {
            let others = ["probe.", "override"];
            !others.iter().any(|other| record.request.url.contains(other) || record.id.contains(other))
        }
        _ => false,
    }
}

#[tokio::test]
async fn recorded_calls_get_recorded_answers() {
    let server = serve(parts(FakeTowns::default())).await;
    let mut replay = Replay::default();
    let mut replayed = 0;
    for record in records().into_iter().filter(is_of_the_town) {
        replay.send(&server, &record).await;
        replayed += 1;
    }
    assert_eq!(replayed, 82);
    assert_eq!(replay.ids.len(), 5, "four towns and a rig: {:?}", replay.ids);
}

#[tokio::test]
async fn recorded_limits_hold() {
    let base = settings();
    let mut limited = base.trpc.clone();
    (limited.max_body_bytes, limited.max_batch_size) = (1024, 3);
    let mut single = base.trpc.clone();
    single.batching = false;
    for (id, trpc) in [
        ("batch-too-large", &limited),
        ("err-too-large", &limited),
        ("err-too-large-batch", &limited),
        ("override-get-mutation", &limited),
        ("batch-disabled", &single),
    ] {
        let mut parts = parts(FakeTowns::default());
        parts.settings = HttpSettings { trpc: trpc.clone(), ..base.clone() };
        let server = serve(parts).await;
        let record = record(id);
        let got = send(&server, &record.request, |text| Replay::default().translate(text)).await;
        compare(&record, &got, false);
    }
}

#[tokio::test]
async fn v10_recordings_with_the_v11_envelope_match() {
    // The v10 recordings that a v11 server answers with the same envelope.
    let server = serve(parts(FakeTowns::default())).await;
    let mut replay = Replay::default();
    for id in ["s10-list", "s10-unauthorized"] {
        let record = record(id);
        let got = send(&server, &record.request, |text| replay.translate(text)).await;
        assert_eq!(got.status, record.response.status, "{id}");
        replay.compare(&record, &got);
    }
}

#[tokio::test]
async fn stream_of_towns_has_the_format_of_trpc_server() {
    let server = serve(parts(FakeTowns::default())).await;
    let request = record("stream-batch-mixed").request;
    let got = send(&server, &request, |text| Replay::default().translate(text)).await;
    let lines: Vec<Value> = got.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"0": [[0], [null, 0, 0]], "1": [[0], [null, 0, 1]]}));
    for line in [
        json!([0, 0, [[{"result": 0}], ["result", 0, 2]]]),
        json!([2, 0, [[{"data": 0}], ["data", 0, 3]]]),
        json!([3, 0, [[[]]]]),
    ] {
        assert!(lines.contains(&line), "{line} is missing in {}", got.body);
    }
}

//! One client for all calls: paces them, sends them once, judges and reads the answers.

use std::{fmt, sync::Arc};

use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::{
    api::Call,
    error::FlyError,
    https::{HttpsTransport, SetUpError},
    rate_limit::{Pace, Queue, Urgency},
    refusal::{Refusal, classify},
    sanitize::sanitize,
    settings::{AnswerSizes, BaseUrl, Pacing, Timeouts},
    transport::{Reply, Transport},
};

/// A client of the Machines API for one token. Cheap to clone; clones share connections and pace.
#[derive(Clone)]
pub struct FlyClient {
    transport: Arc<dyn Transport>,
    pace: Arc<Pace>,
    urgency: Urgency,
}

impl FlyClient {
    /// A client that speaks HTTP.
    pub fn new(base: BaseUrl, token: &SecretString, timeouts: Timeouts, pacing: Pacing) -> Result<Self, SetUpError> {
        let transport = HttpsTransport::new(base, token, timeouts, AnswerSizes::default())?;
        Ok(Self::over(Arc::new(transport), pacing))
    }

    /// A client over another transport.
    pub fn over(transport: Arc<dyn Transport>, pacing: Pacing) -> Self {
        Self { transport, pace: Arc::new(Pace::new(pacing)), urgency: Urgency::Foreground }
    }

    /// The same client for what nobody waits for: its calls go when no other of their kind waits.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self { urgency: Urgency::Background, ..self.clone() }
    }

    /// The calls that wait for their turn, by what Fly counts them against, those that wait longest first.
    pub fn queues(&self) -> Vec<Queue> {
        self.pace.queues()
    }

    /// Sends the call and reads its answer. Tries once. A success that cannot be read counts as a lost answer.
    pub async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<T, FlyError> {
        let reply = self.send(call).await?;
        serde_json::from_slice(&reply.body)
            .map_err(|cause| FlyError::Lost { action: call.action(), cause: Box::new(without_values(&cause)) })
    }

    /// Sends the call, for those whose success has no answer worth reading. Tries once.
    pub async fn tell(&self, call: &Call) -> Result<(), FlyError> {
        self.send(call).await.map(drop)
    }

    async fn send(&self, call: &Call) -> Result<Reply, FlyError> {
        let action = call.action();
        let turn = self.pace.turn(call, self.urgency).await;
        turn.map_err(|held| FlyError::HeldBack { action, retry_after: held.retry_after })?;
        let reply = self.transport.send(call).await.map_err(|error| FlyError::from_transport(action, error))?;
        if (200..300).contains(&reply.status) {
            tracing::debug!(
                fly.action = ?action,
                fly.subject = call.identifier(),
                fly.status = reply.status,
                fly.request_id = reply.request_id,
                "fly answered"
            );
            return Ok(reply);
        }
        let refusal = classify(action, reply.status, &reply.body, reply.retry_after);
        note(call, &reply, &refusal);
        if let Refusal::Throttled { retry_after } = refusal {
            self.pace.throttled(call, retry_after);
        }
        Err(FlyError::Refused { action, refusal, status: reply.status, request_id: reply.request_id })
    }
}

/// The one place where words of Fly's reach anybody, and these are operators: cut, scrubbed, on one line.
fn note(call: &Call, reply: &Reply, refusal: &Refusal) {
    if *refusal == Refusal::Unrecognised {
        tracing::warn!(
            fly.action = ?call.action(),
            fly.subject = call.identifier(),
            fly.status = reply.status,
            fly.request_id = reply.request_id,
            fly.says = sanitize(&reply.body),
            "Fly refused in words that are not known; no recovery is tried on a guess"
        );
        return;
    }
    tracing::debug!(
        fly.action = ?call.action(),
        fly.subject = call.identifier(),
        fly.status = reply.status,
        fly.request_id = reply.request_id,
        fly.refusal = %refusal,
        fly.says = sanitize(&reply.body),
        "fly refused"
    );
}

/// Where an answer cannot be read, without the piece that serde quotes.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not what it should be ({category:?} at line {line}, column {column})")]
struct Unreadable {
    category: serde_json::error::Category,
    line: usize,
    column: usize,
}

fn without_values(error: &serde_json::Error) -> Unreadable {
    Unreadable { category: error.classify(), line: error.line(), column: error.column() }
}

impl fmt::Debug for FlyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlyClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::{
        api::{Action, machines},
        settings::Rates,
        transport::{MockTransport, TransportError},
    };

    fn client(answer: impl Fn() -> Result<Reply, TransportError> + Send + Sync + 'static) -> FlyClient {
        let mut transport = MockTransport::new();
        transport.expect_send().times(1).returning(move |_| answer());
        FlyClient::over(Arc::new(transport), Pacing::Off)
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, request_id: Some("01REQ".to_owned()), body: body.as_bytes().to_vec() }
    }

    #[tokio::test]
    async fn a_refusal_is_tried_once_and_says_no_word_of_flys() {
        let client = client(|| Ok(reply(503, "secret-canary")));
        let error = client.tell(&machines::get("mill", "m1")).await.unwrap_err();
        assert_eq!(error.refusal(), Some(&Refusal::ServerTrouble));
        let printed = format!("{error} {error:?}");
        assert_eq!(error.to_string(), "Fly did not read the machine: Fly failed (status 503, request 01REQ)");
        assert!(!printed.contains("secret-canary"), "{printed}");
    }

    #[tokio::test]
    async fn a_success_that_is_no_json_counts_as_a_lost_answer() {
        for body in ["", "<html>secret-canary</html>", r#"{"id":7,"x":"secret-canary"}"#, "null", "[]"] {
            let client = client(move || Ok(reply(200, body)));
            let error = client.ask::<machines::Machine>(&machines::get("mill", "m1")).await.unwrap_err();
            assert!(matches!(error, FlyError::Lost { action: Action::GetMachine, .. }), "{body:?}: {error:?}");
            let printed = format!("{error} {error:?} {:?}", error.source().map(ToString::to_string));
            assert!(!printed.contains("secret-canary"), "{printed}");
        }
    }

    #[tokio::test]
    async fn what_was_not_sent_is_told_from_what_was_lost() {
        let not_sent = client(|| Err(TransportError::NotSent { cause: "refused".into() }));
        let lost = client(|| Err(TransportError::Lost { cause: "reset".into() }));
        let large = client(|| Err(TransportError::TooLarge { limit: 1 }));
        let call = machines::start("mill", "m1");
        assert!(matches!(not_sent.tell(&call).await, Err(FlyError::NotSent { .. })));
        assert!(matches!(lost.tell(&call).await, Err(FlyError::Lost { .. })));
        assert!(matches!(large.tell(&call).await, Err(FlyError::Lost { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_holds_back_all_calls_of_its_kind_for_as_long_as_fly_asks() {
        let mut transport = MockTransport::new();
        let mut refusals = 1;
        transport.expect_send().returning(move |_| {
            let refused = refusals > 0;
            refusals -= i32::from(refused);
            let retry_after = refused.then_some(Duration::from_secs(7));
            Ok(Reply { retry_after, ..reply(if refused { 429 } else { 200 }, "{}") })
        });
        let client = FlyClient::over(Arc::new(transport), Pacing::On(Rates::default()));
        let (call, other) = (machines::start("mill", "m1"), machines::start("mill", "m2"));
        assert!(client.tell(&call).await.is_err());
        let start = Instant::now();
        client.tell(&other).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO, "another machine has a bucket of its own");
        client.in_background().tell(&call).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(7));
    }
}

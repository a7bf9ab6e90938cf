//! The client of all calls: queues them, sends them once, classifies and reads the answers.

use std::{fmt, sync::Arc, time::Duration};

use gastown_domain::ports::{Measurement, Metrics, NoMetrics, ProviderCallResult};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{
    api::Call,
    error::FlyError,
    https::{HttpsTransport, SetUpError, without_scheme},
    rate_limit::{Priority, QueueStats, RateLimiter, RateLimiting, Turn},
    refusal::{Refusal, classify},
    sanitize::sanitize,
    settings::{AnswerSizes, BaseUrl, Timeouts},
    transport::{Reply, Transport},
};

/// A client of the Machines API for one token. Cheap to clone. Clones share connections and rate limits.
#[derive(Clone)]
pub struct FlyClient {
    transport: Arc<dyn Transport>,
    limiter: Arc<RateLimiter>,
    priority: Priority,
    turn: Turn,
    /// The token, which is removed from Fly's texts.
    token: Option<SecretString>,
    metrics: Arc<dyn Metrics>,
}

impl FlyClient {
    /// Returns a client over HTTP.
    pub fn new(
        base: BaseUrl,
        token: &SecretString,
        timeouts: Timeouts,
        limiting: RateLimiting,
    ) -> Result<Self, SetUpError> {
        let transport = HttpsTransport::new(base, token, timeouts, AnswerSizes::default())?;
        Ok(Self { token: Some(without_scheme(token).into()), ..Self::over(Arc::new(transport), limiting) })
    }

    /// Returns a client over another transport.
    pub fn over(transport: Arc<dyn Transport>, limiting: RateLimiting) -> Self {
        let (priority, turn) = (Priority::Foreground, Turn::default());
        let (limiter, metrics) = (Arc::new(RateLimiter::new(limiting)), Arc::new(NoMetrics));
        Self { transport, limiter, priority, turn, token: None, metrics }
    }

    /// Returns the same client, whose calls are counted.
    #[must_use]
    pub fn counted_by(&self, metrics: Arc<dyn Metrics>) -> Self {
        Self { metrics, ..self.clone() }
    }

    /// Returns the same client with background priority. Its calls go when no foreground call of their kind waits.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self { priority: Priority::Background, ..self.clone() }
    }

    /// Returns the same client for the calls of one user, who takes turns with other users in each queue.
    #[must_use]
    pub fn for_user(&self, user: &str) -> Self {
        Self { turn: Turn::of(user), ..self.clone() }
    }

    /// Returns the queues in which a call waits, the longest wait first.
    pub fn queue_stats(&self) -> Vec<QueueStats> {
        self.limiter.queue_stats()
    }

    /// Sends the call once and reads its answer. A success that cannot be read counts as a lost answer.
    pub async fn fetch<T: DeserializeOwned>(&self, call: &Call) -> Result<T, FlyError> {
        let read = |reply: Reply| {
            serde_json::from_slice(&reply.body)
                .map_err(|cause| FlyError::Lost { action: call.action(), cause: Box::new(without_values(&cause)) })
        };
        self.counted(call, read).await
    }

    /// Sends the call once, and ignores the body of a success.
    pub async fn send(&self, call: &Call) -> Result<(), FlyError> {
        self.counted(call, |_| Ok(())).await
    }

    /// Sends the call once, reads its answer and counts its result.
    async fn counted<T>(&self, call: &Call, read: impl FnOnce(Reply) -> Result<T, FlyError>) -> Result<T, FlyError> {
        let mut times = Times::default();
        let answered = self.exchange(call, &mut times).await.and_then(read);
        let result = answered.as_ref().map_or_else(class_of, |_| ProviderCallResult::Succeeded);
        let (action, Times { queued, took }) = (call.action().name(), times);
        self.metrics.record(Measurement::ProviderCalled { action, result, queued, took });
        answered
    }

    #[tracing::instrument(
        name = "provider_call",
        level = "debug",
        skip_all,
        fields(fly.action = ?call.action(), fly.subject = call.identifier())
    )]
    async fn exchange(&self, call: &Call, times: &mut Times) -> Result<Reply, FlyError> {
        let (action, began) = (call.action(), Instant::now());
        let admitted = self.limiter.acquire(call, self.priority, &self.turn).await;
        times.queued = began.elapsed();
        admitted.map_err(|limited| FlyError::RateLimited { action, retry_after: limited.retry_after })?;
        let sent = Instant::now();
        let reply = self.transport.send(call).await;
        times.took = sent.elapsed();
        let reply = reply.map_err(|error| FlyError::from_transport(action, error))?;
        if (200..300).contains(&reply.status) {
            log_success(call, &reply);
            return Ok(reply);
        }
        let refusal = classify(action, reply.status, &reply.body, reply.retry_after);
        log_refusal(call, &reply, &refusal, &sanitize(&reply.body, self.token.as_ref()));
        if let Refusal::Throttled { retry_after } = refusal {
            self.limiter.throttle(call, retry_after);
        }
        Err(FlyError::Refused { action, refusal, status: reply.status, request_id: reply.request_id })
    }
}

/// The times of a call.
#[derive(Default)]
struct Times {
    /// In the queue for Fly's limits.
    queued: Duration,
    /// From sending to the answer.
    took: Duration,
}

/// Returns the class of a failed call.
const fn class_of(error: &FlyError) -> ProviderCallResult {
    match error {
        FlyError::Refused { refusal: Refusal::NotFound(_), .. } => ProviderCallResult::NotFound,
        FlyError::Refused { refusal: Refusal::Throttled { .. }, .. } => ProviderCallResult::Throttled,
        FlyError::Refused { status: 500.., .. } => ProviderCallResult::ServerError,
        FlyError::Refused { .. } => ProviderCallResult::Refused,
        FlyError::NotSent { .. } => ProviderCallResult::NotSent,
        FlyError::Lost { .. } => ProviderCallResult::Lost,
        FlyError::RateLimited { .. } => ProviderCallResult::Queued,
    }
}

fn log_success(call: &Call, reply: &Reply) {
    tracing::debug!(
        fly.action = ?call.action(),
        fly.subject = call.identifier(),
        fly.status = reply.status,
        fly.request_id = reply.request_id,
        "call to Fly succeeded"
    );
}

/// Logs a refusal with Fly's own text, sanitized. No other place shows Fly's texts.
fn log_refusal(call: &Call, reply: &Reply, refusal: &Refusal, message: &str) {
    if *refusal == Refusal::Unrecognised {
        tracing::warn!(
            fly.action = ?call.action(),
            fly.subject = call.identifier(),
            fly.status = reply.status,
            fly.request_id = reply.request_id,
            fly.message = message,
            "call to Fly refused for an unknown reason"
        );
        return;
    }
    if refusal.is_for_operators() {
        tracing::warn!(
            fly.action = ?call.action(),
            fly.subject = call.identifier(),
            fly.status = reply.status,
            fly.request_id = reply.request_id,
            fly.refusal = %refusal,
            fly.message = message,
            "call to Fly refused until an operator acts"
        );
        return;
    }
    tracing::debug!(
        fly.action = ?call.action(),
        fly.subject = call.identifier(),
        fly.status = reply.status,
        fly.request_id = reply.request_id,
        fly.refusal = %refusal,
        fly.message = message,
        "call to Fly refused"
    );
}

/// The place at which an answer cannot be read, without the piece that serde quotes.
#[derive(Debug, thiserror::Error)]
#[error("the answer has an unexpected shape ({category:?} at line {line}, column {column})")]
struct UnreadableAnswer {
    category: serde_json::error::Category,
    line: usize,
    column: usize,
}

fn without_values(error: &serde_json::Error) -> UnreadableAnswer {
    UnreadableAnswer { category: error.classify(), line: error.line(), column: error.column() }
}

impl fmt::Debug for FlyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlyClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, time::Duration};

    use gastown_domain::ports::KeptMetrics;

    use super::*;
    use crate::{
        api::{Action, machines},
        rate_limit::Rates,
        transport::{MockTransport, TransportError},
    };

    fn client(answer: impl Fn() -> Result<Reply, TransportError> + Send + Sync + 'static) -> FlyClient {
        let mut transport = MockTransport::new();
        transport.expect_send().times(1).returning(move |_| answer());
        FlyClient::over(Arc::new(transport), RateLimiting::Off)
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, request_id: Some("01REQ".to_owned()), body: body.as_bytes().to_vec() }
    }

    #[tokio::test]
    async fn a_refused_call_is_tried_once_and_its_error_hides_flys_text() {
        let client = client(|| Ok(reply(503, "secret-canary")));
        let error = client.send(&machines::get("mill", "m1")).await.unwrap_err();
        assert_eq!(error.refusal(), Some(&Refusal::ServerError));
        let printed = format!("{error} {error:?}");
        assert_eq!(error.to_string(), "failed to read the machine: server error (status 503, request 01REQ)");
        assert!(!printed.contains("secret-canary"), "{printed}");
    }

    #[tokio::test]
    async fn a_success_without_json_counts_as_a_lost_answer() {
        for body in ["", "<html>secret-canary</html>", r#"{"id":7,"x":"secret-canary"}"#, "null", "[]"] {
            let client = client(move || Ok(reply(200, body)));
            let error = client.fetch::<machines::Machine>(&machines::get("mill", "m1")).await.unwrap_err();
            assert!(matches!(error, FlyError::Lost { action: Action::GetMachine, .. }), "{body:?}: {error:?}");
            let printed = format!("{error} {error:?} {:?}", error.source().map(ToString::to_string));
            assert!(!printed.contains("secret-canary"), "{printed}");
        }
    }

    #[tokio::test]
    async fn transport_errors_are_not_sent_or_lost() {
        let not_sent = client(|| Err(TransportError::NotSent { cause: "refused".into() }));
        let lost = client(|| Err(TransportError::Lost { cause: "reset".into() }));
        let large = client(|| Err(TransportError::TooLarge { limit: 1 }));
        let call = machines::start("mill", "m1");
        assert!(matches!(not_sent.send(&call).await, Err(FlyError::NotSent { .. })));
        assert!(matches!(lost.send(&call).await, Err(FlyError::Lost { .. })));
        assert!(matches!(large.send(&call).await, Err(FlyError::Lost { .. })));
    }

    async fn assert_counted(client: FlyClient, want: ProviderCallResult) {
        let counts = Arc::new(KeptMetrics::default());
        let _answer = client.counted_by(counts.clone()).send(&machines::get("mill", "m1")).await;
        let counted = counts.take();
        let [Measurement::ProviderCalled { action, result, .. }] = counted[..] else { panic!("{counted:?}") };
        assert_eq!((action, result), ("get_machine", want));
    }

    #[tokio::test]
    async fn each_call_is_counted_once_by_action_and_class_of_result() {
        let lost = || Err(TransportError::Lost { cause: "reset".into() });
        let not_sent = || Err(TransportError::NotSent { cause: "refused".into() });
        assert_counted(client(|| Ok(reply(200, "{}"))), ProviderCallResult::Succeeded).await;
        let missing = || Ok(reply(404, r#"{"error":"machine not found"}"#));
        assert_counted(client(missing), ProviderCallResult::NotFound).await;
        assert_counted(client(|| Ok(reply(429, "{}"))), ProviderCallResult::Throttled).await;
        assert_counted(client(|| Ok(reply(422, "{}"))), ProviderCallResult::Refused).await;
        assert_counted(client(|| Ok(reply(503, "{}"))), ProviderCallResult::ServerError).await;
        assert_counted(client(lost), ProviderCallResult::Lost).await;
        assert_counted(client(not_sent), ProviderCallResult::NotSent).await;
        let counts = Arc::new(KeptMetrics::default());
        let unreadable = client(|| Ok(reply(200, "<html>"))).counted_by(counts.clone());
        unreadable.fetch::<machines::Machine>(&machines::get("mill", "m1")).await.unwrap_err();
        let counted = counts.take();
        assert!(matches!(counted[..], [Measurement::ProviderCalled { result: ProviderCallResult::Lost, .. }]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_pauses_all_calls_of_its_kind_for_the_time_that_fly_asks() {
        let mut transport = MockTransport::new();
        let mut refusals = 1;
        transport.expect_send().returning(move |_| {
            let refused = refusals > 0;
            refusals -= i32::from(refused);
            let retry_after = refused.then_some(Duration::from_secs(7));
            Ok(Reply { retry_after, ..reply(if refused { 429 } else { 200 }, "{}") })
        });
        let client = FlyClient::over(Arc::new(transport), RateLimiting::On(Rates::default()));
        let (call, other) = (machines::start("mill", "m1"), machines::start("mill", "m2"));
        assert!(client.send(&call).await.is_err());
        let start = Instant::now();
        client.send(&other).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO, "another machine has a bucket of its own");
        client.in_background().send(&call).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(7));
    }
}

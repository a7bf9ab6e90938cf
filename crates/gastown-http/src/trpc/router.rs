use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture};
use http::{Method, request::Parts};
use serde::Serialize;
use serde_json::Value;

use super::{
    admission::{Admission, Permit},
    answer::{AnswerBudget, LimitedWriter, Untaken, UntakenBytes},
    body::CallInput,
    error::CallError,
    sse::Tracked,
    start::Start,
    subscription::{Opened, Subscribing, Subscription, in_span},
};
use crate::{HandlerRuntime, rejections::Rejections};

/// The largest value of a subscription, in bytes.
const MAX_EVENT: usize = 256 * 1024;

/// The kind of a procedure. It determines the HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads, by GET. Cancelled when the client disconnects.
    Query,
    /// Changes, by POST. Continues when the client disconnects.
    Mutation,
    /// Sends values as they come, by GET. Ends when the client disconnects.
    Subscription,
}

impl Kind {
    /// Returns the only method for such a procedure.
    pub fn method(self) -> Method {
        match self {
            Self::Query | Self::Subscription => Method::GET,
            Self::Mutation => Method::POST,
        }
    }

    /// Returns the name of the kind in the protocol's messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// Authenticates the callers of a procedure, before the input is read.
#[async_trait]
pub trait Guard: Send + Sync + 'static {
    /// The identity of an admitted caller.
    type Caller: Send + 'static;

    /// Admits the caller, or returns the error for it.
    async fn admit(&self, head: &Parts) -> Result<Self::Caller, CallError>;

    /// Returns a number of the caller. Calls with the same number share the limits of one caller.
    fn share(&self, caller: &Self::Caller) -> u64;

    /// Returns the largest body, in bytes, if it is smaller than that of other procedures. A guard that admits callers it
    /// does not know yet has a small one.
    fn max_body_bytes(&self) -> Option<usize> {
        None
    }
}

#[async_trait]
impl<G: Guard> Guard for Arc<G> {
    type Caller = G::Caller;

    async fn admit(&self, head: &Parts) -> Result<Self::Caller, CallError> {
        G::admit(self, head).await
    }

    fn share(&self, caller: &Self::Caller) -> u64 {
        G::share(self, caller)
    }

    fn max_body_bytes(&self) -> Option<usize> {
        G::max_body_bytes(self)
    }
}

/// The input of a procedure.
pub trait Input: Sized + Send {
    /// False if the procedure has no input. Body and `input=` are then not read, and garbage in them is no error.
    const READ: bool = true;
    /// True if the procedure had no input once. An input that is no object, or is not JSON, is then no error but none.
    const LENIENT: bool = false;

    /// Parses the input. `None` is JavaScript's `undefined`.
    fn parse(raw: Option<Value>) -> Result<Self, CallError>;
}

/// No input.
impl Input for () {
    const READ: bool = false;

    fn parse(_: Option<Value>) -> Result<Self, CallError> {
        Ok(())
    }
}

/// The output of a procedure: every type that serialises, and [`Undefined`].
pub trait Output: Send {
    /// Serialises the output as JSON of at most `max_bytes`.
    fn write(&self, max_bytes: usize) -> Result<Written, WriteError>;
}

impl<T: Serialize + Send> Output for T {
    fn write(&self, max_bytes: usize) -> Result<Written, WriteError> {
        let mut writer = LimitedWriter::new(max_bytes);
        match serde_json::to_writer(&mut writer, self) {
            Ok(()) => String::from_utf8(writer.bytes).map(Written::Json).map_err(|_| WriteError::NotText),
            Err(error) if error.is_io() => Err(WriteError::TooLarge),
            Err(error) => Err(WriteError::Unserialisable(error)),
        }
    }
}

/// JavaScript's `undefined`: an answer without data. It is not `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undefined;

impl Output for Undefined {
    fn write(&self, _: usize) -> Result<Written, WriteError> {
        Ok(Written::Undefined)
    }
}

/// An output that was not serialised.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It has more bytes than allowed.
    #[error("output is too large")]
    TooLarge,
    /// It cannot be serialised.
    #[error("output cannot be serialised")]
    Unserialisable(#[source] serde_json::Error),
    /// The serialiser wrote bytes that are not UTF-8.
    #[error("output is not UTF-8")]
    NotText,
}

/// A serialised output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The member `data` is absent.
    Undefined,
    /// The JSON text of `data`.
    Json(String),
}

impl Written {
    /// Returns its length in bytes.
    fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Undefined => 0,
        }
    }
}

/// The end of a call without an output.
#[derive(Debug)]
pub enum Failure {
    /// The error of the call.
    Call(CallError),
    /// The output cannot be serialised. According to the protocol this fails the whole request.
    Unserialisable(WriteError),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// The head and the input of a call, and its limits.
pub(super) struct Call {
    pub(super) head: Arc<Parts>,
    /// `None` once it was read.
    pub(super) input: Option<CallInput>,
    pub(super) admission: Admission,
    pub(super) budget: Arc<AnswerBudget>,
    pub(super) untaken: UntakenBytes,
    pub(super) start: Start,
    pub(super) handlers: HandlerRuntime,
    pub(super) rejections: Rejections,
}

impl Call {
    /// Waits for a place, and starts the handler. Every limit that may refuse a mutation is checked here.
    async fn start(&self, caller: u64) -> Result<Permit, CallError> {
        let permit = self.admission.enter(caller).await?;
        self.untaken.check(caller)?;
        self.start.proceed()?;
        Ok(permit)
    }

    /// Serialises the output of a mutation. No limit applies, because the change was made and an error would deny it. The
    /// limits of inputs bound such an output.
    fn write_change(&self, output: &impl Output, caller: u64) -> Result<Answer, Failure> {
        let written = output.write(usize::MAX).map_err(Failure::Unserialisable)?;
        let untaken = self.untaken.add(caller, written.len());
        Ok(Answer { written, untaken })
    }

    /// Serialises the output of a query within the limits of the request and of the caller.
    fn write_read(&self, output: &impl Output, caller: u64) -> Result<Answer, Failure> {
        let written = match output.write(self.budget.left()) {
            Ok(written) => written,
            Err(WriteError::TooLarge) => return Err(self.budget.too_large().into()),
            Err(error @ (WriteError::Unserialisable(_) | WriteError::NotText)) => {
                return Err(Failure::Unserialisable(error));
            }
        };
        self.budget.take(written.len())?;
        let untaken = self.untaken.add_within_limit(caller, written.len())?;
        Ok(Answer { written, untaken })
    }
}

/// The output of a call, with its part of what the caller has not taken yet.
pub(super) struct Answer {
    pub(super) written: Written,
    pub(super) untaken: Option<Untaken>,
}

type Run = dyn Fn(Call) -> BoxFuture<'static, Result<Answer, Failure>> + Send + Sync;

#[derive(Clone)]
pub(super) struct Procedure {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) max_body_bytes: Option<usize>,
    handler: Handler,
}

#[derive(Clone)]
enum Handler {
    Call(Arc<Run>),
    Subscription(Subscription),
}

impl Procedure {
    /// Runs a query or a mutation. The plan of a request lets no subscription come here.
    pub(super) fn run(&self, call: Call) -> BoxFuture<'static, Result<Answer, Failure>> {
        match &self.handler {
            Handler::Call(run) => run(call),
            Handler::Subscription(_) => Box::pin(async { Err(CallError::internal().into()) }),
        }
    }

    /// Returns the subscription. `None`: it is a query or a mutation.
    pub(super) fn subscription(&self) -> Option<Subscription> {
        match &self.handler {
            Handler::Call(_) => None,
            Handler::Subscription(subscription) => Some(subscription.clone()),
        }
    }
}

/// The procedures by name. Names are dotted and case-sensitive, such as `gastown.createTown`.
#[derive(Clone, Default)]
pub struct Router {
    procedures: BTreeMap<&'static str, Procedure>,
}

impl Router {
    /// Creates a router without procedures.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a query. A second procedure of the same name replaces the first.
    #[must_use]
    pub fn query<G, I, O, F, Fut>(self, name: &'static str, guard: G, handler: F) -> Self
    where
        G: Guard,
        I: Input + 'static,
        O: Output + 'static,
        F: Fn(G::Caller, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, CallError>> + Send + 'static,
    {
        self.procedure(Kind::Query, name, guard, handler)
    }

    /// Adds a mutation. A second procedure of the same name replaces the first.
    #[must_use]
    pub fn mutation<G, I, O, F, Fut>(self, name: &'static str, guard: G, handler: F) -> Self
    where
        G: Guard,
        I: Input + 'static,
        O: Output + 'static,
        F: Fn(G::Caller, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, CallError>> + Send + 'static,
    {
        self.procedure(Kind::Mutation, name, guard, handler)
    }

    /// Adds a subscription. A second procedure of the same name replaces the first.
    #[must_use]
    pub fn subscription<G, I, O, F, Fut, S>(mut self, name: &'static str, guard: G, handler: F) -> Self
    where
        G: Guard,
        I: Input + 'static,
        O: Output + 'static,
        F: Fn(G::Caller, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, CallError>> + Send + 'static,
        S: Stream<Item = Result<Tracked<O>, CallError>> + Send + 'static,
    {
        let parts = Arc::new((guard, handler));
        let admitting = Arc::clone(&parts);
        let readmit = move |head: Arc<Parts>| {
            let parts = Arc::clone(&admitting);
            async move { parts.0.admit(&head).await.map(drop) }.boxed()
        };
        let open = move |call: Subscribing| {
            let parts = Arc::clone(&parts);
            in_span(name, async move {
                let (guard, handler) = &*parts;
                let caller = guard.admit(&call.head).await?;
                let input = if I::READ { I::parse(call.input?)? } else { I::parse(None)? };
                let place = call.watchers.take(guard.share(&caller))?;
                let opening = handler(caller, input);
                let events = call.handlers.run(opening).await?.map(|event| {
                    let Tracked { id, value } = event?;
                    value.write(MAX_EVENT).map(|written| (id, written)).map_err(Failure::Unserialisable)
                });
                Ok(Opened { events: call.handlers.stream(events.boxed()), _place: place })
            })
        };
        let subscription = Subscription { open: Arc::new(open), readmit: Arc::new(readmit) };
        self.procedures.insert(
            name,
            Procedure {
                name,
                kind: Kind::Subscription,
                max_body_bytes: None,
                handler: Handler::Subscription(subscription),
            },
        );
        self
    }

    /// Returns every procedure, by name.
    pub fn procedures(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        self.procedures.iter().map(|(name, procedure)| (*name, procedure.kind))
    }

    pub(super) fn find(&self, path: &str) -> Option<&Procedure> {
        self.procedures.get(path)
    }

    fn procedure<G, I, O, F, Fut>(mut self, kind: Kind, name: &'static str, guard: G, handler: F) -> Self
    where
        G: Guard,
        I: Input + 'static,
        O: Output + 'static,
        F: Fn(G::Caller, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, CallError>> + Send + 'static,
    {
        let max_body_bytes = guard.max_body_bytes();
        let parts = Arc::new((guard, handler));
        let run = move |mut call: Call| {
            let parts = Arc::clone(&parts);
            async move {
                let (guard, handler) = &*parts;
                let caller = guard.admit(&call.head).await?;
                let share = guard.share(&caller);
                let input = I::parse(read::<I>(call.input.take(), share).await?)?;
                let permit = call.start(share).await?;
                let (handlers, rejections) = (call.handlers.clone(), call.rejections.clone());
                let output = handler(caller, input);
                let running = rejections.scope(async move {
                    // Held until the output is written.
                    let _permit = permit;
                    let output = output.await?;
                    match kind {
                        Kind::Query | Kind::Subscription => call.write_read(&output, share),
                        Kind::Mutation => call.write_change(&output, share),
                    }
                });
                match kind {
                    Kind::Query | Kind::Subscription => handlers.run(running).await,
                    Kind::Mutation => handlers.run_to_end(running).await,
                }
            }
            .boxed()
        };
        let handler = Handler::Call(Arc::new(run));
        self.procedures.insert(name, Procedure { name, kind, max_body_bytes, handler });
        self
    }
}

/// Reads the input of a call, as far as its procedure looks at it. The input is not kept while the call runs.
async fn read<I: Input>(input: Option<CallInput>, caller: u64) -> Result<Option<Value>, CallError> {
    match (input, I::READ, I::LENIENT) {
        (None, _, _) | (Some(_), false, _) => Ok(None),
        (Some(input), true, false) => input.read(caller).await,
        (Some(input), true, true) => Ok(input.read(caller).await.ok().flatten().filter(Value::is_object)),
    }
}

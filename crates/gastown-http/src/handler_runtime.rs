//! The runtime on which handlers run. It may be another one than that of the connections.
//!
//! The tasks of connections and those of handlers then wait in different queues. A handler takes several turns, because it
//! waits for the database. In one queue, each turn would wait for all requests that are refused meanwhile.

use std::{future::pending, panic::resume_unwind};

use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::{runtime::Handle, sync::mpsc, task::JoinError};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// The runtime of the handlers.
#[derive(Debug, Clone)]
pub struct HandlerRuntime(Option<Handle>);

impl HandlerRuntime {
    /// Runs each handler in the task of its connection.
    pub fn of_connections() -> Self {
        Self(None)
    }

    /// Runs handlers as tasks of this runtime. The connections of the database belong to it.
    pub fn on(runtime: Handle) -> Self {
        Self(Some(runtime))
    }

    /// Runs a handler to its end, or until the returned future is dropped.
    pub(crate) async fn run<T: Send + 'static>(&self, handler: impl Future<Output = T> + Send + 'static) -> T {
        let Some(runtime) = &self.0 else { return handler.await };
        joined(AbortOnDropHandle::new(runtime.spawn(handler.in_current_span()))).await
    }

    /// Starts a handler. It runs to its end, also when the returned future is dropped.
    pub(crate) fn run_to_end<T: Send + 'static>(
        &self,
        handler: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let runtime = self.0.clone().unwrap_or_else(Handle::current);
        let task = runtime.spawn(handler.in_current_span());
        joined(task).boxed()
    }

    /// Runs a stream. Its next item is made while the last one is taken. It ends when the returned stream is dropped.
    pub(crate) fn stream<T: Send + 'static>(&self, items: BoxStream<'static, T>) -> BoxStream<'static, T> {
        let Some(runtime) = &self.0 else { return items };
        let (sender, receiver) = mpsc::channel(1);
        let running = async move {
            let mut items = items;
            while let Some(item) = items.next().await {
                if sender.send(item).await.is_err() {
                    return;
                }
            }
        };
        let task = AbortOnDropHandle::new(runtime.spawn(running.in_current_span()));
        stream::unfold((receiver, task), |(mut receiver, task)| async move {
            if let Some(item) = receiver.recv().await {
                return Some((item, (receiver, task)));
            }
            // A panic goes on here. Without it, a client would take the end for a proper one.
            joined(task).await;
            None
        })
        .boxed()
    }
}

/// Waits for a handler, and continues its panic in its caller.
///
/// A handler whose runtime has ended has no result, and is not known to have done nothing. So its caller gets no answer, as if
/// the process had ended. The threads of the connections end with the runtime.
async fn joined<T>(task: impl Future<Output = Result<T, JoinError>>) -> T {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_cancelled)) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, thread};

    use tokio::{
        runtime::{Builder, Runtime},
        sync::oneshot,
    };

    use super::*;

    fn apart() -> (HandlerRuntime, Runtime) {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("apart").build().unwrap();
        (HandlerRuntime::on(runtime.handle().clone()), runtime)
    }

    fn thread_name() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn handlers_and_streams_run_on_their_runtime() {
        let (handlers, runtime) = apart();
        let apart = Some("apart".to_owned());
        assert_eq!(handlers.run(async { thread_name() }).await, apart);
        assert_eq!(handlers.run_to_end(async { thread_name() }).await, apart);
        let names = stream::iter(0..3).map(|_| thread_name()).boxed();
        assert_eq!(handlers.stream(names).collect::<Vec<_>>().await, vec![apart.clone(), apart.clone(), apart]);
        let inline = HandlerRuntime::of_connections();
        assert_eq!(inline.run(async { thread_name() }).await, thread_name());
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn panics_go_on_in_the_caller() {
        let (handlers, runtime) = apart();
        let run = handlers.run(async { panic!("on purpose") });
        assert!(AssertUnwindSafe(run).catch_unwind().await.is_err());
        let mut items = handlers.stream(stream::once(async { panic!("on purpose") }).boxed());
        assert!(AssertUnwindSafe(items.next()).catch_unwind().await.is_err());
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn dropped_call_ends_only_a_handler_that_may_be_cut_off() {
        let (handlers, runtime) = apart();
        let (dropped, is_dropped) = oneshot::channel::<()>();
        let endless = async move {
            let _held = dropped;
            std::future::pending::<()>().await;
        };
        assert!(handlers.run(endless).now_or_never().is_none());
        assert!(is_dropped.await.is_err(), "a read is cut off");

        let (proceed, proceeds) = oneshot::channel::<()>();
        let (ended, has_ended) = oneshot::channel();
        let change = async move {
            proceeds.await.unwrap();
            ended.send(()).unwrap();
        };
        drop(handlers.run_to_end(change));
        proceed.send(()).unwrap();
        has_ended.await.expect("a change goes on");
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn end_of_the_runtime_is_no_answer() {
        let (handlers, runtime) = apart();
        let (started, has_started) = oneshot::channel::<()>();
        let call = handlers.run_to_end(async move {
            started.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        has_started.await.unwrap();
        tokio::task::spawn_blocking(|| drop(runtime)).await.unwrap();
        assert!(call.now_or_never().is_none());
    }
}

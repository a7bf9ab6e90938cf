//! A proxy that records what passes it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse as _, Response};
use gastown_sandbox_check::{Ending, Environment, Image, ImageError, Running, Stopped};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

const MAX_BODY: usize = 2 * 1024 * 1024;

/// A call and its answer. A body is `None` if it is empty or is not JSON.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) request: Option<Value>,
    pub(crate) status: u16,
    pub(crate) answer: Option<Value>,
}

/// The recorded exchanges of all proxies of one check.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Exchange>>>);

/// A proxy that serves until it is dropped.
pub(crate) struct Proxy {
    pub(crate) url: Url,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct Target {
    base: String,
    client: reqwest::Client,
    recorder: Recorder,
}

impl Recorder {
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.0.lock().unwrap().clone()
    }

    /// Serves in front of an address.
    pub(crate) async fn in_front_of(&self, url: &Url) -> Proxy {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = url.as_str().trim_end_matches('/').to_owned();
        let target = Target { base, client, recorder: self.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().fallback(pass).with_state(target);
        let serve = async move { axum::serve(listener, router).await.unwrap() };
        Proxy { url, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }
}

async fn pass(State(target): State<Target>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap();
    let url = format!("{}{}", target.base, parts.uri.path_and_query().unwrap());
    let call = target.client.request(parts.method.clone(), url).headers(forwarded(parts.headers));
    // A sandbox that is down resets the connection. Its caller sees an answer that no sandbox gives.
    let Ok(answer) = call.body(body.clone()).send().await else {
        return axum::http::StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, headers) = (answer.status(), forwarded(answer.headers().clone()));
    let Ok(answered) = answer.bytes().await else { return axum::http::StatusCode::BAD_GATEWAY.into_response() };
    target.recorder.0.lock().unwrap().push(Exchange {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        request: serde_json::from_slice(&body).ok(),
        status: status.as_u16(),
        answer: serde_json::from_slice(&answered).ok(),
    });
    (status, headers, Body::from(answered)).into_response()
}

fn forwarded(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        headers.remove(name);
    }
    headers
}

/// An image whose calls are recorded.
pub(crate) struct Recorded<I> {
    pub(crate) image: I,
    pub(crate) recorder: Recorder,
}

struct RecordedRunning {
    running: Box<dyn Running>,
    proxy: Proxy,
}

#[async_trait]
impl<I: Image> Image for Recorded<I> {
    async fn boot(&self, environment: &Environment) -> Result<Box<dyn Running>, ImageError> {
        let running = self.image.boot(environment).await?;
        let proxy = self.recorder.in_front_of(running.url()).await;
        Ok(Box::new(RecordedRunning { running, proxy }))
    }
}

#[async_trait]
impl Running for RecordedRunning {
    fn url(&self) -> &Url {
        &self.proxy.url
    }

    async fn ended(&mut self) -> Ending {
        self.running.ended().await
    }

    async fn stop(self: Box<Self>, limit: Duration) -> Stopped {
        self.running.stop(limit).await
    }
}

//! One request over the network: pinned to a machine, authenticated, limited in time and size.

use std::time::Duration;

use gastown_domain::ports::{SandboxAddress, SandboxError};
use reqwest::{
    Client, Method,
    header::{HeaderName, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Directs Fly's proxy to exactly this machine.
const PIN: HeaderName = HeaderName::from_static("fly-force-instance-id");
/// The town's key.
const KEY: HeaderName = HeaderName::from_static("x-internal-api-key");
/// The largest accepted answer.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The client cannot be created, because TLS or the resolver cannot be initialised.
#[derive(Debug, thiserror::Error)]
#[error("failed to create the HTTP client for sandboxes")]
pub struct SetUpError(#[source] reqwest::Error);

/// An answer with its whole body.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The failure of a request. It contains no key, no address and no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the key is not a valid header value")]
    Key,
    #[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    #[error("no complete answer")]
    NoAnswer(#[source] reqwest::Error),
}

impl From<Fault> for SandboxError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Key => Self::Unauthorized,
            Fault::TooLarge => Self::Wrong { cause: Box::new(fault) },
            Fault::NoAnswer(_) => Self::Unreachable { cause: Box::new(fault) },
        }
    }
}

#[derive(Clone)]
pub(crate) struct Transport {
    client: Client,
}

impl Transport {
    pub(crate) fn new(connect: Duration) -> Result<Self, SetUpError> {
        let client = Client::builder()
            .user_agent(concat!("gastown-cloud/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect)
            // A redirect would send the town's key to another host.
            .redirect(redirect::Policy::none())
            // A proxy of the environment would see the towns' keys.
            .no_proxy()
            .build()
            .map_err(SetUpError)?;
        Ok(Self { client })
    }

    pub(crate) async fn send(
        &self,
        at: &SandboxAddress,
        key: &SecretString,
        method: Method,
        url: Url,
        body: Option<&impl serde::Serialize>,
        deadline: Duration,
    ) -> Result<Reply, Fault> {
        let mut key = HeaderValue::from_str(key.expose_secret()).map_err(|_| Fault::Key)?;
        key.set_sensitive(true);
        let request =
            self.client.request(method, url).timeout(deadline).header(PIN, at.machine.as_str()).header(KEY, key);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let mut answer = request.send().await.map_err(no_answer)?;
        let status = answer.status().as_u16();
        // Not by `http_body_util::Limited`, which boxes the error: its URL must be removed.
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Fault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body })
    }
}

fn no_answer(error: reqwest::Error) -> Fault {
    Fault::NoAnswer(error.without_url())
}

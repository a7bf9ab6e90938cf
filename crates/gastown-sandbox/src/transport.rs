//! One request on the network: pinned, keyed, bounded in time and size.

use std::time::Duration;

use gastown_domain::ports::{SandboxAddress, SandboxError};
use reqwest::{
    Client, Method,
    header::{HeaderName, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Fly's proxy: this machine and no other.
const PIN: HeaderName = HeaderName::from_static("fly-force-instance-id");
/// The town's key.
const KEY: HeaderName = HeaderName::from_static("x-internal-api-key");
/// The most that is read of an answer.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// The client cannot be set up: TLS or the resolver cannot be initialised.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for sandboxes cannot be set up")]
pub struct SetUpError(#[source] reqwest::Error);

/// A status and a whole body.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer, or none that is believed. Holds no key, no address and no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the key fits no header")]
    Key,
    #[error("the answer is larger than {LARGEST_ANSWER} bytes")]
    TooLarge,
    #[error("no whole answer")]
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
            // A redirect would carry the town's key to whatever host it names.
            .redirect(redirect::Policy::none())
            // Sandboxes are reached directly; a proxy of the environment would see their keys.
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
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
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

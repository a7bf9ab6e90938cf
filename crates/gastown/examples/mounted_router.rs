//! Mounts the tRPC router in an axum service of one's own, beside the service's own routes.
//!
//! `cargo run -p gastown --features sim --example mounted_router`
#![expect(clippy::print_stdout, reason = "the output of the example")]

use std::error::Error;
use std::io;

use gastown::axum::{self, Router, routing::get};
use gastown::tokio::net::TcpListener;
use gastown::{CancellationToken, ExposeSecret as _, Gastown, tokio};

#[tokio::main(crate = "gastown::tokio")]
async fn main() -> Result<(), Box<dyn Error>> {
    for answer in serve_two_requests().await? {
        println!("{answer}");
    }
    Ok(())
}

/// Serves the control plane below `/towns`. First no more requests are taken, then the background work stops.
async fn serve(gastown: Gastown, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let app = Router::new().route("/about", get(async || "a service of one's own")).nest("/towns", gastown.router());
    let requests_over = CancellationToken::new();
    let background = tokio::spawn(gastown.run(requests_over.clone()));
    let result = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
    requests_over.cancel();
    background.await?;
    result
}

/// Starts the service, calls one route of each router, and stops it.
async fn serve_two_requests() -> Result<[String; 2], Box<dyn Error>> {
    let gastown = Gastown::simulated().build().await?;
    let token = gastown.add_user(&"alice".parse()?).await?.token;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(gastown, listener, stop.clone()));

    let client = reqwest::Client::builder().no_proxy().build()?;
    let about = client.get(format!("{url}/about")).send().await?.text().await?;
    let towns = client.get(format!("{url}/towns/trpc/gastown.listTowns")).bearer_auth(token.expose_secret());
    let towns = towns.send().await?.text().await?;

    stop.cancel();
    serving.await??;
    Ok([about, towns])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_routers_answer() {
        let [about, towns] = serve_two_requests().await.unwrap();
        assert_eq!(about, "a service of one's own");
        assert_eq!(towns, r#"{"result":{"data":[]}}"#);
    }
}

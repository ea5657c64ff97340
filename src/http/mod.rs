//! HTTP: bytes to typed commands and back. The only room that knows axum.

mod access;
mod approve;
mod backchannel;
mod catalogs;
mod envelopes;
mod error;
mod extract;
mod health;
mod internal;
mod metadata;
mod pages;
mod plans;
mod questions;
mod receipt;
mod results;
mod revocations;
pub mod router;
mod search;
mod token;
mod transaction_authorization;

use axum::Router;
use std::future::IntoFuture;
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long requests under way may still take after the server was told to stop. Feeds never end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// Serves a router until told to stop; requests under way are answered, feeds are cut off.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) -> io::Result<()> {
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped(stop.clone()));
    tokio::select! {
        ended = serving.into_future() => ended,
        () = async { stopped(stop).await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// Waits for SIGINT or SIGTERM.
pub async fn stop_signal() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

//! HTTP: bytes to typed commands and back. The only room that knows axum.

mod access;
mod access_requests;
mod approve;
mod backchannel;
mod catalogs;
mod envelopes;
mod error;
mod extract;
mod health;
mod internal;
mod introspect;
mod ledgers;
mod metadata;
mod nonces;
pub mod openapi;
mod pages;
mod plans;
mod presented;
mod questions;
mod receipt;
mod results;
mod revocations;
mod revoke;
pub mod router;
mod search;
mod shares;
mod status;
mod tls;
mod token;
mod transaction_authorization;

use self::tls::{Peer, TlsListener};
use crate::config::Tls;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::fmt::Debug;
use std::future::IntoFuture;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long requests under way may still take after the server was told to stop. Feeds never end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// Serves a router until told to stop; requests under way are answered, feeds are cut off.
///
/// # Errors
/// When the listener fails.
pub async fn serve<L>(listener: L, router: Router, stop: watch::Receiver<bool>) -> io::Result<()>
where
    L: Listener,
    L::Addr: Debug,
    Peer: for<'a> Connected<IncomingStream<'a, L>>,
{
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let service = router.into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stopped(stop.clone()));
    tokio::select! {
        ended = serving.into_future() => ended,
        () = async { stopped(stop).await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// [`serve`] for clients with certificates, where a listener for them is configured.
///
/// # Errors
/// When the address is taken, a file does not hold what it must, or the listener fails.
pub async fn serve_tls(tls: &Tls, router: Router, stop: watch::Receiver<bool>) -> io::Result<()> {
    match (tls.listen, &tls.certificate, &tls.key) {
        (Some(address), Some(certificate), Some(key)) => {
            serve(TlsListener::bind(address, certificate, key).await?, router, stop).await
        }
        _ => Ok(()),
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

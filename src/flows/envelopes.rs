//! Envelopes that are too long for a token: kept under their digest, which the token carries.
//!
//! A row is believed only if its content has the digest that was asked for, which is signed in the token: whoever writes
//! rows can take steps away and add none.

use super::authenticate_resource_server::ResourceServer;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store;
use marque_core::canonical::Digest;
use marque_core::claims::Carried;
use marque_core::envelope::Envelope;
use sqlx::PgConnection;
use std::borrow::Cow;
use time::OffsetDateTime;

/// The envelope that a verified token carries or names; nothing if it names one that is not kept as it was.
pub(super) async fn carried<'c>(cx: Context<'_>, carried: &'c Carried) -> Result<Option<Cow<'c, Envelope>>, FlowError> {
    let digest = match carried {
        Carried::Inline(envelope) => return Ok(Some(Cow::Borrowed(envelope))),
        Carried::ByDigest(digest) => digest,
    };
    let kept = store::envelopes::find(&mut *cx.app.db.look().await?, cx.realm_name(), digest.as_bytes()).await?;
    let envelope = kept.and_then(|kept| match Envelope::of_digest(digest, &kept) {
        Ok(envelope) => Some(Cow::Owned(envelope)),
        Err(refused) => {
            tracing::error!(%digest, %refused, "a kept envelope was changed");
            None
        }
    });
    Ok(envelope)
}

/// Keeps the envelope of a token that names it by digest, in the transaction of the token.
pub(super) async fn keep(
    cx: Context<'_>,
    conn: &mut PgConnection,
    (carried, envelope): (&Carried, &Envelope),
    expires_at: OffsetDateTime,
) -> Result<(), FlowError> {
    if let Carried::ByDigest(digest) = carried {
        let content = envelope.canonical();
        store::envelopes::keep(conn, cx.realm_name(), digest.as_bytes(), &content, expires_at).await?;
    }
    Ok(())
}

/// What is kept under a digest, in canonical form: for a resource server that was shown a token with it.
///
/// # Errors
/// `not_found` for what is no digest, is not kept, or is not what it was.
pub async fn show_envelope(
    cx: Context<'_>,
    _resource_server: &ResourceServer,
    digest: &str,
) -> Result<Vec<u8>, FlowError> {
    let unknown = || Refusal::new(OAuthError::NotFound, "there is no such envelope");
    let digest = Digest::from_base64(digest).ok_or_else(unknown)?;
    let kept = store::envelopes::find(&mut *cx.app.db.look().await?, cx.realm_name(), digest.as_bytes()).await?;
    let kept = kept.filter(|kept| Digest::of(kept) == digest);
    Ok(kept.ok_or_else(unknown)?)
}

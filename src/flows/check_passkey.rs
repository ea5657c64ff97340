//! Whether a passkey may approve: it is the person's now, the one that was first seen under its id, and not too new.

use super::{Context, FlowError, OAuthError, Refusal};
use crate::store::approvals::PinnedPasskey;
use crate::store::{self, StoreError};
use marque_core::canonical::decode;
use marque_core::evidence::Credential;
use marque_core::reason::Reason;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

/// The realm still lists the passkey for this user, and it is the one that was seen first under its id.
/// Its first sight is kept whatever comes after: the waiting period of an added passkey starts with it.
pub(super) async fn check_passkey(
    cx: Context<'_>,
    credential: &Credential,
    sub: &str,
    is_only_reads: bool,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    expect_current_passkey(cx, sub, &credential.id, &credential.public_key).await?;
    let bytes = |text: &str| decode(text).ok_or_else(|| FlowError::internal("verified base64url does not decode"));
    let seen =
        PinnedPasskey { public_key: bytes(&credential.public_key)?, backup_eligible: credential.backup_eligible };
    let id = bytes(&credential.id)?;
    let pin = async |conn: &mut PgConnection| {
        let pinned = store::approvals::pin_passkey(conn, cx.realm_name(), sub, &id, &seen, now).await?;
        Ok::<_, StoreError>((pinned, store::approvals::pinned_passkeys(conn, cx.realm_name(), sub).await?))
    };
    let (pinned, all) = cx.app.db.write(pin).await?;
    if pinned.public_key != seen.public_key || pinned.backup_eligible != seen.backup_eligible {
        let text = "the passkey's public key is not the one that was first seen under its id";
        return Err(Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid).into());
    }
    expect_confirmed(&all, &id, is_only_reads, now)
}

/// How long an added passkey approves only reads.
const NEW_PASSKEY: Duration = Duration::hours(24);

/// The first passkey of a user approves at once; an added one approves only reads for a day, so that
/// somebody who can add passkeys to an account cannot at once act with them.
fn expect_confirmed(
    pinned: &[(Vec<u8>, OffsetDateTime)],
    id: &[u8],
    is_only_reads: bool,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    let is_first = pinned.first().is_some_and(|(first, _)| first == id);
    let is_old = pinned.iter().any(|(known, at)| known == id && now - *at >= NEW_PASSKEY);
    if is_first || is_old || is_only_reads {
        return Ok(());
    }
    tracing::warn!("passkey.unconfirmed");
    let text = "a passkey that was added approves only reads for 24 hours after its first use here: use your first one";
    Err(Refusal::new(OAuthError::AccessDenied, text).because(Reason::EvidenceInvalid).into())
}

/// The realm, asked now, knows the user as enabled and the passkey as hers.
pub(super) async fn expect_current_passkey(
    cx: Context<'_>,
    sub: &str,
    credential_id: &str,
    public_key: &str,
) -> Result<(), FlowError> {
    let user = cx.realm.directory.find_user(&cx.realm.keycloak, sub).await?;
    let refuse = |reason: Reason| Refusal::new(OAuthError::AccessDenied, reason.meaning()).because(reason);
    let user = user.filter(|user| user.enabled).ok_or_else(|| refuse(Reason::UserInactive))?;
    let is_hers = user.passkeys.iter().any(|key| key.credential_id == credential_id && key.public_key == public_key);
    if is_hers { Ok(()) } else { Err(refuse(Reason::PasskeyRemoved).into()) }
}

//! Requests for what was denied: each leads to a plan of its own, beyond another one.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A request that was taken in.
#[derive(Clone, Debug)]
pub struct AccessRequest {
    /// Its id.
    pub request_id: Uuid,
    /// The resource server that asked.
    pub client_id: String,
    /// The id of the binding token that it was asked with.
    pub binding_jti: Uuid,
    /// The header `Idempotency-Key`, if it had one.
    pub idempotency_key: Option<String>,
    /// Digest of the request's body.
    pub request_sha256: Vec<u8>,
    /// The intent that the call went beyond.
    pub parent_id: Uuid,
    /// The intent that would permit it.
    pub intent_id: Uuid,
}

/// Keeps a request.
pub async fn insert(
    conn: &mut PgConnection,
    realm: &str,
    request: &AccessRequest,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into access_requests (request_id, realm, client_id, binding_jti, idempotency_key, request_sha256,
             parent_id, intent_id, requested_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        request.request_id,
        realm,
        request.client_id,
        request.binding_jti,
        request.idempotency_key,
        request.request_sha256,
        request.parent_id,
        request.intent_id,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The request of an id.
pub async fn find(conn: &mut PgConnection, realm: &str, request_id: Uuid) -> Result<Option<AccessRequest>, StoreError> {
    sqlx::query_as!(
        AccessRequest,
        "select request_id, client_id, binding_jti, idempotency_key, request_sha256, parent_id, intent_id
         from access_requests where realm = $1 and request_id = $2",
        realm,
        request_id
    )
    .fetch_optional(conn)
    .await
}

/// The requests that were made with a binding token, or by a client under a key: two at most.
pub async fn find_earlier(
    conn: &mut PgConnection,
    realm: &str,
    binding_jti: Uuid,
    (client_id, idempotency_key): (&str, Option<&str>),
) -> Result<Vec<AccessRequest>, StoreError> {
    sqlx::query_as!(
        AccessRequest,
        "select request_id, client_id, binding_jti, idempotency_key, request_sha256, parent_id, intent_id
         from access_requests
         where realm = $1 and (binding_jti = $2 or client_id = $3 and idempotency_key = $4)",
        realm,
        binding_jti,
        client_id,
        idempotency_key
    )
    .fetch_all(conn)
    .await
}

/// How often a plan was to be gone beyond, and how many of these requests wait for the person.
pub async fn count(conn: &mut PgConnection, parent_id: Uuid, now: OffsetDateTime) -> Result<(i64, i64), StoreError> {
    let counted = sqlx::query!(
        r#"select count(*) as "all!",
             count(*) filter (where i.state = 'pending' and i.pending_until > $2) as "waiting!"
         from access_requests a join intents i on i.intent_id = a.intent_id where a.parent_id = $1"#,
        parent_id,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok((counted.all, counted.waiting))
}

/// Whether an intent was itself asked for beyond another one.
pub async fn is_addition(conn: &mut PgConnection, intent_id: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select from access_requests where intent_id = $1) as "is_addition!""#,
        intent_id
    )
    .fetch_one(conn)
    .await
}

/// The intents that were asked for beyond an intent.
pub async fn beyond(conn: &mut PgConnection, parent_id: Uuid) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!("select intent_id from access_requests where parent_id = $1 order by intent_id", parent_id)
        .fetch_all(conn)
        .await
}

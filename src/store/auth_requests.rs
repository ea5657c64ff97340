//! Ids of backchannel authentication requests (CIBA), each for one intent.

use super::StoreError;
use sqlx::PgConnection;
use uuid::Uuid;

/// Keeps the id of a new intent's request.
pub async fn insert(
    conn: &mut PgConnection,
    realm: &str,
    auth_req_id: &str,
    intent_id: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into auth_requests (realm, auth_req_id, intent_id) values ($1, $2, $3)",
        realm,
        auth_req_id,
        intent_id
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The intent of a request's id.
pub async fn find_intent(conn: &mut PgConnection, realm: &str, auth_req_id: &str) -> Result<Option<Uuid>, StoreError> {
    sqlx::query_scalar!("select intent_id from auth_requests where realm = $1 and auth_req_id = $2", realm, auth_req_id)
        .fetch_optional(conn)
        .await
}

/// The id of an intent's request, if it came by the backchannel.
pub async fn find(conn: &mut PgConnection, intent_id: Uuid) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!("select auth_req_id from auth_requests where intent_id = $1", intent_id)
        .fetch_optional(conn)
        .await
}

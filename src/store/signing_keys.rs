//! Marque's own signing keys, sealed.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// A row.
pub struct SigningKeyRow {
    /// The JWS `typ` it signs.
    pub typ: String,
    /// Its id.
    pub kid: String,
    /// Its public half, canonical JSON.
    pub public_jwk: String,
    /// Its private half, sealed.
    pub sealed: Vec<u8>,
    /// From when on it signs.
    pub signs_from: OffsetDateTime,
    /// It was withdrawn.
    pub is_withdrawn: bool,
}

/// What everybody may know of a key.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// The JWS `typ` it signs.
    pub typ: String,
    /// Its id.
    pub kid: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// From when on it signs.
    pub signs_from: OffsetDateTime,
    /// When it was withdrawn, if it was.
    pub withdrawn_at: Option<OffsetDateTime>,
}

/// Keeps other servers from making keys at the same time, until the transaction ends.
pub async fn lock(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('marque signing keys')) as locked")
        .fetch_one(conn)
        .await
        .map(drop)
}

/// All keys that were ever the realm's, in the order in which they begin to sign.
pub async fn all(conn: &mut PgConnection, realm: &str) -> Result<Vec<SigningKeyRow>, StoreError> {
    sqlx::query_as!(
        SigningKeyRow,
        r#"select typ, kid, public_jwk, sealed, signs_from,
             exists (select from key_withdrawals w where w.realm = k.realm and w.kid = k.kid) as "is_withdrawn!"
         from signing_keys k where realm = $1 order by signs_from, created_at, kid"#,
        realm
    )
    .fetch_all(conn)
    .await
}

/// How many keys the realm ever had. None is ever removed.
pub async fn count(conn: &mut PgConnection, realm: &str) -> Result<i64, StoreError> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from signing_keys where realm = $1"#, realm)
        .fetch_one(conn)
        .await
}

/// All keys that were ever the realm's, by what they sign, in the order in which they begin to.
pub async fn known(conn: &mut PgConnection, realm: &str) -> Result<Vec<KnownKey>, StoreError> {
    sqlx::query_as!(
        KnownKey,
        r#"select k.typ, k.kid, k.created_at, k.signs_from, w.withdrawn_at as "withdrawn_at?"
           from signing_keys k left join key_withdrawals w on w.realm = k.realm and w.kid = k.kid
           where k.realm = $1 order by k.typ, k.signs_from, k.created_at, k.kid"#,
        realm
    )
    .fetch_all(conn)
    .await
}

/// Whether a key was ever the realm's.
pub async fn exists(conn: &mut PgConnection, realm: &str, kid: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select from signing_keys where realm = $1 and kid = $2) as "exists!""#,
        realm,
        kid
    )
    .fetch_one(conn)
    .await
}

/// Keeps a new key.
pub async fn insert(
    conn: &mut PgConnection,
    realm: &str,
    key: &SigningKeyRow,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into signing_keys (realm, typ, kid, public_jwk, sealed, created_at, signs_from)
         values ($1, $2, $3, $4, $5, $6, $7)",
        realm,
        key.typ,
        key.kid,
        key.public_jwk,
        key.sealed,
        now,
        key.signs_from
    )
    .execute(conn)
    .await
    .map(drop)
}

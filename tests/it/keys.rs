//! Keys of hot tables, and months of custody: one intent's rows lie together.

use crate::support::plans::shared;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use crate::support::until;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

#[tokio::test]
async fn keys_of_hot_tables_begin_with_the_intent() {
    let stack = Stack::open().await;
    let first_columns = "select c.relname::text, k.conname::text, a.attname::text
        from pg_constraint k
        join pg_class c on c.oid = k.conrelid
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
        where k.contype in ('p', 'u') and c.relname in ('tokens', 'ledgers', 'permits')
            and c.relnamespace = 'public'::regnamespace";
    let keys: Vec<(String, String, String)> = sqlx::query_as(first_columns).fetch_all(&stack.db).await.unwrap();
    for table in ["tokens", "ledgers", "permits"] {
        assert!(keys.iter().any(|(of, _, _)| of == table), "{table} has a key: {keys:?}");
    }
    for (table, key, column) in &keys {
        assert_eq!(column, "intent_id", "{key} of {table}");
    }
    let unique = "select i.indexrelid::regclass::text, a.attname::text from pg_index i
        join pg_class c on c.oid = i.indrelid
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indisunique and c.relname in ('tokens', 'ledgers', 'permits')";
    let indexes: Vec<(String, String)> = sqlx::query_as(unique).fetch_all(&stack.db).await.unwrap();
    assert_eq!(indexes.len(), keys.len(), "every unique index is one of the constraints: {indexes:?}");
    assert!(indexes.iter().all(|(_, column)| column == "intent_id"), "{indexes:?}");
}

#[tokio::test]
async fn months_of_custody_open_before_they_begin_and_are_dropped_when_they_are_over() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let db = &copy.stack.db;
    let now = OffsetDateTime::now_utc();
    let (old, recent) = (now - time::Duration::days(500), now - time::Duration::days(300));
    for at in [old, recent] {
        sqlx::query("select open_custody($1::timestamptz)").bind(at).execute(db).await.unwrap();
        let row = "insert into tokens (intent_id, jti, kind, token_sha256, client_id, jkt, hops, issued_at, expires_at)
                   values (first_intent_id($1), $2, 'txn', '\\x00', 'agent', 'key', 0, $1, $1)";
        sqlx::query(row).bind(at).bind(Uuid::new_v4()).execute(db).await.unwrap();
    }
    // Two at once: either may find the month gone already.
    let (_one, _other) = tokio::join!(copy.serve(), copy.serve());
    until("the old month is dropped", || async { !is_there(db, &month(old)).await }).await;
    let kept = sqlx::AssertSqlSafe(format!("select count(*) from {}", month(recent)));
    let kept: i64 = sqlx::query_scalar(kept).fetch_one(db).await.unwrap();
    assert_eq!(kept, 1, "a month that is not over stays");
    for at in [now, now + time::Duration::days(35)] {
        assert!(is_there(db, &month(at)).await, "{} is open", month(at));
    }
}

#[tokio::test]
async fn rows_of_a_month_are_written_once_and_lie_where_their_intent_does() {
    let stack = Stack::open().await;
    let granted = shared(&stack).await;
    let intent: Uuid = granted.intent_id.parse().unwrap();
    let of = "select tableoid::regclass::text from tokens where intent_id = $1";
    let table: String = sqlx::query_scalar(of).bind(intent).fetch_one(&stack.db).await.unwrap();
    assert_eq!(table, month(OffsetDateTime::now_utc()));
    for sql in ["update {} set hops = 1", "delete from {}", "truncate {}"] {
        for name in ["tokens", &table] {
            let sql = sqlx::AssertSqlSafe(sql.replace("{}", name));
            let refused = sqlx::query(sql).execute(&stack.db).await.unwrap_err().to_string();
            assert!(refused.contains("written once"), "{refused}");
        }
    }
}

fn month(at: OffsetDateTime) -> String {
    format!("tokens_{}_{:02}", at.year(), u8::from(at.month()))
}

async fn is_there(db: &PgPool, table: &str) -> bool {
    sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(db).await.unwrap()
}

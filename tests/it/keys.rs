//! Keys of hot tables: one intent's rows lie together and can be partitioned by it.

use crate::support::stack::Stack;

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

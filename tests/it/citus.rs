//! The file for Citus fits the tables as they are. Citus itself cannot be had here: its two functions are stand-ins that note what they
//! are told, and what was noted is held against the rules that its documentation states.

use crate::support::server::Copy;
use crate::support::stack::Stack;
use sqlx::{Connection, PgConnection};

/// `create_reference_table` and `create_distributed_table`, as they are called.
const STAND_INS: &str = "
    create table citus_tables (name regclass primary key, by_column text);
    create function create_reference_table(name regclass) returns void language sql
        as 'insert into citus_tables values (name, null)';
    create function create_distributed_table(name regclass, by_column text, colocate_with text default 'default')
        returns void language sql as 'insert into citus_tables values (name, by_column)';";

/// Every table of Marque's is on every node, or distributed by one of its columns that is never null. A part of a table goes with it.
const LEFT_OUT: &str = "
    select format('%s is not distributed', c.oid::regclass) from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
        and c.relname not in ('_sqlx_migrations', 'citus_tables')
        and not exists (select from citus_tables t where t.name = c.oid
            and (t.by_column is null or exists (select from pg_attribute a
                where a.attrelid = c.oid and a.attname = t.by_column and a.attnotnull)))";

/// What is unique in a distributed table is so on one node: its columns hold the one that distributes the table.
const NOT_UNIQUE: &str = "
    select format('%s cannot be unique', i.indexrelid::regclass) from pg_index i
    join citus_tables t on t.name = i.indrelid and t.by_column is not null
    where i.indisunique and not exists (select from pg_attribute a
        where a.attrelid = i.indrelid and a.attname = t.by_column and a.attnum = any (i.indkey))";

/// A table that every node has refers to such tables alone; a distributed one to those as well, and to what is on its own node: the columns
/// that distribute both refer to each other.
const CANNOT_REFER: &str = "
    select format('%s of %s cannot refer', k.conname, k.conrelid::regclass) from pg_constraint k
    join citus_tables t on t.name = k.conrelid join citus_tables other on other.name = k.confrelid
    where k.contype = 'f' and other.by_column is not null and (t.by_column is null or not exists (
        select from unnest(k.conkey, k.confkey) as pair(own, others)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.own and a.attname = t.by_column
        join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.others and b.attname = other.by_column))";

async fn offences(db: &mut PgConnection) -> Vec<String> {
    let mut all = Vec::new();
    for rule in [LEFT_OUT, NOT_UNIQUE, CANNOT_REFER] {
        all.extend(sqlx::query_scalar::<_, String>(rule).fetch_all(&mut *db).await.unwrap());
    }
    all
}

#[tokio::test]
async fn the_file_for_citus_distributes_every_table_by_the_rules() {
    let copy = Copy::beside(&Stack::open().await).await;
    let mut db = copy.stack.db.acquire().await.unwrap();
    sqlx::raw_sql(STAND_INS).execute(&mut *db).await.unwrap();
    sqlx::raw_sql(include_str!("../../docs/operations/citus.sql")).execute(&mut *db).await.unwrap();
    assert_eq!(offences(&mut db).await, Vec::<String>::new());
    for offence in [
        "delete from citus_tables where name = 'results'::regclass",
        "alter table permits add column again uuid unique",
        "alter table submissions add foreign key (intent_id) references intents",
    ] {
        let mut tx = db.begin().await.unwrap();
        sqlx::raw_sql(offence).execute(&mut *tx).await.unwrap();
        let found = offences(&mut tx).await;
        assert_eq!(found.len(), 1, "{offence}: {found:?}");
    }
}

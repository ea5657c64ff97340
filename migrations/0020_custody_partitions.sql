-- Custody by month of the intent: an intent's id begins with the instant it was submitted at (UUID version 7), so that all rows of
-- one intent lie in one partition, and months that are long over are dropped whole. A token is found by its intent and its
-- hash, and what was exchanged for it by that hash.
alter table tokens rename to tokens_before;
drop trigger tokens_append_only on tokens_before;
drop trigger tokens_not_emptied on tokens_before;
drop index tokens_parent;
alter table tokens_before drop constraint tokens_hash;
alter table tokens_before drop constraint tokens_pkey;
alter table tokens_before drop constraint tokens_kind;

create table tokens (
    intent_id       uuid        not null,
    jti             uuid        not null,
    kind            text        not null,
    token_sha256    bytea       not null,
    parent_sha256   bytea,
    client_id       text        not null,
    jkt             text        not null,
    txn             uuid,
    hops            integer     not null,
    issued_at       timestamptz not null,
    expires_at      timestamptz not null,
    constraint tokens_pkey primary key (intent_id, token_sha256),
    constraint tokens_kind check (kind in ('intent', 'txn', 'access', 'grant'))
) partition by range (intent_id);
create index tokens_parent on tokens (intent_id, parent_sha256) where parent_sha256 is not null;
create trigger tokens_append_only before update or delete on tokens for each row execute function refuse_change();
create trigger tokens_not_emptied before truncate on tokens execute function refuse_change();

-- The least id of an intent that is submitted at an instant or later.
create function first_intent_id(at timestamptz) returns uuid language sql immutable strict as $$
    select (rpad(lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0'), 32, '0'))::uuid
$$;

-- Opens a month of custody, if it is not open: in UTC, as are the ids.
create function open_custody(month timestamptz) returns void language plpgsql as $$
declare
    first timestamptz := date_trunc('month', month, 'UTC');
    name text := 'tokens_' || to_char(first at time zone 'UTC', 'YYYY_MM');
begin
    perform pg_advisory_xact_lock(hashtextextended('open_custody', 20));
    if to_regclass(name) is not null then
        return;
    end if;
    -- Attached, not created in place: what is being written meanwhile goes on.
    execute format('create table %I (like tokens including defaults including constraints)', name);
    execute format('alter table %I add constraint %I primary key (intent_id, token_sha256)', name, name || '_pkey');
    execute format('alter table tokens attach partition %I for values from (%L) to (%L)', name, first_intent_id(first),
        first_intent_id(date_trunc('month', first at time zone 'UTC' + interval '1 month') at time zone 'UTC'));
    execute format('create trigger tokens_not_emptied before truncate on %I execute function refuse_change()', name);
end $$;

-- Drops the oldest month of custody all of whose intents were submitted before an instant; its name, or nothing if there is none.
create function drop_custody(before timestamptz) returns text language plpgsql as $$
declare
    oldest text;
begin
    select c.relname into oldest
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tokens'::regclass and c.relname ~ '^tokens_\d{4}_\d{2}$'
        and to_date(substr(c.relname, 8), 'YYYY_MM') + interval '1 month' <= before at time zone 'UTC'
    order by c.relname limit 1;
    if oldest is not null then
        execute format('drop table %I', oldest);
    end if;
    return oldest;
end $$;

-- What is there, month by month.
select open_custody(month) from (
    select distinct date_trunc('month', at, 'UTC') as month from (
        select to_timestamp(('x' || left(replace(intent_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) as at
        from tokens_before
        union all select now()
    ) as instants
) as months;
insert into tokens select * from tokens_before;
drop table tokens_before;

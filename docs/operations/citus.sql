-- A database of Marque's for Citus: which tables are distributed, by what, and which are on every node. Run it once on the
-- coordinator, as the owner of the tables, after `marque serve` has made them and before it serves anything.
-- It follows the rules of Citus's documentation. Citus itself has never run it: see scaling.md, which also
-- says what else is missing.
begin;

-- 1. Foreign keys into intents and step_ups from tables that every node has: a reference table cannot refer to a distributed one.
alter table submissions drop constraint submissions_intent_id_fkey;
alter table logins drop constraint logins_intent_id_fkey, drop constraint logins_step_up_id_fkey;
alter table displays drop constraint displays_intent_id_fkey, drop constraint displays_step_up_id_fkey;
alter table receipt_sessions drop constraint receipt_sessions_intent_id_fkey;
alter table auth_requests drop constraint auth_requests_intent_id_fkey;
alter table revocations drop constraint revocations_intent_id_fkey;
alter table step_up_uses drop constraint step_up_uses_step_up_id_fkey;
alter table approvals drop constraint approvals_step_up_id_fkey;

-- 2. Keys of distributed tables have to hold the column that distributes them.
alter table step_ups drop constraint step_ups_pkey;
alter table step_ups add constraint step_ups_pkey primary key (intent_id, step_up_id);
drop index approvals_step_up;
create unique index approvals_step_up on approvals (intent_id, step_up_id);

-- 3. A counter of a passkey is used once in all intents: that is no key of a table that intents distribute. It gets a table of its
-- own, on every node. A trigger of a distributed table would have to write there, so that Marque would have to do it by itself.
drop index approvals_counter;
create table passkey_counters (
    credential_id   bytea   not null,
    sign_count      bigint  not null,
    constraint passkey_counters_pkey primary key (credential_id, sign_count)
);
insert into passkey_counters select distinct credential_id, sign_count from approvals where sign_count <> 0;

-- 4. What is small, is read whole, or is found by something else than an intent: on every node.
select create_reference_table(name) from unnest(array[
    'feeds', 'ended_epochs', 'server_beats', 'revocations', 'token_revocations', 'key_withdrawals', 'signing_keys', 'catalogs',
    'waiting_catalogs', 'catalog_decisions', 'passkeys', 'passkey_counters', 'submissions', 'logins', 'displays',
    'receipt_sessions', 'auth_requests', 'step_up_uses', 'status_places', 'workload_tokens', 'envelopes',
    'access_requests', 'location_ledgers'
]) as name;

-- 5. What grows with intents: all rows of one intent on one node. Triggers that keep rows from being changed are needed there too.
set local citus.enable_unsafe_triggers = on;
select create_distributed_table('intents', 'intent_id');
select create_distributed_table(name, 'intent_id', colocate_with => 'intents') from unnest(array[
    'approvals', 'step_ups', 'tokens', 'permits', 'ledgers', 'results'
]) as name;

-- 6. Ids that are used once: by themselves.
select create_distributed_table('replays', 'id', colocate_with => 'none');

commit;

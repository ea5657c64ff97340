-- What was counted of an intent: for each step how often it was used and committed, and how many permits there are. It is
-- sealed as one, with the intent's own key, so that a row that was written or changed by hand counts as unreadable and
-- refuses. One that was put back from before disagrees with the numbers of the permits, which stay.
create table ledgers (
    intent_id   uuid    not null,
    counts      bytea   not null,
    constraint ledgers_pkey primary key (intent_id)
);
-- Of plans that were used before, nothing sealed says how often. Their counted steps are refused: submit them again.
insert into ledgers (intent_id, counts) select intent_id, ''::bytea from permits union select intent_id, ''::bytea from uses;
drop table uses;

-- How a permit ended, sealed for its place. `state` beside it only says where to look.
alter table permits add column outcome bytea;
-- The open permits of a resource server, page by page.
create index permits_of_server on permits (client_id, reserved_at, intent_id, permit_id)
    where state in ('reserved', 'unknown');

-- A permit and its end are written once; `state`, `settled_at` and `expires_at` may change.
create trigger permits_written_once
    before update of intent_id, permit_id, step_id, client_id, call_id, call_digest, proof_jti, reserved_at, call, seq
    on permits for each row execute function refuse_change();
create trigger permits_ended_once before update of outcome on permits
    for each row when (old.outcome is not null) execute function refuse_change();
create trigger permits_stay before delete on permits for each row execute function refuse_change();
create trigger ledgers_stay before delete on ledgers for each row execute function refuse_change();

-- What is written once is not emptied as a whole, either.
create trigger permits_not_emptied before truncate on permits execute function refuse_change();
create trigger ledgers_not_emptied before truncate on ledgers execute function refuse_change();
create trigger tokens_not_emptied before truncate on tokens execute function refuse_change();
create trigger approvals_not_emptied before truncate on approvals execute function refuse_change();
create trigger revocations_not_emptied before truncate on revocations execute function refuse_change();
create trigger step_up_approvals_not_emptied before truncate on step_up_approvals execute function refuse_change();
create trigger step_up_uses_not_emptied before truncate on step_up_uses execute function refuse_change();
create trigger catalogs_not_emptied before truncate on catalogs execute function refuse_change();
create trigger waiting_catalogs_not_emptied before truncate on waiting_catalogs execute function refuse_change();
create trigger catalog_decisions_not_emptied before truncate on catalog_decisions execute function refuse_change();

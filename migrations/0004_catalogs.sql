-- A catalog counts only with Marque's own signed admission; rows from before have none, and their resource server
-- publishes the next version.
alter table catalogs add column admission text not null default '';
alter table catalogs alter column admission drop default;

-- Uploads that lower a severity: they count only once an administrator has accepted them, and are kept whatever
-- becomes of them. One that a newer upload followed has lapsed.
create table waiting_catalogs (
    realm       text        not null,
    location    text        not null,
    version     bigint      not null,
    client_id   text        not null,
    jws         text        not null,
    uploaded_at timestamptz not null,
    constraint waiting_catalogs_pkey primary key (realm, location, version)
);

-- Who decided on a waiting catalog, through which client, and when.
create table catalog_decisions (
    realm       text        not null,
    location    text        not null,
    version     bigint      not null,
    sha256      bytea       not null,
    decision    text        not null,
    sub         text        not null,
    username    text,
    client_id   text        not null,
    decided_at  timestamptz not null,
    constraint catalog_decisions_pkey primary key (realm, location, version),
    constraint catalog_decisions_waiting foreign key (realm, location, version) references waiting_catalogs,
    constraint catalog_decisions_decision check (decision in ('accepted', 'refused'))
);

create trigger catalogs_append_only before update or delete on catalogs for each row execute function refuse_change();
create trigger waiting_catalogs_append_only before update or delete on waiting_catalogs
    for each row execute function refuse_change();
create trigger catalog_decisions_append_only before update or delete on catalog_decisions
    for each row execute function refuse_change();

-- Access tokens for one resource server are kept like all others.
alter table tokens drop constraint tokens_kind;
alter table tokens add constraint tokens_kind check (kind in ('intent', 'txn', 'access'));
-- What was exchanged for a token is found by the token's hash.
create index tokens_parent on tokens (intent_id, parent_sha256) where parent_sha256 is not null;

-- Tokens that were revoked, each by itself, while their intent goes on. Their numbers are in one row with those of
-- revoked intents and withdrawn keys: the tables together are the feed.
create table token_revocations (
    realm       text        not null,
    seq         bigint      not null,
    intent_id   uuid        not null,
    jti         uuid        not null,
    cause       text        not null,
    revoked_at  timestamptz not null,
    until       timestamptz not null,
    constraint token_revocations_pkey primary key (realm, seq),
    constraint token_revocations_token unique (intent_id, jti)
);
create index token_revocations_live on token_revocations (realm, until);
create trigger token_revocations_append_only before update or delete on token_revocations
    for each row execute function refuse_change();
create trigger token_revocations_not_emptied before truncate on token_revocations execute function refuse_change();

-- Places in the status lists: drawn at random, one for each token that names one, until the token's time is over.
create table status_places (
    realm       text        not null,
    list        integer     not null check (list >= 0),
    idx         integer     not null check (idx >= 0),
    intent_id   uuid        not null,
    jti         uuid        not null,
    expires_at  timestamptz not null,
    constraint status_places_pkey primary key (realm, list, idx)
);
create index status_places_expiry on status_places (expires_at);

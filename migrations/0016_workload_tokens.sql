-- Transaction tokens that workloads start for themselves, without an intent. They permit nothing by themselves; the rows
-- say who got which, until they end.
create table workload_tokens (
    realm           text        not null,
    jti             uuid        not null,
    client_id       text        not null,
    jkt             text        not null,
    txn             uuid        not null,
    token_sha256    bytea       not null,
    parent_sha256   bytea       not null,
    issued_at       timestamptz not null,
    expires_at      timestamptz not null,
    constraint workload_tokens_pkey primary key (realm, jti)
);
create index workload_tokens_over on workload_tokens (expires_at);

-- The tables of Marque. What is allowed follows from signed things; rows only say what has ended,
-- been used or been revoked. Tables that grow with every token (tokens, uses, permits) have keys
-- that begin with intent_id, so that one intent's rows lie together and can be partitioned by it.

-- Marque's own signing keys, one per purpose. `sealed` is bound to the rest of the row.
create table signing_keys (
    realm       text        not null,
    typ         text        not null,
    kid         text        not null,
    public_jwk  text        not null,
    sealed      bytea       not null,
    created_at  timestamptz not null,
    constraint signing_keys_pkey primary key (realm, typ, kid)
);

-- What resource servers say of themselves. Versions only go up; earlier ones stay.
create table catalogs (
    realm       text        not null,
    location    text        not null,
    version     bigint      not null,
    client_id   text        not null,
    jws         text        not null,
    sha256      bytea       not null,
    uploaded_at timestamptz not null,
    constraint catalogs_pkey primary key (realm, location, version)
);

-- One row per submitted plan.
create table intents (
    intent_id       uuid        not null,
    realm           text        not null,
    client_id       text        not null,
    jkt             text        not null,
    username        text,
    sub             text,
    plan            bytea       not null,
    catalogs        text[]      not null,
    state           text        not null,
    denial_reason   text,
    submitted_at    timestamptz not null,
    pending_until   timestamptz not null,
    expires_at      timestamptz not null,
    polled_at       timestamptz,
    poll_interval_secs integer  not null,
    redeemed_at     timestamptz,
    revoked_at      timestamptz,
    constraint intents_pkey primary key (intent_id),
    constraint intents_state check (state in ('pending', 'approved', 'denied', 'active', 'revoked'))
);
create index intents_waiting on intents (realm, client_id, pending_until) where state = 'pending';

-- A submission that is repeated with the same key gets the same answer.
create table submissions (
    realm           text        not null,
    client_id       text        not null,
    idempotency_key text        not null,
    request_sha256  bytea       not null,
    intent_id       uuid        not null references intents,
    submitted_at    timestamptz not null,
    constraint submissions_pkey primary key (realm, client_id, idempotency_key)
);

-- A browser on its way to the realm and back.
create table logins (
    state_sha256    bytea       not null,
    browser_sha256  bytea       not null,
    intent_id       uuid        not null references intents,
    purpose         text        not null,
    nonce           text        not null,
    pkce_verifier   text        not null,
    expires_at      timestamptz not null,
    constraint logins_pkey primary key (state_sha256),
    constraint logins_purpose check (purpose in ('approve', 'receipt'))
);

-- Nonces handed out for one display of the approval page each.
create table displays (
    nonce       bytea       not null,
    intent_id   uuid        not null references intents,
    expires_at  timestamptz not null,
    used_at     timestamptz,
    constraint displays_pkey primary key (nonce)
);

-- Passkeys as first seen: a changed key under a known id is refused.
create table passkeys (
    realm           text        not null,
    sub             text        not null,
    credential_id   bytea       not null,
    public_key      bytea       not null,
    backup_eligible boolean     not null,
    first_seen_at   timestamptz not null,
    constraint passkeys_pkey primary key (realm, sub, credential_id)
);

-- The evidence of an approval; written once.
create table approvals (
    intent_id       uuid        not null references intents,
    evidence        bytea       not null,
    credential_id   bytea       not null,
    sign_count      bigint      not null,
    approved_at     timestamptz not null,
    constraint approvals_pkey primary key (intent_id)
);
-- A counter that counts is used once: a cloned passkey or a replayed assertion shows itself here.
create unique index approvals_counter on approvals (credential_id, sign_count) where sign_count <> 0;

-- Signed-in browsers on the receipt page.
create table receipt_sessions (
    cookie_sha256   bytea       not null,
    intent_id       uuid        not null references intents,
    expires_at      timestamptz not null,
    constraint receipt_sessions_pkey primary key (cookie_sha256)
);

-- Ids that were used once: client assertions, DPoP proofs, the realm's plan requests.
create table replays (
    issuer      text        not null,
    jti         text        not null,
    expires_at  timestamptz not null,
    constraint replays_pkey primary key (issuer, jti, expires_at)
);
create index replays_over on replays (expires_at);

-- Every token that was ever answered, as a tree: the custody chain.
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
    constraint tokens_pkey primary key (intent_id, jti),
    constraint tokens_hash unique (intent_id, token_sha256),
    constraint tokens_kind check (kind in ('intent', 'txn'))
);

-- How often each step was used: reserved, committed or unknown, all hops together.
create table uses (
    intent_id   uuid    not null,
    step_id     text    not null,
    used        bigint  not null check (used >= 0),
    constraint uses_pkey primary key (intent_id, step_id)
);

-- One row per permitted use of a counted step. A reservation that is never settled counts as used:
-- whether its effect happened is unknown, and a second one could be a double.
create table permits (
    intent_id   uuid        not null,
    permit_id   uuid        not null,
    step_id     text        not null,
    client_id   text        not null,
    call_id     text        not null,
    call_digest bytea       not null,
    proof_jti   text        not null,
    state       text        not null,
    reserved_at timestamptz not null,
    expires_at  timestamptz not null,
    settled_at  timestamptz,
    constraint permits_pkey primary key (intent_id, permit_id),
    constraint permits_call unique (intent_id, client_id, call_id),
    constraint permits_state check (state in ('reserved', 'committed', 'released'))
);

-- The revocation feed: seq follows commit order, because it is taken under the row lock of feeds.
create table feeds (
    realm   text    not null,
    epoch   uuid    not null,
    seq     bigint  not null,
    constraint feeds_pkey primary key (realm)
);
create table revocations (
    realm       text        not null,
    seq         bigint      not null,
    intent_id   uuid        not null references intents,
    cause       text        not null,
    revoked_at  timestamptz not null,
    until       timestamptz not null,
    constraint revocations_pkey primary key (realm, seq)
);
create index revocations_live on revocations (realm, until);
-- An intent that was ever revoked stays so, whatever its own row says.
create unique index revocations_intent on revocations (intent_id);

-- Custody, evidence and revocations are written once, whoever is connected.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are written once', tg_table_name;
end $$;
create trigger tokens_append_only before update or delete on tokens for each row execute function refuse_change();
create trigger approvals_append_only before update or delete on approvals for each row execute function refuse_change();
create trigger revocations_append_only before update or delete on revocations for each row execute function refuse_change();

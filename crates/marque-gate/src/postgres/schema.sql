-- The ledger of a resource server, in a schema of its own. Rows can only deny: what is allowed follows from signed tokens.

-- Whose plans are counted here: one Marque issuer, for ever; and what this ledger is called.
create table owner (
    is_set  boolean primary key default true check (is_set),
    issuer  text    not null,
    ledger  uuid    not null default gen_random_uuid()
);

-- One row per intent; it is locked while a decision about the intent is made.
create table intents (
    intent_id   text        primary key,
    permits     bigint      not null default 0,
    used_at     timestamptz not null
);

-- Where a step is counted: here, or at Marque. Written once.
create table homes (
    intent_id   text    not null references intents on delete cascade,
    step_id     text    not null,
    is_here     boolean not null,
    primary key (intent_id, step_id)
);

-- One row per use of a step that is counted here. A reservation that is never settled counts as used: whether its effect
-- happened is unknown after ends_at, and a second one could be a double.
create table permits (
    permit_id   text        primary key,
    intent_id   text        not null references intents,
    step_id     text        not null,
    seq         bigint      not null,
    call_id     text        not null,
    call_digest bytea       not null,
    proof_id    bytea       not null unique,
    args        text        not null,
    state       text        not null check (state in ('reserved', 'committed', 'released')),
    result      text,
    reserved_at timestamptz not null,
    ends_at     timestamptz not null,
    settled_at  timestamptz,
    unique (intent_id, call_id),
    unique (intent_id, seq)
);
create index permits_step on permits (intent_id, step_id);
create index permits_open on permits (reserved_at) where state = 'reserved';

-- Proofs that were taken, until no clock takes them any more.
create table proofs (
    proof_id    bytea   primary key,
    over_at     bigint  not null
);
create index proofs_over on proofs (over_at);

-- Ends the transaction of a caller whose use cannot be committed with its effect.
create function refuse_effect() returns void language plpgsql as $$
begin
    raise exception 'the permit is not open: the effect is not committed without its use';
end $$;

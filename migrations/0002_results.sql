-- What a permit was given for, and what came of it. Both are sealed for their place: a row that was written, changed or
-- moved by hand does not open, and nothing late-bound follows from it.

-- `seq` numbers the permits of an intent in the order in which they were given. Permits from before have neither.
alter table permits add column seq bigint;
alter table permits add column call bytea;
alter table permits add constraint permits_seq unique (intent_id, seq);
-- `unknown`: nobody said in time what became of it. It counts as used until its resource server says otherwise.
alter table permits drop constraint permits_state;
alter table permits add constraint permits_state check (state in ('reserved', 'committed', 'released', 'unknown'));
create index permits_open on permits (expires_at) where state in ('reserved', 'unknown');

-- The result receipt of a permit, with what was disclosed of it.
create table results (
    intent_id   uuid        not null,
    permit_id   uuid        not null,
    receipt     bytea       not null,
    received_at timestamptz not null,
    constraint results_pkey primary key (intent_id, permit_id)
);

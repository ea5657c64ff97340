-- Step-ups: calls that a person is asked about one by one. A row asks; what it permits follows from the evidence of
-- its approval, which is verified again whenever it is used.
create table step_ups (
    step_up_id      uuid        not null,
    realm           text        not null,
    intent_id       uuid        not null references intents,
    step_id         text        not null,
    client_id       text        not null,
    jkt             text        not null,
    approval        bytea       not null,
    document        bytea       not null,
    catalog         text        not null,
    state           text        not null,
    denial_reason   text,
    requested_at    timestamptz not null,
    pending_until   timestamptz not null,
    expires_at      timestamptz not null,
    polled_at       timestamptz,
    poll_interval_secs integer  not null,
    constraint step_ups_pkey primary key (step_up_id),
    constraint step_ups_state check (state in ('pending', 'approved', 'denied'))
);
create index step_ups_intent on step_ups (intent_id, approval);

-- The evidence of an approved call; written once.
create table step_up_approvals (
    step_up_id      uuid        not null references step_ups,
    evidence        bytea       not null,
    credential_id   bytea       not null,
    sign_count      bigint      not null,
    approved_at     timestamptz not null,
    constraint step_up_approvals_pkey primary key (step_up_id)
);
create unique index step_up_approvals_counter on step_up_approvals (credential_id, sign_count) where sign_count <> 0;

-- An approval is used once: its key says so, whatever else rows say.
create table step_up_uses (
    step_up_id      uuid        not null references step_ups,
    permit_id       uuid        not null,
    used_at         timestamptz not null,
    constraint step_up_uses_pkey primary key (step_up_id)
);

create trigger step_up_approvals_append_only before update or delete on step_up_approvals
    for each row execute function refuse_change();
create trigger step_up_uses_append_only before update or delete on step_up_uses
    for each row execute function refuse_change();

-- A browser on its way may be about a step-up of its intent.
alter table logins add column step_up_id uuid references step_ups;
alter table logins drop constraint logins_purpose;
alter table logins add constraint logins_purpose check (purpose in ('approve', 'step_up', 'receipt'));

-- The nonce of a step-up's page is not one of its plan's page.
alter table displays add column step_up_id uuid references step_ups;

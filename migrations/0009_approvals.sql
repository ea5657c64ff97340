-- Approvals of plans and of calls are one table, so that one index sees every counter of a passkey.
alter table approvals drop constraint approvals_pkey;
alter table approvals add column step_up_id uuid references step_ups;
create unique index approvals_plan on approvals (intent_id) where step_up_id is null;
create unique index approvals_step_up on approvals (step_up_id);
create index approvals_of_intent on approvals (intent_id) where step_up_id is not null;
insert into approvals (intent_id, step_up_id, evidence, credential_id, sign_count, approved_at)
    select s.intent_id, a.step_up_id, a.evidence, a.credential_id, a.sign_count, a.approved_at
    from step_up_approvals a join step_ups s using (step_up_id);
drop table step_up_approvals;

-- A call at a location that the plan has no catalog for is shown without one.
alter table step_ups alter column catalog drop not null;

-- Who approved an intent, by both of her names at the realm: a question by one of them never finds what has it as the
-- other. Intents from before have neither and are not found.
alter table intents add column approver_sub text;
alter table intents add column approver_username text;
drop index intents_live;
create index intents_live_sub on intents (realm, approver_sub, submitted_at) where state = 'active';
create index intents_live_username on intents (realm, approver_username, submitted_at) where state = 'active';

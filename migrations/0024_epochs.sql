-- How each server notices that the database lost commits: a row of its own whose number goes up each second, and what it saw
-- last, kept outside of the database. A row is not removed: a server that does not find its own takes the database for restored.
create table server_beats (
    realm       text        not null,
    server_id   uuid        not null,
    beat        bigint      not null,
    beat_at     timestamptz not null,
    constraint server_beats_pkey primary key (realm, server_id)
);

-- Epochs of the feed that have ended, and why: a loss was noticed, or an administrator confirmed what the database has.
create table ended_epochs (
    realm       text        not null,
    epoch       uuid        not null,
    ended_at    timestamptz not null,
    cause       text        not null,
    constraint ended_epochs_pkey primary key (realm, epoch)
);
create trigger ended_epochs_append_only before update or delete on ended_epochs
    for each row execute function refuse_change();
create trigger ended_epochs_not_emptied before truncate on ended_epochs execute function refuse_change();

-- While something is suspended: since when, and from when on commits may be missing.
alter table feeds add column suspended_at timestamptz;
alter table feeds add column lost_from timestamptz;

-- What was approved or active then is suspended, and goes back to what it was.
alter table intents add column suspended_from text;
alter table intents drop constraint intents_state;
alter table intents add constraint intents_state
    check (state in ('pending', 'approved', 'denied', 'active', 'revoked', 'suspended'));
create index intents_suspended on intents (realm) where state = 'suspended';

-- A proof that was used for a call that nothing counts: the permit that the call got, and a digest of all that it came with.
-- The very same again gets the same permit, from whichever server.
alter table replays add column permit_id uuid, add column presented bytea;

create trigger key_withdrawals_not_emptied before truncate on key_withdrawals execute function refuse_change();

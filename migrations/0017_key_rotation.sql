-- From when on a key signs. It is published before; the key before it stays published for as long as what it signed lives.
alter table signing_keys add column signs_from timestamptz;
update signing_keys set signs_from = created_at;
alter table signing_keys alter column signs_from set not null;

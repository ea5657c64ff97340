-- The SHA-256 of an evidence file, by which a server knows again what it verified: the file itself is read where it did not.
alter table approvals add column evidence_sha256 bytea not null generated always as (sha256(evidence)) stored;

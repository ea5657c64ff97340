-- Envelopes that are too long for a token, by the SHA-256 of their canonical form. The digest is in the signed token and
-- is compared with the content whenever it is read: a row that was changed or removed takes away what the token permits.
create table envelopes (
    realm       text        not null,
    digest      bytea       not null,
    content     bytea       not null,
    expires_at  timestamptz not null,
    constraint envelopes_pkey primary key (realm, digest)
);
create index envelopes_expiry on envelopes (expires_at);

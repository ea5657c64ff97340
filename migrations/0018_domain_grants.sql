-- Grants for issuers outside the trust domain are kept like tokens: with what they came from, and ended with it.
alter table tokens drop constraint tokens_kind;
alter table tokens add constraint tokens_kind check (kind in ('intent', 'txn', 'access', 'grant'));

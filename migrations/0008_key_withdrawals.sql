-- Signing keys of Marque's that hold no longer. Their numbers are in one row with those of revocations: both tables
-- together are the feed.
create table key_withdrawals (
    realm         text        not null,
    seq           bigint      not null,
    kid           text        not null,
    cause         text        not null,
    withdrawn_at  timestamptz not null,
    constraint key_withdrawals_pkey primary key (realm, seq),
    constraint key_withdrawals_kid unique (realm, kid)
);
create trigger key_withdrawals_append_only before update or delete on key_withdrawals
    for each row execute function refuse_change();

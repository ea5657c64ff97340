-- What a resource server asked for after a denial: which plan was asked of the person for it, and beyond which one. The row permits
-- nothing: it finds the answer to a repeat, and what ends when the plan before it is revoked.
create table access_requests (
    request_id      uuid        not null,
    realm           text        not null,
    client_id       text        not null,
    binding_jti     uuid        not null,
    idempotency_key text,
    request_sha256  bytea       not null,
    parent_id       uuid        not null,
    intent_id       uuid        not null,
    requested_at    timestamptz not null,
    constraint access_requests_pkey primary key (request_id),
    constraint access_requests_binding unique (realm, binding_jti),
    constraint access_requests_key unique (realm, client_id, idempotency_key),
    constraint access_requests_intent unique (intent_id)
);
create index access_requests_parent on access_requests (parent_id);
create trigger access_requests_append_only before update or delete on access_requests
    for each row execute function refuse_change();
create trigger access_requests_not_emptied before truncate on access_requests execute function refuse_change();

-- The ids by which clients that speak CIBA ask for the token of an intent. Each is drawn at random; an intent of this
-- kind has one, and is still its client's and its key's alone.
create table auth_requests (
    realm           text        not null,
    auth_req_id     text        not null,
    intent_id       uuid        not null references intents,
    constraint auth_requests_pkey primary key (realm, auth_req_id),
    constraint auth_requests_intent unique (intent_id)
);

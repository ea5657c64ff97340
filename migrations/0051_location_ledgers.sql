-- Which ledger counts the uses at a location: Marque's own, or one of the resource server's, by its id. Who counted or asked first. To
-- change a location over, remove its row while no plan is live that was used there, and restart the servers.
create table location_ledgers (
    realm       text        not null,
    location    text        not null,
    ledger      text        not null,
    client_id   text        not null,
    since       timestamptz not null,
    constraint location_ledgers_pkey primary key (realm, location)
);
create trigger location_ledgers_written_once before update on location_ledgers
    for each row execute function refuse_change();
create trigger location_ledgers_not_emptied before truncate on location_ledgers execute function refuse_change();

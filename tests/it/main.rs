//! Black-box and fault tests against a running stack: its env.json is named by `MARQUE_STACK`.
//!
//! Requests travel as outside parties send them, rows are read and changed as a database superuser can. A test
//! that needs a server of its own (to count rows, to break the database or the realm) starts another `marque
//! serve` on a copy of the stack's database.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "outside parties have clocks and ids of their own"
)]

mod access_tokens;
mod authzen;
mod bad_input;
mod bad_input_of_resource_servers;
mod catalogs;
mod certificate_bound;
mod ciba;
mod citus;
mod client_authentication;
mod conformance;
mod crashes;
mod envelopes;
mod evaluation;
mod exchange;
mod exchange_policy;
mod faults;
mod feed;
mod gates;
mod grant;
mod introspection;
mod jose;
mod keycloak_away;
mod keys;
mod language;
mod leaving;
mod ledger;
mod location_ledgers;
mod mutual_tls;
mod nonces;
mod overload;
mod own_plan;
mod pairing;
mod parameters;
mod realms;
mod replicas;
mod requested_access;
mod restored;
mod results;
mod revocation;
mod rotated_keys;
mod routes;
mod rows;
mod scenarios;
mod status_list;
mod step_up;
mod support;
mod twins;
mod withdrawn_keys;

//! The walls of the house, checked: which room knows which, which library belongs where, what the
//! core and the gate pull in, and which licences and sources the dependencies have; and that each place that takes a JWT is attacked.

#[path = "architecture/dependencies.rs"]
mod dependencies;
#[path = "architecture/jose.rs"]
mod jose;
#[path = "architecture/rooms.rs"]
mod rooms;
#[path = "architecture/source.rs"]
mod source;

pub mod cli;
pub mod postgres;

//! The wire's input as values of the domain. Every bad field is reported at once; unknown members are dropped, except in
//! `config`, where they are kept.

mod config;
mod fields;
mod issue;
mod requests;

pub(crate) use issue::Issue;
pub(crate) use requests::TownRef;

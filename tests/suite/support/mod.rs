//! The tools of the tests: homes, processes, terminals, and services of our own.

pub(crate) mod agent;
pub(crate) mod bridge;
pub(crate) mod codes;
pub(crate) mod fake;
pub(crate) mod far;
pub(crate) mod home;
pub(crate) mod house;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod pages;
pub(crate) mod pairing;
pub(crate) mod pictures;
pub(crate) mod pixels;
pub(crate) mod process;
pub(crate) mod screen;
pub(crate) mod sources;
pub(crate) mod stage;
pub(crate) mod telegram;
pub(crate) mod truth;
pub(crate) mod wait;
pub(crate) mod words;

//! TODO

pub mod ask;
pub mod display;
pub mod failures;
pub mod finish;
pub mod flow;
pub mod hands;
pub mod manage;
pub mod numbers;
pub mod options;
pub mod pair;
pub mod passkey;
#[cfg(test)]
pub mod passkey_scenarios;
pub mod run;
#[cfg(test)]
pub mod scenarios;
pub mod session;
pub mod setup;
#[cfg(test)]
pub mod stage;
pub mod texts;
pub mod work;

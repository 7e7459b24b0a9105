//! hermes.
pub mod bridge;
pub mod clock;
pub mod config;
pub mod durable;
pub mod env_file;
mod env_grammar;
pub mod error;
pub mod facts;
pub mod gateway;
pub mod home;
pub mod pairing;
pub mod phone;
pub mod platform;
pub mod preflight;
pub mod redact;
pub mod tls;
pub mod wizard;
pub mod world;

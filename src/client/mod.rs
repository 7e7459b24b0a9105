//! TODO

pub mod allow_list;
pub mod dead;
pub mod headline;
pub mod pairing;
pub mod presence;
pub mod report;
pub mod request;
pub mod send;
pub mod table;
pub mod view;
pub mod watch;

//! The status file: the document `gateway_state.json` ([`snapshot`](crate::gateway::model::snapshot)), and its one writer
//! ([`mod@file`]). Its readers are in [`client`](crate::client).

pub mod file;

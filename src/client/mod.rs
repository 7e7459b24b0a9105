//! A running gateway, seen from another process: what commands ask it, tell it and show of it. `cli` and `doctor` are above.
//!
//! - [`request`]: one question or command over the control socket.
//! - [`presence`]: whether it runs, by lock, socket and files. [`report`] puts its state together with what is on disk.
//! - [`view`], [`table`], [`headline`]: `hermes platform status` and `gateway status`. [`watch`]: the same again and again.
//! - [`send`], [`dead`], [`pairing`]: `hermes send`, `dead` and `pairing`, with a gateway and without. [`allow_list`]: the list
//!   in `.env`. [`answered`]: the people who may write.

pub mod allow_list;
pub mod answered;
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

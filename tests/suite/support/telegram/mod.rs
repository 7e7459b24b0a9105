//! Our own Bot API: it speaks the real wire protocol, keeps a ledger of all requests, and fails on request.
//!
//! - [`service`]: the HTTP side, as a test or a benchmark sees it. [`bot`]: the service's state and decisions. [`markup`]:
//!   checks the HTML of a text. [`scene`]: the common scene of tests with a bot.
//!
//! It keeps unconfirmed updates, hands long polls their updates, knows one poller at a time (the older one gets 409), brings
//! updates to a webhook of this machine, refuses unknown tokens with 401 and unknown methods with 404, and keeps accepted
//! messages in the ledger with the moment of their arrival.

pub(crate) mod bot;
pub(crate) mod markup;
pub(crate) mod scene;
pub(crate) mod service;

pub(crate) use bot::Fault;
pub(crate) use service::TelegramService;

//! A Bot API of our own: it speaks the real wire protocol, keeps a ledger of everything, and fails when it is told to.
//!
//! - [`service`]: the HTTP side, as a test or a benchmark sees it. [`bot`]: what the service knows and decides.
//!   [`markup`]: whether a text is what Telegram takes as HTML. [`scene`]: what every test with a bot needs.
//!
//! It holds back what is not confirmed, hands long polls their updates, knows one poller at a time (the older one gets 409),
//! brings updates to a webhook of this machine, refuses unknown tokens with 401 and unknown methods with 404, and what it takes as sent stands in the ledger with the
//! moment of its arrival.

pub(crate) mod bot;
pub(crate) mod markup;
pub(crate) mod scene;
pub(crate) mod service;

pub(crate) use bot::Fault;
pub(crate) use service::TelegramService;

//! Platforms whose service a test of the real program plays: `scripted1` to `scripted9`.
//!
//! They exist only where `HERMES_SCRIPTED=COUNT@SOCKET` stands in the environment (not in `.env`): `3@/tmp/x/stage` enables
//! `scripted1`, `scripted2` and `scripted3`, and `7-7@…` only `scripted7`. The test listens on the Unix socket `SOCKET`. For
//! each attempt to connect the platform opens a separate connection to it, and both speak JSON, one object a line.
//!
//! The platform says ([`script::Said`]):
//!
//! ```json
//! {"say":"connect","platform":"scripted1"}
//! {"say":"accepted","id":"m1"}                      {"say":"refused","id":"m1"}
//! {"say":"send","handle":"3EB0…","chat":"c","text":"…","reply_to":"m1"}          (`reply_to` only where it replies)
//! {"say":"close"}
//! ```
//!
//! Messages of different chats are accepted side by side, those of one chat one after the other. The test answers
//! ([`script::Cue`]). Until `ready` the attempt hangs; saying nothing is thus a connect that never returns.
//!
//! ```json
//! {"do":"ready"}
//! {"do":"fail","code":"net_dns","message":"…","retry":"backoff"}
//! {"do":"panic"}                                    in connect, or in the link once it is ready
//! {"do":"message","id":"m1","chat":"c","from":"u","text":"hi"}
//! {"do":"sent","handle":"3EB0…"}
//! {"do":"unsent","handle":"3EB0…","code":"x","certainty":"maybe_sent","retry":"never","chat_gone":true}
//! {"do":"limit","wait_ms":5000}                     the service asks for less; the connection stays
//! {"do":"silence"}  {"do":"prove"}                  nothing proves that it works (the lease is 3 s), and again
//! {"do":"drop","code":"net_timeout","retry":{"after_ms":500}}
//! {"do":"hang_close"}                               closing never returns
//! ```
//!
//! `retry` is `"backoff"` (default), `"never"` or `{"after_ms": N}`; codes are those of [`script::CODES`]. When the test
//! closes the connection, the link is lost with `net_refused`; without a listener, an attempt fails with it. While a file
//! `SOCKET.scripted1.blocked` holds such a cause (`{"code":"scripted_blocked","message":"…","user_action":"…"}`), the check
//! before an attempt finds it. A file `SOCKET.scripted1.token` is the platform's bot token, which no other gateway of this
//! machine may use (`telegram_token_lock`). The allow list is `SCRIPTED1_ALLOWED_USERS` and its like, as on every platform.
//!
//! `scripted7` shows a repeat twice, `scripted8` takes two messages at once in a chat and then one every 300 ms, and
//! `scripted9` takes 64 UTF-16 units in a message and shows repeats twice.
//!
//! [`adapter`] is the platform, [`script`] the protocol. For tests inside the crate there is
//! `crate::gateway::platforms::testing`.

pub mod adapter;
pub mod script;

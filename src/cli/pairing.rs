//! `hermes pairing`, as it is typed.

use clap::Subcommand;

use super::runtime;
use crate::client::pairing;
use crate::error::{CliError, ExitCode};
use crate::gateway::pipeline::admission::service::Request;
use crate::home::HermesHome;
use crate::world::World;

#[derive(Debug, Subcommand)]
pub(super) enum PairingCommand {
    /// Show who waits with a code, who was approved by one, and who was ignored lately
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Approve the person who has this code. Make sure that you know who it is
    Approve {
        /// The platform
        platform: String,
        /// The code
        code: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Add one person to the allow list in .env, without a code
    Allow {
        /// The platform
        platform: String,
        /// The person: a phone number, also with spaces (WhatsApp), or a numeric ID (Telegram)
        #[arg(allow_negative_numbers = true, required = true, value_name = "USER")]
        user: Vec<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Take access back: from a person who was approved by a code, or is on the allow list in .env
    Revoke {
        /// The platform
        platform: String,
        /// The person, as `list` or the allow list shows them
        #[arg(allow_negative_numbers = true, required = true, value_name = "USER")]
        user: Vec<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// `hermes pairing`.
pub(super) fn run(world: &World, home: &HermesHome, command: PairingCommand) -> Result<ExitCode, CliError> {
    let (request, json) = match command {
        PairingCommand::Allow { platform, user, json } => {
            // A phone number may be typed with spaces.
            return pairing::allow(world, home, &platform, &user.join(" "), json);
        }
        PairingCommand::List { json } => (Request::List, json),
        PairingCommand::Approve { platform, code, json } => (Request::Approve { platform, code }, json),
        PairingCommand::Revoke { platform, user, json } => {
            (Request::Revoke { platform, user: user.join(" ") }, json)
        }
    };
    runtime()?.block_on(pairing::run(world, home, request, json))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Typed {
        #[command(subcommand)]
        command: PairingCommand,
    }

    #[test]
    fn a_number_may_be_typed_with_spaces() {
        for (typed, expected) in [
            ("x allow whatsapp +1 555 000 1111 --json", &["+1", "555", "000", "1111"][..]),
            ("x allow telegram 42", &["42"]),
            ("x revoke telegram -100123", &["-100123"]),
        ] {
            let command = Typed::try_parse_from(typed.split(' ')).map(|typed| typed.command);
            let Ok(PairingCommand::Allow { user, .. } | PairingCommand::Revoke { user, .. }) = command else {
                panic!("{typed}: {:?}", command.err())
            };
            assert_eq!(user, expected);
        }
        assert!(Typed::try_parse_from(["x", "allow", "whatsapp"]).is_err());
    }
}

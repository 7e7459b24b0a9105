//! `hermes dead`: by the running gateway, and by itself while none runs. There are never two writers.

use serde_json::Value;

use crate::client::report::print;
use crate::client::request;
use crate::clock::Now;
use crate::durable::{Lock, LockError};
use crate::error::{CliError, ExitCode};
use crate::gateway::ops::dead_letters::desk::{self, Verb, carry_out};
use crate::gateway::ops::dead_letters::view::{Asked, BadPick, page, table};
use crate::gateway::store::api::{Pick, Store};
use crate::gateway::store::offline;
use crate::home::HermesHome;
use crate::wrap::folded;

/// Carries the command out and shows what came of it, in rows of at most `cols` columns (0: as long as they are).
///
/// # Errors
/// Wrong names (exit 2), a letter that is not there, or a store that cannot be used.
pub async fn run(
    home: &HermesHome,
    verb: Verb,
    asked: Asked,
    json: bool,
    cols: usize,
) -> Result<ExitCode, CliError> {
    let asked = everything(verb, asked)?;
    let pick = asked.pick().map_err(|bad| {
        let code = match bad {
            BadPick::Platform(_) => "unknown_platform",
            BadPick::Id(_) | BadPick::Direction(_) => "bad_pick",
        };
        CliError::usage(bad.to_string()).code(code)
    })?;
    let path = format!("/v1/dead/{}", verb.wire_name());
    let body = serde_json::to_value(&asked).expect("plain data with string keys");
    let answer = match request::request(home, "POST", &path, Some(&body))? {
        Some(answer) => answer,
        None => directly(home, verb, pick.clone()).await?,
    };
    let found = count(verb, &answer);
    if json {
        print(&format!("{answer}\n"))?;
    } else {
        print(&told(verb, &answer, found, cols))?;
    }
    if found < pick.ids.len() {
        let missing = match pick.ids.as_slice() {
            [id] => id.to_string(),
            ids => format!("{} of {}", ids.len() - found, ids.len()),
        };
        return Err(CliError::failed(format!("no such message: {missing}"))
            .code("no_such_letter")
            .after_report()
            .hint("`hermes dead list` shows all."));
    }
    Ok(ExitCode::Ok)
}

/// `all` is a word that must be said, unless a filter is.
fn everything(verb: Verb, mut asked: Asked) -> Result<Asked, CliError> {
    let has_filter = asked.platform.is_some() || asked.direction.is_some();
    match asked.ids.as_slice() {
        [all] if all == "all" => asked.ids.clear(),
        [] if verb != Verb::List && !has_filter => {
            let message = "no message was chosen: name IDs, or use `all`, --platform or --direction";
            return Err(CliError::usage(message)
                .code("bad_pick")
                .hint("`hermes dead list` shows their IDs."));
        }
        _ => {}
    }
    Ok(asked)
}

/// While no gateway runs its store is ours, as long as we hold its lock. Looking does not need it.
async fn directly(home: &HermesHome, verb: Verb, pick: Pick) -> Result<Value, CliError> {
    let path = home.database();
    if !path.exists() {
        return Ok(match verb {
            Verb::List | Verb::Show => serde_json::json!({ "letters": [] }),
            Verb::Retry => serde_json::json!({ "retried": 0 }),
            Verb::Drop => serde_json::json!({ "dropped": 0 }),
        });
    }
    let looks = match verb {
        Verb::List => Some(false),
        Verb::Show => Some(true),
        Verb::Retry | Verb::Drop => None,
    };
    if let Some(with_text) = looks
        && let Some(letters) = offline::letters(path.clone(), pick.clone(), with_text).await?
    {
        return Ok(desk::shown(&letters, with_text));
    }
    let _lock = Lock::acquire(&home.lock_file()).map_err(|error| {
        let failed = CliError::failed("the store is in use").code("store_busy");
        match error {
            LockError::Held { .. } => {
                failed.hint("A gateway is starting or stopping. Try again in a moment.")
            }
            LockError::Io(_) => failed,
        }
        .because(error)
    })?;
    let store = offline::open(home).await?;
    let store: &dyn Store = &store;
    carry_out(store, verb, pick).await.map(|(answer, _)| answer).map_err(offline::unusable)
}

fn count(verb: Verb, answer: &Value) -> usize {
    let number = |name: &str| answer[name].as_u64().and_then(|count| usize::try_from(count).ok());
    match verb {
        Verb::List | Verb::Show => answer["letters"].as_array().map_or(0, Vec::len),
        Verb::Retry => number("retried").unwrap_or(0),
        Verb::Drop => number("dropped").unwrap_or(0),
    }
}

fn told(verb: Verb, answer: &Value, found: usize, cols: usize) -> String {
    let now = Now::read().wall;
    let letters = answer["letters"].as_array().map_or(&[][..], Vec::as_slice);
    let many = if found == 1 { "1 message".to_owned() } else { format!("{found} messages") };
    let text = match verb {
        Verb::List => return table(letters, now, cols),
        Verb::Show => letters.iter().map(|letter| page(letter, now)).collect::<Vec<_>>().join("\n"),
        Verb::Retry => format!("{many} will be tried again.\n"),
        Verb::Drop => format!("{many} deleted.\n"),
    };
    folded(&text, cols)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::testing::message;
    use crate::gateway::store::SqliteStore;
    use crate::gateway::store::api::{Accepted, Finish};
    use crate::platforms::Platform;

    #[tokio::test]
    async fn a_choice_that_means_nothing_has_its_code() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let asked = |ids: &[&str], platform: Option<&str>, direction: Option<&str>| Asked {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            platform: platform.map(str::to_owned),
            direction: direction.map(str::to_owned),
        };
        for (verb, asked, code, begin) in [
            (Verb::Show, asked(&["1"], None, None), "bad_pick", "invalid ID `1`"),
            (Verb::Drop, asked(&[], None, None), "bad_pick", "no message was chosen"),
            (Verb::List, asked(&[], None, Some("up")), "bad_pick", "invalid direction"),
            (Verb::List, asked(&[], Some("fax"), None), "unknown_platform", "unknown platform"),
        ] {
            let error = run(&home, verb, asked, false, 0).await.unwrap_err();
            assert_eq!((error.exit(), error.code), (ExitCode::Usage, code));
            assert!(error.message.starts_with(begin), "{error}");
        }
    }

    #[tokio::test]
    async fn looking_takes_no_lock_and_stands_in_no_gateways_way() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let open = || SqliteStore::open(&home.database()).unwrap();
        let store = open();
        let accepted = store.accept(Platform::Whatsapp, message("A", "1@lid", "lost words")).await.unwrap();
        let Accepted::New(id) = accepted else { panic!("{accepted:?}") };
        let dead = Some("as told".to_owned());
        store.finish(id, Finish { dead, ..Finish::default() }).await.unwrap();
        drop(store);
        // A gateway has just begun: it holds the lock, and opens the store at the same moment.
        let _lock = Lock::acquire(&home.lock_file()).unwrap();
        let look = |verb| directly(&home, verb, Pick::default());
        let text = look(Verb::Show).await.unwrap()["letters"][0]["text"].clone();
        assert_eq!(text, "lost words");
        let store = open();
        assert_eq!(count(Verb::List, &look(Verb::List).await.unwrap()), 1);
        drop(store);
        assert_eq!(look(Verb::Drop).await.unwrap_err().exit(), ExitCode::Failed, "who writes needs it");
        assert_eq!(count(Verb::List, &look(Verb::List).await.unwrap()), 1);
    }
}

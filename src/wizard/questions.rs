//! Questions that every wizard asks alike, and the refusal to guess where no one can be asked.

use tokio_util::sync::CancellationToken;

use crate::config::AllowList;
use crate::error::CliError;
use crate::wizard::runner::{End, Interrupts, unusable};
use crate::wizard::ui::layout::{Line, text};
use crate::wizard::ui::terminal::TermUi;
use crate::wizard::ui::{Stop, Ui};

/// Asks yes or no; a cancel ends the question.
pub(crate) async fn confirm(
    ui: &mut dyn Ui,
    cancel: &CancellationToken,
    prompt: &str,
    default: bool,
) -> Result<bool, End> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(End::Cancelled),
        answer = ui.confirm(prompt, default) => Ok(answer?),
    }
}

/// Asks where no wizard runs. An interrupt ends it; `left`: what it leaves, in a sentence.
pub(crate) async fn ask_alone<T>(
    ui: &mut TermUi,
    interrupts: &mut Interrupts,
    left: &str,
    ask: impl AsyncFnOnce(&mut TermUi) -> Result<T, Stop>,
) -> Result<T, CliError> {
    let said = tokio::select! {
        biased;
        () = interrupts.next() => Err(Stop::Cancelled),
        said = ask(ui) => said,
    };
    said.map_err(|stop| match stop {
        Stop::Cancelled => {
            [Line::Gap, text(&format!("Stopped. {left}"))].into_iter().for_each(|line| ui.say(line));
            CliError::interrupted()
        }
        Stop::Broken(error) => unusable(error),
    })
}

/// The list that the flags give. `*` alone opens nothing: a script must say it in words.
pub(crate) fn allowed_by_flags(
    allowed: Option<AllowList>,
    everyone: bool,
    warning: &str,
) -> Result<Option<AllowList>, CliError> {
    match (allowed, everyone) {
        (None | Some(AllowList::Everybody), true) => Ok(Some(AllowList::Everybody)),
        (Some(AllowList::Only(_) | AllowList::Nobody), true) => {
            Err(CliError::usage("use `--allow` or `--allow-everyone`, not both"))
        }
        (Some(AllowList::Everybody), false) => {
            Err(CliError::usage("`--allow '*'` needs `--allow-everyone` as well")
                .hint(warning)
                .hint("To allow everyone, use `--allow-everyone`; otherwise list senders with `--allow`."))
        }
        (allowed, false) => Ok(allowed),
    }
}

/// True when everybody is meant, asked twice after a warning.
pub(crate) async fn confirm_everybody(
    ui: &mut dyn Ui,
    cancel: &CancellationToken,
    warning: &str,
) -> Result<bool, End> {
    ui.say(Line::Warn(warning.to_owned()));
    Ok(confirm(ui, cancel, "Allow everyone?", false).await?
        && confirm(ui, cancel, "Allow strangers too?", false).await?)
}

/// Where no one can be asked, every answer is a flag. `command`: the one that has them; `hermes setup` has not.
pub(crate) fn refuse_to_guess(command: &str, json: bool, missing: &[&str]) -> Result<(), CliError> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(unanswered(json).hint(format!("Run `{command}` with these flags: {}.", missing.join(", "))))
}

/// The failure that an answer is missing. With `json` nothing is asked, also at a terminal.
pub(crate) fn unanswered(json: bool) -> CliError {
    let why = if json { "`--json` asks nothing" } else { "there is no terminal" };
    CliError::usage(format!("an answer is missing, and {why}"))
}

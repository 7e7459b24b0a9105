//! `hermes setup`: which platforms are to be set up, and whether the gateway is to be started afterwards.

use crate::error::CliError;
use crate::platforms::Platform;
use crate::wizard::questions::ask_alone;
use crate::wizard::questions::unanswered;
use crate::wizard::runner::Interrupts;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::layout::text;
use crate::wizard::ui::terminal::TermUi;
use crate::wizard::ui::{Choice, Ui};
use crate::world::World;

/// Asks which platforms are meant. `states` holds all that there are, each with how it stands.
///
/// # Errors
/// When no one can be asked, or the question was interrupted.
pub async fn pick(
    world: &World,
    states: &[(Platform, &'static str)],
    interrupts: &mut Interrupts,
) -> Result<Vec<Platform>, CliError> {
    let mut ui = TermUi::new(world);
    if !ui.can_ask() {
        return Err(unpicked(false));
    }
    let about =
        text("Enter sets up the highlighted platform. To set up several, mark them with Space first.");
    // A list of numbers says itself how it is answered.
    let about = Some(about).filter(|_| world.var("TERM") != Some("dumb"));
    [Line::Title("Set up hermes".to_owned()), Line::Gap].into_iter().for_each(|line| ui.say(line));
    about.into_iter().chain([Line::Gap]).for_each(|line| ui.say(line));
    let items = states.iter().map(|(platform, state)| format!("{:<10}{state}", platform.spec().title));
    let choice = Choice { prompt: "Which platforms?".to_owned(), items: items.collect(), default: 0 };
    let ask = async |ui: &mut TermUi| ui.select_many(&choice).await;
    let picked = ask_alone(&mut ui, interrupts, "Nothing was changed.", ask).await?;
    Ok(picked.into_iter().filter_map(|item| states.get(item)).map(|(platform, _)| *platform).collect())
}

/// No one can be asked which platforms are meant.
pub fn unpicked(json: bool) -> CliError {
    let names = Platform::ALL.map(|platform| platform.spec().name).join("|");
    unanswered(json).hint(format!("Use this flag (repeatable): --platform {names}."))
}

/// Says what was set up before an interrupt, what failed, and what was not reached. The wizard that was interrupted has said
/// itself what it leaves.
pub fn say_where_it_stopped(world: &World, done: &[&str], failed: &[&str], unreached: &[&str]) {
    let titles = |names: &[&str]| {
        let title = |name: &&str| match name.parse::<Platform>() {
            Ok(platform) => platform.spec().title.to_owned(),
            Err(_) => (*name).to_owned(),
        };
        names.iter().map(title).collect::<Vec<_>>().join(", ")
    };
    let mut ui = TermUi::new(world);
    ui.say(Line::Gap);
    if !done.is_empty() {
        ui.say(Line::Done(format!("Set up: {}.", titles(done))));
    }
    if !failed.is_empty() {
        ui.say(Line::Fail(format!("Failed: {}.", titles(failed))));
    }
    if !unreached.is_empty() {
        ui.say(text(&format!("Not changed: {}.", titles(unreached))));
    }
    ui.say(text("Run `hermes setup` to continue."));
}

/// Asks whether the gateway is to be started, unless `choice` says so; with `yes` it is, where it would be asked.
///
/// # Errors
/// When the question was interrupted.
pub async fn offer_start(
    world: &World,
    choice: Option<bool>,
    yes: bool,
    interrupts: &mut Interrupts,
) -> Result<bool, CliError> {
    let mut ui = TermUi::new(world);
    let can_ask = ui.can_ask();
    let choice = choice.or((!can_ask || yes).then_some(can_ask));
    if choice.is_none() {
        ui.say(Line::Gap);
    }
    let ask = async |ui: &mut TermUi| match choice {
        Some(starts) => Ok(starts),
        None => ui.confirm("Start the gateway now?", true).await,
    };
    let left = "The platforms are set up. Start the gateway with `hermes gateway run`.";
    ask_alone(&mut ui, interrupts, left, ask).await
}

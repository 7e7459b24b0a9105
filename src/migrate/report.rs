//! Pure. The plan as people and programs read it.

use std::path::Path;

use serde_json::{Value, json};

use super::plan::{Item, Outcome, Plan};

/// State of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing: it was only asked for.
    Shown,
    /// All of it is written.
    Applied,
}

const GROUPS: [(Outcome, &str); 6] = [
    (Outcome::Taken, "Taken"),
    (Outcome::InUse, "In use already"),
    (Outcome::Kept, "Kept as it is here"),
    (Outcome::Decision, "Needs a decision"),
    (Outcome::NotSupported, "Not supported"),
    (Outcome::Stays, "Stays with hermes-agent"),
];

/// For people.
pub fn text(plan: &Plan, home: &Path, from: &Path, done: Done) -> String {
    let mut text = if home == from {
        format!("The hermes-agent home {} is used in place.\n", home.display())
    } else {
        format!("From the hermes-agent home {} to {}.\n", from.display(), home.display())
    };
    for (outcome, title) in GROUPS {
        let items: Vec<&Item> = plan.of(outcome).collect();
        if items.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}\n"));
        for Item { what, to, why, .. } in items {
            text.push_str(&format!("  {what}"));
            if let Some(to) = to {
                text.push_str(&format!(" -> {to}"));
            }
            text.push('\n');
            if !why.is_empty() {
                text.push_str(&format!("      {why}\n"));
            }
        }
    }
    text.push('\n');
    if !plan.unread.is_empty() {
        let end = if done == Done::Shown { "; with --apply the exit code is 1" } else { "" };
        text.push_str(&format!("Nothing is taken from {}{end}.\n", plan.unread.join(", ")));
    }
    text.push_str(match (plan.is_empty(), done) {
        (true, _) => "Nothing to do.\n",
        (false, Done::Shown) => {
            "Nothing was changed. The same command with `--apply` writes what is taken; files of hermes-agent stay as they are.\n"
        }
        (false, Done::Applied) => {
            "Done. Files of hermes-agent are as they were, so it still runs on its home. `hermes doctor` checks this one.\n"
        }
    });
    text
}

/// For programs.
pub fn json(plan: &Plan, home: &Path, from: &Path, done: Done) -> Value {
    json!({
        "home": home.display().to_string(),
        "from": from.display().to_string(),
        "applied": done == Done::Applied && !plan.is_empty(),
        "nothing_to_do": plan.is_empty(),
        "items": plan.items,
    })
}

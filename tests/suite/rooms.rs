//! The rooms of the program form no circle: what one uses stands below it, so that each can be read, tested and changed without
//! those above. A room is a module of the crate; in `gateway`, `platforms` and `wizard` each module below is one.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::sources::{self, whole};

/// Modules whose modules are rooms.
const HOUSES: [&str; 3] = ["gateway", "platforms", "wizard"];

/// Room → the rooms that its code names, with one file that does.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// The module of a file of `src`.
fn module(name: &str) -> Vec<String> {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

/// The room of a path of modules; none for the crate itself.
fn room(path: &[String], modules: &BTreeSet<Vec<String>>) -> Option<String> {
    let first = path.first().filter(|first| modules.iter().any(|known| known.first() == Some(first)))?;
    let inner = path.get(1).filter(|_| HOUSES.contains(&first.as_str()));
    match inner {
        Some(inner) if modules.iter().any(|known| known.starts_with(&path[..2])) => {
            Some(format!("{first}/{inner}"))
        }
        _ => Some(first.clone()),
    }
}

/// A path in the code at this place, with what its braces hold: `a::{b::c, d}` gives `a::b::c` and `a::d`.
fn expand(text: &str) -> (Vec<Vec<String>>, usize) {
    let mut stem: Vec<String> = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if len > 0 {
            stem.push(rest[..len].to_owned());
            at += len;
        }
        match text[at..].strip_prefix("::") {
            Some(next) if next.starts_with('{') => {
                at += 3;
                break;
            }
            Some(_) => at += 2,
            None => return (vec![stem], at),
        }
        if text[at..].starts_with(|c: char| !c.is_alphanumeric() && c != '_') {
            return (vec![stem], at);
        }
    }
    let mut paths = Vec::new();
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(text.len() - at);
        if at >= text.len() || text[at..].starts_with('}') {
            return (paths, (at + 1).min(text.len()));
        }
        let (below, len) = expand(&text[at..]);
        paths.extend(below.into_iter().map(|below| stem.iter().cloned().chain(below).collect()));
        // A glob or a new name (`as x`) is of no interest.
        let skipped = text[at + len..].find([',', '}']).unwrap_or(0);
        at += len + skipped;
    }
}

/// The absolute paths that begin with `crate` or `super` in this code of this module.
fn paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, word) in ["crate::", "super::"].iter().flat_map(|word| code.match_indices(word)) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        for path in expand(&code[at..]).0 {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let base = if word == "crate::" { &[] } else { &module[..module.len().saturating_sub(ups)] };
            let rest = if word == "crate::" { &path[1..] } else { &path[ups..] };
            found.push(base.iter().chain(rest).cloned().collect());
        }
    }
    found
}

/// The code without comments and unit tests.
fn bare(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn uses(sources: &[(String, String)]) -> Uses {
    let modules: BTreeSet<Vec<String>> = sources.iter().map(|(name, _)| module(name)).collect();
    let mut uses = Uses::new();
    for (name, text) in sources {
        let module = module(name);
        let Some(from) = room(&module, &modules) else { continue };
        for path in paths(&bare(text), &module) {
            if let Some(to) = room(&path, &modules).filter(|to| *to != from) {
                uses.entry(from.clone()).or_default().entry(to).or_insert_with(|| name.clone());
            }
        }
    }
    uses
}

/// The rooms that this one uses, and those that they use, and so on.
fn reach<'a>(uses: &'a Uses, from: &'a String) -> BTreeSet<&'a String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(room) = open.pop() {
        let next = uses.get(room).into_iter().flat_map(BTreeMap::keys);
        open.extend(next.filter(|next| seen.insert(*next)));
    }
    seen
}

/// The rooms from which a way leads back to themselves, with the next step of it.
fn circles(uses: &Uses) -> Vec<String> {
    let back = |from: &String, to: &String| reach(uses, to).contains(from);
    let steps = uses.iter().flat_map(|(from, to)| to.iter().map(move |(to, file)| (from, to, file)));
    steps
        .filter(|(from, to, _)| back(from, to))
        .map(|(from, to, file)| format!("{from} → {to} ({file})"))
        .collect()
}

#[test]
fn rooms_form_no_circle() {
    let found = circles(&uses(&whole("src")));
    assert!(found.is_empty(), "these lead back to where they begin:\n{}", found.join("\n"));
}

/// The lines of the picture in `src/lib.rs`, from the top: the rooms of each.
fn picture() -> Vec<Vec<String>> {
    let map = std::fs::read_to_string(sources::root().join("src/lib.rs")).expect("it is there");
    let picture =
        map.split("//! ```text\n").nth(1).and_then(|rest| rest.split("//! ```").next()).expect("a picture");
    let mut lines: Vec<Vec<String>> = Vec::new();
    for line in picture.lines() {
        let text = line.trim_start_matches("//!");
        let rooms = text.split_whitespace().map(str::to_owned);
        match lines.last_mut().filter(|_| text.starts_with("     ")) {
            Some(before) => before.extend(rooms),
            None => lines.push(rooms.collect()),
        }
    }
    lines
}

#[test]
fn the_picture_of_the_rooms_is_true() {
    let lines = picture();
    let line = |room: &String| lines.iter().position(|rooms| rooms.contains(room));
    let sources = whole("src");
    let modules: BTreeSet<Vec<String>> = sources.iter().map(|(name, _)| module(name)).collect();
    // A house and the program's entry are no rooms.
    let is_room = |room: &String| !HOUSES.contains(&room.as_str()) && room != "bin";
    let rooms: BTreeSet<String> =
        modules.iter().filter_map(|module| room(module, &modules)).filter(is_room).collect();
    let drawn: BTreeSet<String> = lines.iter().flatten().cloned().collect();
    assert_eq!(drawn, rooms, "src/lib.rs draws these rooms; these exist");
    let mut wrong = Vec::new();
    for (from, to) in uses(&sources) {
        for (to, file) in to.iter().filter(|(to, _)| is_room(&from) && is_room(to)) {
            if line(&from) >= line(to) {
                wrong.push(format!("{from} uses {to}, which is not below it ({file})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found_by_any_form_of_path() {
    let source = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let below =
        source("src/c.rs", "//! See [`crate::a`].\npub struct C;\n#[cfg(test)]\nmod tests { use crate::a; }");
    for (use_of_b, use_of_a) in [
        ("use crate::{c::C, b::B};", "use crate::a::A;"),
        ("use crate::b as other;", "fn f() -> crate::a::A {}"),
        ("use super::b::B;", "use crate::{c, a::{self, A}};"),
    ] {
        let sources = [
            source("src/a.rs", use_of_b),
            source("src/b/mod.rs", ""),
            source("src/b/x.rs", use_of_a),
            below.clone(),
        ];
        assert_eq!(circles(&uses(&sources)), ["a → b (src/a.rs)", "b → a (src/b/x.rs)"], "{use_of_b}");
    }
    let apart = [
        source("src/gateway/a.rs", "use super::b::B;"),
        source("src/gateway/b/x.rs", "use crate::c::C;"),
        below,
    ];
    let found = uses(&apart);
    assert!(circles(&found).is_empty() && found["gateway/a"].contains_key("gateway/b"), "{found:?}");
}

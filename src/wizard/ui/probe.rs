//! Pure. Asks a terminal what it can show, and tells its replies from the keys of a person.
//!
//! Every terminal replies to the last question (which attributes it has), so that its reply ends the wait for the others. A
//! reply that comes later still is not taken for a key, and changes what is known.

use crate::wizard::ui::picture::{KITTY_ID, Protocol};
use crate::wizard::ui::prompt::keys::{Decoder, Key};
use crate::wizard::ui::qr::Size;
use crate::world::World;

/// Does kitty's protocol work? Answered by `Gi=…;OK`.
const ASK_KITTY: &str = "\x1b_Gi=1751478893,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\";
/// XTVERSION: its name and version.
const ASK_NAME: &str = "\x1b[>q";
/// The pixels of a cell.
pub const ASK_CELL: &str = "\x1b[16t";
/// Where the cursor is behind a sextant in the first column: in the second, if it is drawn as one character.
const ASK_SEXTANT: &str = "\x1b[H\u{1fb00}\x1b[6n";
/// DA1: its attributes; 4 stands for sixels.
const ASK_ATTRIBUTES: &str = "\x1b[c";
/// Terminals that have neither pictures nor, the console of Linux aside, anything to say about themselves.
const SILENT: [&str; 7] = ["dumb", "unknown", "linux", "emacs", "vt52", "ansi", "cons25"];

/// Facts about the terminal from the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// It may be asked.
    pub can_be_asked: bool,
    /// Something stands in between (tmux, screen): only what that says is true, whatever the terminal outside can do.
    pub is_inside: bool,
    /// `TERM_PROGRAM` says that it is iTerm2.
    pub is_iterm2: bool,
    /// Characters outside ASCII can be shown.
    pub is_utf8: bool,
    /// Its fonts have the sextants. The console of Linux has 512 characters in all.
    pub has_sextants: bool,
}

impl Hints {
    /// Reads them. `has_keyboard`: a reply can be read.
    pub fn of(world: &World, has_keyboard: bool) -> Self {
        let term = world.var("TERM").unwrap_or("dumb");
        let is_inside = world.var("TMUX").is_some()
            || world.var("STY").is_some()
            || ["screen", "tmux"].iter().any(|name| term.starts_with(name));
        let program = world.var("TERM_PROGRAM");
        Self {
            // Apple's terminal prints the question about kitty's protocol.
            can_be_asked: has_keyboard && !SILENT.contains(&term) && program != Some("Apple_Terminal"),
            is_inside,
            is_iterm2: !is_inside && program == Some("iTerm.app"),
            is_utf8: world.is_utf8(),
            has_sextants: world.is_utf8() && term != "linux",
        }
    }
}

/// Replies of a terminal so far.
#[derive(Debug)]
pub struct Probe {
    hints: Hints,
    decoder: Decoder,
    has_kitty: bool,
    name: String,
    cell: Option<Size>,
    sextant_ends_at: Option<usize>,
    attributes: Option<Vec<usize>>,
}

impl Probe {
    /// Nothing is known yet but this.
    pub fn new(hints: Hints) -> Self {
        Self {
            hints,
            decoder: Decoder::default(),
            has_kitty: false,
            name: String::new(),
            cell: None,
            sextant_ends_at: None,
            attributes: None,
        }
    }

    /// The questions, for an empty screen that is cleared afterwards; empty for a terminal that is not asked.
    pub fn questions(&self) -> String {
        let Hints { can_be_asked, is_inside, has_sextants, .. } = self.hints;
        if !can_be_asked {
            return String::new();
        }
        [
            // tmux drops it, screen shows it in its status line.
            if is_inside { "" } else { ASK_KITTY },
            ASK_NAME,
            ASK_CELL,
            if has_sextants { ASK_SEXTANT } else { "" },
            ASK_ATTRIBUTES,
        ]
        .concat()
    }

    /// Every question has its answer, or nothing was asked.
    pub fn is_over(&self) -> bool {
        !self.hints.can_be_asked || self.attributes.is_some()
    }

    /// The protocol for pictures, the best first.
    pub fn protocol(&self) -> Option<Protocol> {
        let attributes = self.attributes.as_ref()?;
        let says = |name: &str| self.name.starts_with(name);
        if self.has_kitty {
            Some(Protocol::Kitty)
        } else if says("iTerm2") || says("WezTerm") || (self.name.is_empty() && self.hints.is_iterm2) {
            Some(Protocol::Iterm2)
        } else if attributes.iter().skip(1).any(|attribute| *attribute == 4) {
            Some(Protocol::Sixel)
        } else {
            None
        }
    }

    /// The pixels of a cell, if it says so.
    pub fn cell(&self) -> Option<Size> {
        self.cell
    }

    /// Characters outside ASCII can be shown.
    pub fn is_utf8(&self) -> bool {
        self.hints.is_utf8
    }

    /// A sextant takes one cell, as far as is known.
    pub fn has_sextants(&self) -> bool {
        self.hints.has_sextants && self.sextant_ends_at.is_none_or(|col| col == 2)
    }

    /// Takes what came from the keyboard's side; returns the keys. Empty when nothing came for a while.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        if bytes.is_empty() {
            self.decoder.take_escape();
        }
        let mut keys = self.decoder.push(bytes);
        keys.retain(|key| {
            let Key::Reply(reply) = key else { return true };
            self.understand(reply);
            false
        });
        keys
    }

    fn understand(&mut self, reply: &str) {
        let numbers =
            |text: &str| text.split(';').map(|number| number.parse().ok()).collect::<Option<Vec<usize>>>();
        if let Some(rest) = reply.strip_prefix("_G") {
            self.has_kitty |= rest == format!("i={KITTY_ID};OK");
        } else if let Some(name) = reply.strip_prefix("P>|") {
            name.clone_into(&mut self.name);
        } else if let Some(attributes) = reply.strip_prefix("[?").and_then(|rest| rest.strip_suffix('c')) {
            self.attributes = numbers(attributes).or(Some(Vec::new()));
        } else if let Some(size) = reply.strip_prefix("[6;").and_then(|rest| rest.strip_suffix('t')) {
            if let Some([rows, cols]) = numbers(size).as_deref()
                && *rows > 0
                && *cols > 0
            {
                self.cell = Some(Size { cols: *cols, rows: *rows });
            }
        } else if let Some(place) = reply.strip_prefix('[').and_then(|rest| rest.strip_suffix('R'))
            && let Some([1, col]) = numbers(place).as_deref()
            // A function key looks the same, later.
            && !self.is_over()
        {
            self.sextant_ends_at = Some(*col);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hints(vars: &[(&str, &str)]) -> Hints {
        Hints::of(&World::of_env(vars.iter().copied()), true)
    }

    fn xterm() -> Hints {
        hints(&[("TERM", "xterm-256color"), ("LANG", "C.UTF-8")])
    }

    fn said(hints: Hints, reply: &str) -> Probe {
        let mut probe = Probe::new(hints);
        assert_eq!(probe.take(reply.as_bytes()), [], "{reply:?}");
        probe
    }

    #[test]
    fn the_protocol_is_what_the_terminal_says() {
        let kitty =
            "\x1b_Gi=1751478893;OK\x1b\\\x1bP>|kitty(0.42.1)\x1b\\\x1b[6;20;10t\x1b[1;2R\x1b[?62;52;c";
        let probe = said(xterm(), kitty);
        assert_eq!(probe.protocol(), Some(Protocol::Kitty));
        assert_eq!(probe.cell(), Some(Size { cols: 10, rows: 20 }));
        assert!(probe.is_over() && probe.has_sextants());
        for (reply, protocol) in [
            ("\x1bP>|iTerm2 3.5.10\x1b\\\x1b[?64;1;2;4;6;17;18;21;22c", Some(Protocol::Iterm2)),
            ("\x1bP>|foot(1.20.2)\x1b\\\x1b[?62;4;22;28c", Some(Protocol::Sixel)),
            ("\x1b[?4;6c", None),
            ("\x1b_Gi=1751478893;ENOTSUPPORTED:\x1b\\\x1b[?62;22c", None),
            ("\x1b_Gi=7;OK\x1b\\\x1b[?1;2c", None),
            ("\x1bP>|kitty(0.42.1)\x1b\\", None),
        ] {
            assert_eq!(said(xterm(), reply).protocol(), protocol, "{reply:?}");
        }
        let old = hints(&[("TERM", "xterm"), ("TERM_PROGRAM", "iTerm.app")]);
        assert_eq!(said(old, "\x1b[?62;4c").protocol(), Some(Protocol::Iterm2));
        let tmux = hints(&[("TERM", "tmux-256color"), ("TERM_PROGRAM", "iTerm.app"), ("TMUX", "/tmp/x")]);
        assert_eq!(said(tmux, "\x1bP>|tmux 3.5\x1b\\\x1b[?1;2c").protocol(), None);
        assert_eq!(said(tmux, "\x1bP>|tmux 3.5\x1b\\\x1b[?1;2;4c").protocol(), Some(Protocol::Sixel));
    }

    #[test]
    fn only_terminals_that_understand_are_asked() {
        for vars in [
            vec![("TERM", "dumb")],
            vec![("TERM", "linux")],
            vec![],
            vec![("TERM", "xterm-256color"), ("TERM_PROGRAM", "Apple_Terminal")],
        ] {
            let probe = Probe::new(hints(&vars));
            assert_eq!(probe.questions(), "", "{vars:?}");
            assert!(probe.is_over());
        }
        assert!(!Probe::new(Hints::of(&World::of_env([("TERM", "xterm")]), false)).hints.can_be_asked);
        assert!(ASK_KITTY.contains(&format!("i={KITTY_ID},")));
        assert!(Probe::new(xterm()).questions().contains(ASK_KITTY));
        assert!(Probe::new(xterm()).questions().ends_with(ASK_ATTRIBUTES));
        for vars in [[("TERM", "screen"), ("STY", "1")], [("TERM", "tmux-256color"), ("TMUX", "x")]] {
            let questions = Probe::new(hints(&vars)).questions();
            assert!(!questions.contains(ASK_KITTY) && questions.contains(ASK_ATTRIBUTES), "{vars:?}");
        }
    }

    #[test]
    fn sextants_that_are_not_one_character_are_not_used() {
        assert!(!said(xterm(), "\x1b[1;4R\x1b[?62c").has_sextants(), "three characters of another encoding");
        assert!(said(xterm(), "\x1b[?62c\x1b[1;5R").has_sextants(), "Ctrl-F3");
        assert!(!Probe::new(hints(&[("TERM", "linux"), ("LANG", "C.UTF-8")])).has_sextants());
        assert!(!Probe::new(hints(&[("TERM", "xterm"), ("LANG", "C")])).has_sextants());
    }

    #[test]
    fn keys_are_told_from_replies() {
        let mut probe = Probe::new(xterm());
        let keys = probe.take(b"f\x1b[A\x1b[?62;4c\x1at");
        assert_eq!(keys, [Key::Text('f'), Key::Up, Key::Suspend, Key::Text('t')]);
        assert_eq!(probe.take(b"\x1b"), []);
        assert_eq!(probe.take(b"[?62;4c"), [], "a reply in two parts");
        assert_eq!(probe.take(b"\x1b"), []);
        assert_eq!(probe.take(b""), []);
        assert_eq!(probe.take(b"c"), [Key::Text('c')], "the key Escape before it");
    }

    proptest! {
        #[test]
        fn a_reply_is_never_a_key_however_it_is_cut(cuts in proptest::collection::vec(0usize..90, 0..6)) {
            let reply = b"\x1b_Gi=1751478893;OK\x1b\\\x1bP>|kitty(0.42.1)\x1b\\\x1b[6;20;10t\x1b[1;2R\x1b[?62;52;c";
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(reply.len())).collect();
            cuts.extend([0, reply.len()]);
            cuts.sort_unstable();
            let mut probe = Probe::new(xterm());
            for pair in cuts.windows(2).filter(|pair| pair[0] < pair[1]) {
                prop_assert_eq!(probe.take(&reply[pair[0]..pair[1]]), []);
            }
            prop_assert_eq!(probe.protocol(), Some(Protocol::Kitty));
        }
    }
}

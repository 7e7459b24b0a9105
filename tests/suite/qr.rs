//! The QR code on the screen: in the best form that fits the window, read by two decoders from the pixels that a person's phone
//! would see, whatever the terminal is.

use hermes::wizard::ui::qr::{Code, Drawing, Ink, Size};
use hermes::wizard::ui::sheet::{Canvas, Content, Form, Page, Pictures, page};
use rustix::process::Signal;
use serde_json::json;

use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::pairing::FRIEND;
use crate::support::pictures::{self, CELL, Likeness};
use crate::support::pixels::Pixels;
use crate::support::screen::{Terminal, draw};
use crate::support::wait;

const WINDOW: (u16, u16) = (24, 80);
const START: &str = "Start the gateway now?";
const SEXTANTS: std::ops::RangeInclusive<char> = '\u{1fb00}'..='\u{1fb3b}';

/// Returns a payload as long as WhatsApp's codes.
fn payload() -> String {
    let key = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    format!("https://wa.me/settings/linked_devices#2@{},{key},{key},{key},1", "Ab9/".repeat(20))
}

/// Makes a screen on which this was written.
fn screen(size: Size, text: &str) -> vt100::Parser {
    let some = |length: usize| std::num::NonZero::new(u16::try_from(length).unwrap()).unwrap();
    let mut parser = vt100::Parser::new(some(size.rows), some(size.cols), 0);
    parser.process(text.as_bytes());
    parser
}

/// Returns the drawing alone on a dark screen, with room around it.
fn drawn(code: &Code, drawing: Drawing, quiet: usize, ink: Ink) -> Pixels {
    let Size { cols, rows } = code.size(drawing, quiet);
    let lines: Vec<String> =
        code.lines(drawing, quiet, ink).iter().map(|line| format!("   {line}")).collect();
    let parser = screen(Size { cols: cols + 6, rows: rows + 4 }, &format!("\r\n\r\n{}", lines.join("\r\n")));
    draw(parser.screen())
}

#[test]
fn every_drawing_is_read_by_both_decoders() {
    for text in ["short", &payload(), &"0123456789".repeat(30)] {
        let code = Code::of(text).unwrap();
        for drawing in [Drawing::Blocks, Drawing::Sextants, Drawing::Ascii] {
            for (quiet, ink) in [(4, Ink::Painted), (2, Ink::Painted), (2, Ink::Bare)] {
                let pixels = drawn(&code, drawing, quiet, ink);
                assert_eq!(pixels.read_by_rqrr().as_deref(), Some(text), "rqrr: {drawing:?} {quiet} {ink:?}");
                assert_eq!(
                    pixels.read_by_zxing().as_deref(),
                    Some(text),
                    "ZXing: {drawing:?} {quiet} {ink:?}"
                );
            }
        }
    }
}

#[test]
fn sextants_are_read_stretched_turned_slanted_and_out_of_focus() {
    let text = payload();
    let drawing = drawn(&Code::of(&text).unwrap(), Drawing::Sextants, 4, Ink::Painted);
    // A camera has more pixels than a screen.
    let pixels = drawing.resized(drawing.width * 2, drawing.height * 2);
    let (width, height) = (pixels.width, pixels.height);
    for (how, seen) in [
        ("with the low cells of some fonts", pixels.resized(width, height * 9 / 10)),
        ("with the high cells of others", pixels.resized(width, height * 11 / 10)),
        ("turned", pixels.turned(7.0)),
        ("turned the other way", pixels.turned(-12.0)),
        ("from the side", pixels.slanted(0.12)),
        ("out of focus", pixels.blurred(3)),
        ("turned and out of focus", pixels.turned(5.0).blurred(2)),
    ] {
        assert_eq!(seen.read_by_zxing().as_deref(), Some(text.as_str()), "ZXing: {how}");
        assert_eq!(seen.read_by_rqrr().as_deref(), Some(text.as_str()), "rqrr: {how}");
    }
}

/// Lays out the page in a window of this size.
fn laid_out(code: &Code, text: &str, cols: usize, rows: usize, live: &str) -> Page {
    let canvas = Canvas {
        window: Size { cols, rows },
        cell: None,
        pictures: Pictures::None,
        utf8: true,
        sextants: true,
        keys: true,
    };
    let about = "On the phone: WhatsApp → Settings → Linked devices → Link a device. Then scan this code.";
    let content =
        Content { code: Some(code), payload: text, form: &Form::Best, title: "Link the phone", about, live };
    page(&content, &canvas)
}

#[test]
fn in_every_window_that_is_large_enough_the_code_is_read_and_the_keys_are_there() {
    let text = payload();
    let code = Code::of(&text).unwrap();
    for (cols, rows) in
        [(31, 23), (40, 40), (80, 22), (80, 24), (80, 33), (80, 40), (96, 34), (100, 50), (200, 60)]
    {
        let size = Size { cols, rows };
        let first = laid_out(&code, &text, cols, rows, "New code in 58 s (1 of 6)");
        let mut parser = screen(size, &first.paint(None));
        let shown = parser.screen().contents();
        assert_eq!(draw(parser.screen()).read().as_deref(), Some(text.as_str()), "{cols}×{rows}:\n{shown}");
        assert!(shown.contains("New code in 58 s (1 of 6)"), "{cols}×{rows}:\n{shown}");
        assert!(shown.contains("t text") || shown.contains("t raw text"), "{cols}×{rows}:\n{shown}");
        // A second later, and with the next code: a change in place gives what a fresh screen would show.
        let next_text = text.replace("Ab9", "Zy8");
        let next_code = Code::of(&next_text).unwrap();
        let mut before = first;
        for (code, text, live) in [
            (&code, &text, "New code in 9 s (1 of 6)"),
            (&next_code, &next_text, "New code in 20 s (2 of 6)"),
            (&next_code, &next_text, "New code in 7 s (2 of 6)"),
        ] {
            let next = laid_out(code, text, cols, rows, live);
            let change = next.paint(Some(&before));
            assert!(!change.contains("\x1b[2J"), "it does not flicker");
            parser.process(change.as_bytes());
            let fresh = screen(size, &next.paint(None));
            assert_eq!(parser.screen().contents(), fresh.screen().contents(), "{cols}×{rows}");
            before = next;
        }
        let last = draw(parser.screen()).read();
        assert_eq!(last.as_deref(), Some(next_text.as_str()), "{cols}×{rows}");
    }
    for (cols, rows) in [(30, 40), (80, 21), (20, 5), (1, 1)] {
        let page = laid_out(&code, &text, cols, rows, "New code in 58 s (1 of 6)");
        let parser = screen(Size { cols, rows }, &page.paint(None));
        assert!(draw(parser.screen()).read_by_zxing().is_none());
        if cols >= 60 {
            let shown = parser.screen().contents();
            assert!(shown.contains("31 columns and 23 rows"), "{shown}");
        }
    }
}

/// A wizard that shows its code in a terminal of this kind.
struct Wizard {
    fake: FakeWhatsApp,
    terminal: Terminal,
    home: TestHome,
}

impl Wizard {
    fn start(size: (u16, u16), likeness: Likeness, more: &[&str]) -> Self {
        Self::start_with(size, likeness, more, &[])
    }

    fn start_with(size: (u16, u16), likeness: Likeness, more: &[&str], env: &[(&str, &str)]) -> Self {
        let mut home = TestHome::with_bridge();
        let fake = FakeWhatsApp::start();
        fake.serve(&mut home);
        home.env.extend(env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let args = [&["whatsapp", "--mode", "bot", "--allow", FRIEND], more].concat();
        let terminal = Terminal::start_like(&home, &args, size.0, size.1, likeness);
        Self { fake, terminal, home }
    }

    /// Waits until the code is shown in this form.
    fn wait_for_form(&mut self, what: &str, is_it: impl Fn(&Terminal) -> bool) -> String {
        let found =
            wait::until(wait::LIMIT, || is_it(&self.terminal).then(|| self.terminal.scan()).flatten());
        found.unwrap_or_else(|| panic!("no readable code as {what}:\n{}", self.terminal.text()))
    }

    /// Has the phone scan the decoded code; the wizard ends as it should, and the screen holds nothing of the page.
    fn finish(mut self, payload: &str) {
        assert!(payload.starts_with("https://wa.me/settings/linked_devices#"), "{payload}");
        self.fake.tell(json!({ "cmd": "scan", "payload": payload }));
        self.terminal.wait_for(START);
        let text = self.terminal.text();
        assert!(text.contains("Link the phone") && text.contains("Phone linked."), "{text}");
        for rest in ["New code in", "pairing code", "Gi=", "[?", ";OK", "62;", "iTerm2", "█"] {
            assert!(!text.contains(rest), "`{rest}` is left on the screen:\n{text}");
        }
        assert!(self.terminal.picture().is_none(), "the picture is left");
        self.terminal.send("n\r");
        assert_eq!(self.terminal.exit_code(), 0, "{}", self.terminal.text());
        assert!(self.terminal.is_as_found(), "the terminal is not as it was");
        assert!(String::from_utf8_lossy(&self.home.dot_env().unwrap()).contains("WHATSAPP_ENABLED=true"));
    }
}

fn has_sextants(terminal: &Terminal) -> bool {
    terminal.text().contains(|sign| SEXTANTS.contains(&sign))
}

fn has_blocks(terminal: &Terminal) -> bool {
    terminal.text().contains('▄') && !has_sextants(terminal)
}

#[test]
fn in_the_default_window_the_code_is_drawn_in_sextants_and_its_words_fit() {
    // One that answers queries, and one that does not.
    for likeness in [Likeness::XTERM, Likeness::default()] {
        let mut wizard = Wizard::start(WINDOW, likeness, &[]);
        let payload = wizard.wait_for_form("sextants", has_sextants);
        let text = wizard.terminal.text();
        for words in [
            "On the phone:",
            "New code in",
            "(1 of 6)",
            "c linking code",
            "p picture file",
            "t raw text",
            "Ctrl-C stop",
        ] {
            assert!(text.contains(words), "`{words}` is missing:\n{text}");
        }
        assert_eq!(text.lines().last().map(str::trim_start).map(|keys| &keys[..1]), Some("c"), "{text}");
        wizard.finish(&payload);
    }
}

#[test]
fn a_larger_or_smaller_window_gets_its_best_form_without_a_key() {
    let mut wizard = Wizard::start((40, 80), Likeness::XTERM, &[]);
    wizard.wait_for_form("half blocks", has_blocks);
    wizard.terminal.resize(24, 80);
    wizard.wait_for_form("sextants", has_sextants);
    wizard.terminal.resize(10, 40);
    wizard.terminal.wait_for("Enlarge it");
    wizard.terminal.resize(50, 100);
    let payload = wizard.wait_for_form("half blocks", has_blocks);
    assert!(wizard.terminal.text().contains("another form"), "{}", wizard.terminal.text());
    wizard.finish(&payload);
}

#[test]
fn a_terminal_that_shows_pictures_gets_one() {
    for (likeness, size) in [
        (Likeness::KITTY, WINDOW),
        (Likeness::ITERM2, WINDOW),
        (Likeness::FOOT, WINDOW),
        // A terminal that does not report the size of its cells.
        (Likeness { says_cell: false, ..Likeness::KITTY }, WINDOW),
        (Likeness::KITTY, (50, 160)),
    ] {
        let mut wizard = Wizard::start(size, likeness, &[]);
        let payload = wizard.wait_for_form("a picture", |terminal| terminal.picture().is_some());
        let picture = wizard.terminal.picture().unwrap();
        // The decoders read the picture alone as well, and there is no text behind it.
        assert_eq!(picture.read().as_deref(), Some(payload.as_str()), "{likeness:?}");
        let rows = picture.height.div_ceil(CELL.1);
        assert!(rows < usize::from(size.0), "the last row is free, or the screen would scroll");
        wizard.terminal.wait_for("New code in");
        let first = wizard.terminal.first_col(rows).unwrap_or(usize::MAX);
        assert!(first * CELL.0 >= picture.width, "{likeness:?}: {first}\n{}", wizard.terminal.text());
        assert!(wizard.terminal.text().contains("c linking code"), "{}", wizard.terminal.text());
        wizard.finish(&payload);
    }
}

#[test]
fn an_answer_that_comes_late_is_used_and_is_never_taken_for_keys() {
    let mut wizard = Wizard::start(WINDOW, Likeness { is_late: true, ..Likeness::KITTY }, &[]);
    wizard.wait_for_form("sextants", has_sextants);
    wizard.terminal.answer();
    let payload = wizard.wait_for_form("a picture", |terminal| terminal.picture().is_some());
    wizard.finish(&payload);
}

#[test]
fn a_key_shows_another_form_and_ctrl_c_removes_the_file() {
    let mut wizard = Wizard::start((50, 100), Likeness::FOOT, &[]);
    wizard.wait_for_form("a picture", |terminal| terminal.picture().is_some());
    wizard.terminal.send("f");
    wizard.wait_for_form("half blocks", |terminal| terminal.picture().is_none() && has_blocks(terminal));
    wizard.terminal.send("f");
    let payload = wizard.wait_for_form("sextants", has_sextants);
    wizard.terminal.send("t");
    let first = &payload[..90];
    wizard.terminal.wait_for(first);
    assert!(wizard.terminal.scan().is_none());
    wizard.terminal.send("p");
    let file = wizard.home.paths().whatsapp().qr_picture();
    wizard.terminal.wait_for(&file.to_string_lossy());
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
    };
    assert_eq!(mode(&file), 0o600);
    let written = std::fs::read(&file).unwrap();
    let from_file = pictures::png(&base64::Engine::encode(&base64::prelude::BASE64_STANDARD, written));
    assert!(from_file.read().unwrap().starts_with("https://wa.me/settings/"));
    wizard.terminal.send("f");
    wizard.wait_for_form("a picture", |terminal| terminal.picture().is_some());
    let gone = wait::until(wait::LIMIT, || (!file.exists()).then_some(()));
    assert!(gone.is_some(), "the file is removed with the form");
    wizard.terminal.send("p");
    wizard.terminal.wait_for("f back   c linking code");
    wizard.terminal.send("\u{3}");
    assert_eq!(wizard.terminal.exit_code(), 130);
    assert!(!file.exists());
    wizard.terminal.wait_for("No WhatsApp setting was changed");
    assert!(wizard.terminal.is_as_found(), "the terminal is not as it was");
}

#[test]
fn a_key_leads_to_a_code_to_type() {
    let mut wizard = Wizard::start(WINDOW, Likeness::XTERM, &[]);
    wizard.wait_for_form("sextants", has_sextants);
    wizard.terminal.send("c");
    wizard.terminal.wait_for("Phone number to link");
    wizard.terminal.send("\r");
    wizard.wait_for_form("sextants", has_sextants);
    wizard.terminal.send("c");
    wizard.terminal.wait_for("Phone number to link");
    wizard.terminal.send("+1 555 000 1111\r");
    wizard.terminal.wait_for("Then type this code");
    wizard.terminal.wait_for("Waiting for the phone");
    wizard.terminal.send("\u{3}");
    assert_eq!(wizard.terminal.exit_code(), 130);
}

#[test]
fn each_style_can_be_chosen_ahead_and_without_utf8_no_character_outside_ascii_is_used() {
    let c_locale = [("LANG", "C")];
    let mut wizard = Wizard::start((50, 100), Likeness::KITTY, &["--qr", "sextants"]);
    let payload = wizard.wait_for_form("sextants", has_sextants);
    wizard.finish(&payload);

    let mut wizard = Wizard::start((70, 140), Likeness::XTERM, &["--qr", "ascii"]);
    let payload = wizard.wait_for_form("ASCII", |terminal| terminal.text().contains("####"));
    wizard.finish(&payload);

    let mut wizard = Wizard::start_with((40, 80), Likeness::XTERM, &[], &c_locale);
    wizard.terminal.wait_for("122 columns and 63 rows");
    assert!(wizard.terminal.written().is_ascii());
    wizard.terminal.resize(70, 140);
    wizard.wait_for_form("ASCII", |terminal| terminal.text().contains("####"));
    assert!(wizard.terminal.written().is_ascii());

    let mut wizard = Wizard::start_with(WINDOW, Likeness::FOOT, &["--qr", "image"], &c_locale);
    wizard.wait_for_form("a picture", |terminal| terminal.picture().is_some());
    let mut wizard = Wizard::start(WINDOW, Likeness::XTERM, &["--qr", "image"]);
    wizard.wait_for_form("sextants", has_sextants);
    wizard.terminal.wait_for("does not show pictures");
    let mut wizard = Wizard::start(WINDOW, Likeness::XTERM, &["--qr", "raw"]);
    wizard.terminal.wait_for("https://wa.me/settings/linked_devices#");
}

#[test]
fn the_colours_of_a_code_stay_without_colours_and_a_dumb_terminal_gets_none() {
    let mut wizard = Wizard::start_with(WINDOW, Likeness::XTERM, &[], &[("NO_COLOR", "1")]);
    let payload = wizard.wait_for_form("sextants", has_sextants);
    wizard.finish(&payload);

    let dumb = [("TERM", "dumb")];
    let mut wizard = Wizard::start_with((50, 100), Likeness::KITTY, &["--yes"], &dumb);
    wizard.wait_for_form("half blocks", has_blocks);
    assert!(!wizard.terminal.written().contains('\u{1b}'), "{:?}", wizard.terminal.written());
}

#[test]
fn a_code_that_would_scroll_away_in_a_dumb_terminal_is_text_and_smaller_where_that_is_asked_for() {
    let dumb = [("TERM", "dumb")];
    let mut wizard = Wizard::start_with(WINDOW, Likeness::KITTY, &["--yes"], &dumb);
    wizard.terminal.wait_for("--pairing-code, --qr sextants or --qr png=FILE");
    wizard.terminal.wait_for("https://wa.me/settings/linked_devices#");
    assert!(!has_blocks(&wizard.terminal), "{}", wizard.terminal.text());

    let mut wizard = Wizard::start_with(WINDOW, Likeness::KITTY, &["--yes", "--qr", "sextants"], &dumb);
    wizard.wait_for_form("sextants", has_sextants);
}

#[test]
fn after_ctrl_z_and_fg_the_code_is_drawn_again_and_the_shell_has_its_terminal_in_between() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    // A shell with job control, as a person has it.
    let hermes = env!("CARGO_BIN_EXE_hermes");
    let script = format!(
        "set -m; '{hermes}' whatsapp --mode bot --allow {FRIEND}; stty -a; echo 'it is stopped'; read answer; fg; echo \"left with $?\""
    );
    let args = ["bash", "-c", &script];
    let mut terminal = Terminal::start_command(&home, &args, WINDOW.0, WINDOW.1, Likeness::KITTY);
    let drawn = |terminal: &Terminal| terminal.picture().and_then(|_| terminal.scan());
    wait::until(wait::LIMIT, || drawn(&terminal)).expect("a code");
    terminal.send("\u{1a}");
    terminal.wait_for("it is stopped");
    assert!(terminal.picture().is_none() && terminal.cursor_is_shown(), "{}", terminal.text());
    let text = terminal.text();
    assert!(text.contains(" icanon") && text.contains(" echo ") && text.contains("susp = ^Z"), "{text}");
    terminal.send("\r");
    let payload = wait::until(wait::LIMIT, || drawn(&terminal)).expect("the code again");
    fake.tell(json!({ "cmd": "scan", "payload": payload }));
    terminal.wait_for(START);
    terminal.send("n\r");
    terminal.wait_for("left with 0");
}

#[test]
fn a_process_that_was_stopped_from_outside_draws_the_code_again() {
    let mut wizard = Wizard::start(WINDOW, Likeness::XTERM, &[]);
    wizard.wait_for_form("sextants", has_sextants);
    wizard.terminal.signal(Signal::STOP);
    wizard.terminal.scribble("\u{1b}[2Jsomething else");
    assert!(!has_sextants(&wizard.terminal));
    wizard.terminal.signal(Signal::CONT);
    let payload = wizard.wait_for_form("sextants", has_sextants);
    wizard.finish(&payload);
}

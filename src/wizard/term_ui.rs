//! A person at a terminal, or a log where there is none.
//!
//! Questions run on threads of their own: `dialoguer` blocks until a key is pressed, and a question that was given up
//! (SIGTERM) must not hold up the end of the program, as a task on tokio's blocking pool would. While a key is awaited
//! the terminal is in raw mode; [`TermUi`] puts it back as it was found, whichever way the wizard ends.

use std::fmt;
use std::io::{self, Write};

use async_trait::async_trait;
use console::Term;
use dialoguer::theme::Theme;
use dialoguer::{Confirm, Input, MultiSelect, Select};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use crate::bridge::install::{Phase, Progress};
use crate::config::Secret;
use crate::wizard::event::WizardEvent;
use crate::wizard::layout::{Layout, Line, Tone};
use crate::wizard::page::OpenPage;
use crate::wizard::probe::Hints;
use crate::wizard::qr::Size;
use crate::wizard::sheet::{Canvas, Page};
use crate::wizard::ui::{Check, Choice, Frame, Paper, Question, Stop, Ui};
use crate::world::World;

/// Shows on standard error, asks there, and puts raw codes on standard output.
#[derive(Debug)]
pub struct TermUi {
    term: Term,
    layout: Layout,
    asks: bool,
    redraws: bool,
    utf8: bool,
    paper: Paper,
    hints: Hints,
    /// The whole screen, while it is open.
    page: Option<OpenPage>,
    /// The terminal's mode as it was found.
    found: Option<Termios>,
    drawn: Option<Drawn>,
    bar: Option<ProgressBar>,
    phase: Option<Phase>,
}

/// The code on the screen.
#[derive(Debug)]
struct Drawn {
    seq: u32,
    lines: Vec<String>,
    window: Option<Size>,
}

impl TermUi {
    /// The terminals of this process.
    pub fn new(world: &World) -> Self {
        let redraws = world.stderr_tty && world.var("TERM") != Some("dumb");
        let utf8 = world.is_utf8();
        let layout = Layout {
            cols: usize::from(Term::stderr().size_checked().map_or(80, |(_, cols)| cols)),
            marks: utf8 && world.stderr_tty,
            colour: world.colour(world.stderr_tty),
            utf8,
        };
        Self {
            term: Term::stderr(),
            layout,
            asks: world.is_interactive(),
            redraws,
            utf8,
            paper: Paper {
                cols: Term::stderr().size_checked().map(|(_, cols)| usize::from(cols)),
                utf8,
                // The colours of a code are content: where no terminal is, they are for whoever looks at the log.
                paints: redraws || !world.stderr_tty,
                is_stdout_shown: world.stdout_tty,
            },
            hints: Hints::of(world, world.is_interactive()),
            page: None,
            found: if world.stdin_tty { tcgetattr(io::stdin()).ok() } else { None },
            drawn: None,
            bar: None,
            phase: None,
        }
    }

    /// A terminal that went away is noticed when it is asked; what is shown to it may be lost.
    fn put(&self, text: &str) {
        drop(self.term.write_str(&crate::visible::page(text)));
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Term, &Look) -> dialoguer::Result<T> + Send + 'static,
    ) -> Result<T, Stop> {
        let (answer, answered) = oneshot::channel();
        let (term, look) = (self.term.clone(), Look { layout: self.layout });
        std::thread::Builder::new()
            .name("question".to_owned())
            .spawn(move || drop(answer.send(question(&term, &look))))
            .map_err(Stop::Broken)?;
        match answered.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(dialoguer::Error::IO(error)))
                if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof) =>
            {
                Err(Stop::Cancelled)
            }
            Ok(Err(dialoguer::Error::IO(error))) => Err(Stop::Broken(error)),
            Err(_) => Err(Stop::Broken(io::Error::other("the question was lost"))),
        }
    }

    /// Keys pressed while a code is shown must neither garble it nor answer the next question.
    fn quiet_keys(&self, quiet: bool) {
        let Some(found) = &self.found else { return };
        let mut mode = found.clone();
        if quiet {
            mode.local_modes.remove(LocalModes::ECHO);
        } else {
            tcflush(io::stdin(), QueueSelector::IFlush).ok();
        }
        tcsetattr(io::stdin(), OptionalActions::Now, &mode).ok();
    }

    /// Takes keys one by one: a line that is pasted may be longer than the 4096 bytes that a terminal gathers for a program.
    fn long_lines(&self) {
        let Some(found) = &self.found else { return };
        let mut mode = found.clone();
        mode.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        tcsetattr(io::stdin(), OptionalActions::Now, &mode).ok();
    }

    fn window(&self) -> Option<Size> {
        if !self.redraws {
            return None;
        }
        let (rows, cols) = self.term.size_checked()?;
        Some(Size { cols: usize::from(cols), rows: usize::from(rows) })
    }

    fn draw(&mut self, frame: &Frame, window: Size) {
        let live = console::truncate_str(&frame.live, window.cols.saturating_sub(1), "").into_owned();
        match &self.drawn {
            Some(drawn) if drawn.window != Some(window) => drop(self.term.clear_screen()),
            Some(drawn) if drawn.lines == frame.lines => {
                drop(self.term.move_cursor_up(1));
                drop(self.term.clear_line());
                self.put(&format!("{live}\n"));
                return;
            }
            Some(drawn) => {
                drop(self.term.move_cursor_up(drawn.lines.len() + 1));
                drop(self.term.clear_to_end_of_screen());
            }
            None => self.quiet_keys(true),
        }
        self.put(&format!("{}\n{live}\n", frame.lines.join("\n")));
        self.drawn = Some(Drawn { seq: frame.seq, lines: frame.lines.clone(), window: Some(window) });
    }

    fn print(&mut self, frame: &Frame) {
        if self.drawn.as_ref().is_some_and(|drawn| drawn.seq == frame.seq && drawn.lines == frame.lines) {
            return;
        }
        if !frame.lines.is_empty() {
            self.put(&format!("{}\n", frame.lines.join("\n")));
        }
        self.put(&format!("{}\n", frame.fixed));
        if let Some(payload) = &frame.payload {
            print(&format!("{payload}\n"));
        }
        self.drawn = Some(Drawn { seq: frame.seq, lines: frame.lines.clone(), window: None });
    }

    fn bar(&mut self) -> &ProgressBar {
        let utf8 = self.utf8;
        self.bar.get_or_insert_with(|| {
            let template = "    {spinner} {msg:22} {bar:24} {pos:>3} of {len}  {elapsed}";
            let style = ProgressStyle::with_template(template).expect("the template is well-formed");
            let style = if utf8 {
                style.progress_chars("━╸ ").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
            } else {
                style.progress_chars("=> ").tick_chars("|/-\\ ")
            };
            let bar = ProgressBar::new(0).with_style(style);
            bar.enable_steady_tick(std::time::Duration::from_millis(100));
            bar
        })
    }
}

impl Drop for TermUi {
    fn drop(&mut self) {
        self.page = None;
        if let Some(bar) = self.bar.take() {
            bar.disable_steady_tick();
            bar.finish_and_clear();
        }
        if self.redraws && self.asks {
            drop(self.term.show_cursor());
        }
        if let Some(found) = &self.found {
            tcsetattr(io::stdin(), OptionalActions::Now, found).ok();
        }
    }
}

/// Writes to standard output; a reader that went away ends nothing.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(crate::visible::page(text).as_bytes()).and_then(|()| out.flush()));
}

#[async_trait]
impl Ui for TermUi {
    fn can_ask(&self) -> bool {
        self.asks
    }

    fn paper(&self) -> Paper {
        self.paper
    }

    fn canvas(&mut self) -> Option<Canvas> {
        if !self.redraws {
            return None;
        }
        let found = self.found.as_ref().filter(|_| self.asks);
        self.page.get_or_insert_with(|| OpenPage::open(&self.term, found, self.hints)).canvas()
    }

    fn page(&mut self, page: Option<&Page>) {
        match (page, &mut self.page) {
            (Some(page), Some(open)) => open.draw(page),
            (None, open) => *open = None,
            (Some(_), None) => {}
        }
    }

    fn key(&mut self) -> Option<char> {
        self.page.as_mut()?.key()
    }

    async fn select(&mut self, choice: &Choice) -> Result<usize, Stop> {
        let choice = choice.clone();
        self.ask(move |term, look| {
            Select::with_theme(look)
                .with_prompt(choice.prompt)
                .items(choice.items)
                .default(0)
                .interact_on(term)
        })
        .await
    }

    async fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, Stop> {
        let prompt = prompt.to_owned();
        self.ask(move |term, look| {
            Confirm::with_theme(look).with_prompt(prompt).default(default).interact_on(term)
        })
        .await
    }

    async fn input(&mut self, question: &Question) -> Result<String, Stop> {
        let question = question.clone();
        self.ask(move |term, look| {
            Input::with_theme(look)
                .with_prompt(question.prompt)
                .with_initial_text(question.initial)
                .allow_empty(true)
                .validate_with(|text: &String| (question.check)(text))
                .interact_text_on(term)
        })
        .await
    }

    /// Key by key, as every question: `dialoguer` throws away what was pasted before its own password prompt was ready, and
    /// shows it.
    async fn secret(&mut self, prompt: &str, check: Check) -> Result<Secret, Stop> {
        loop {
            self.long_lines();
            self.put(&format!("  {} {prompt} (it is not shown): ", self.layout.paint(Tone::Careful, "?")));
            let typed = self.ask(|term, _| Ok(read_unseen(term)?)).await;
            drop(self.term.clear_line());
            self.quiet_keys(false);
            let secret = typed?;
            match check(&secret.0) {
                Ok(()) => {
                    let hidden = self.layout.paint(Tone::Strong, "(not shown)");
                    self.put(&format!("  {} {prompt}  {hidden}\n", self.layout.mark(Tone::Good)));
                    return Ok(secret);
                }
                Err(why) => self.say(Line::Fail(why)),
            }
        }
    }

    async fn select_many(&mut self, choice: &Choice) -> Result<Vec<usize>, Stop> {
        let choice = choice.clone();
        self.ask(move |term, look| {
            MultiSelect::with_theme(look).with_prompt(choice.prompt).items(choice.items).interact_on(term)
        })
        .await
    }

    async fn pause(&mut self, prompt: &str) -> Result<(), Stop> {
        self.put(&format!("  {} {prompt} ", self.layout.paint(Tone::Careful, "?")));
        let pressed = self
            .ask(|term, _| {
                while term.read_key()? != console::Key::Enter {}
                Ok(())
            })
            .await;
        self.put("\n");
        pressed
    }

    fn say(&mut self, line: Line) {
        self.put(&self.layout.render(&line));
    }

    fn progress(&mut self, progress: Option<&Progress>) {
        let Some(progress) = progress else {
            if let Some(bar) = self.bar.take() {
                bar.disable_steady_tick();
                bar.finish_and_clear();
            }
            self.phase = None;
            return;
        };
        let words = phase_words(progress.phase);
        if self.redraws {
            let bar = self.bar();
            bar.set_length(progress.packages_total);
            bar.set_position(progress.packages.min(progress.packages_total));
            bar.set_message(words);
        } else if self.phase != Some(progress.phase) {
            self.phase = Some(progress.phase);
            self.say(Line::Text(words.to_owned()));
        }
    }

    fn code(&mut self, frame: Option<&Frame>) {
        match (frame, self.window()) {
            (None, window) => {
                if let Some(drawn) = self.drawn.take()
                    && drawn.window.is_some()
                {
                    self.quiet_keys(false);
                    // Used or void, it only takes the place of what comes next.
                    if drawn.window == window {
                        drop(self.term.move_cursor_up(drawn.lines.len() + 1));
                        drop(self.term.clear_to_end_of_screen());
                    }
                }
            }
            (Some(frame), Some(window)) if frame.payload.is_none() => self.draw(frame, window),
            (Some(frame), _) => self.print(frame),
        }
    }

    /// The terminal takes keys line by line here, so that something can be read once Enter was pressed.
    fn enter_pressed(&mut self) -> bool {
        let pressed = self.asks && rustix::io::ioctl_fionread(io::stdin()).is_ok_and(|bytes| bytes > 0);
        if pressed {
            tcflush(io::stdin(), QueueSelector::IFlush).ok();
        }
        pressed
    }

    fn event(&mut self, _: &WizardEvent) {}
}

/// Reads a line that nobody sees.
fn read_unseen(term: &Term) -> io::Result<Secret> {
    const LEN_MAX: usize = 32 << 10;
    let mut text = String::new();
    loop {
        let key = term.read_key()?;
        if key == console::Key::Enter {
            return Ok(Secret(text.trim().to_owned()));
        } else if key == console::Key::Backspace {
            text.pop();
        } else if let console::Key::Char(sign) = key
            && text.len() < LEN_MAX
            && !sign.is_control()
        {
            text.push(sign);
        }
    }
}

/// What a phase of the installation is called.
fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Wait => "Waiting for another installation",
        Phase::Unpack => "Unpacking the bridge",
        Phase::Download => "Fetching packages",
        Phase::Verify => "Trying it",
        Phase::Finish => "Putting it in place",
    }
}

/// How `dialoguer` draws its questions: on the left edge of everything else.
struct Look {
    layout: Layout,
}

impl Look {
    fn question(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        write!(f, "  {} {prompt}", self.layout.paint(Tone::Careful, "?"))
    }

    fn answer(&self, f: &mut dyn fmt::Write, prompt: &str, answer: &str) -> fmt::Result {
        write!(f, "  {} {prompt}  {}", self.layout.mark(Tone::Good), self.layout.paint(Tone::Strong, answer))
    }
}

impl Theme for Look {
    fn format_error(&self, f: &mut dyn fmt::Write, error: &str) -> fmt::Result {
        write!(f, "  {} {error}", self.layout.mark(Tone::Bad))
    }

    fn format_confirm_prompt(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        default: Option<bool>,
    ) -> fmt::Result {
        self.question(f, prompt)?;
        let keys = match default {
            Some(true) => "[Y/n]",
            Some(false) => "[y/N]",
            None => "[y/n]",
        };
        write!(f, " {} ", self.layout.paint(Tone::Faint, keys))
    }

    fn format_confirm_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        selection: Option<bool>,
    ) -> fmt::Result {
        self.answer(f, prompt, if selection == Some(true) { "yes" } else { "no" })
    }

    fn format_input_prompt(&self, f: &mut dyn fmt::Write, prompt: &str, _: Option<&str>) -> fmt::Result {
        self.question(f, prompt)?;
        f.write_str(": ")
    }

    fn format_input_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        answer: &str,
    ) -> fmt::Result {
        self.answer(f, prompt, answer)
    }

    fn format_select_prompt(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        self.question(f, prompt)
    }

    fn format_select_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        answer: &str,
    ) -> fmt::Result {
        self.answer(f, prompt, answer)
    }

    fn format_multi_select_prompt(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        self.question(f, prompt)
    }

    fn format_multi_select_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        picked: &[&str],
    ) -> fmt::Result {
        // Each begins with its name.
        let names: Vec<&str> = picked.iter().filter_map(|item| item.split_whitespace().next()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        self.answer(f, prompt, &names)
    }

    fn format_multi_select_prompt_item(
        &self,
        f: &mut dyn fmt::Write,
        text: &str,
        checked: bool,
        active: bool,
    ) -> fmt::Result {
        let arrow = match (active, self.layout.marks) {
            (true, true) => self.layout.paint(Tone::Good, "❯"),
            (true, false) => ">".to_owned(),
            (false, _) => " ".to_owned(),
        };
        write!(f, "    {arrow} [{}] {text}", if checked { 'x' } else { ' ' })
    }

    fn format_select_prompt_item(&self, f: &mut dyn fmt::Write, text: &str, active: bool) -> fmt::Result {
        match (active, self.layout.marks) {
            (true, true) => write!(f, "    {} {}", self.layout.paint(Tone::Good, "❯"), text),
            (true, false) => write!(f, "    > {text}"),
            (false, _) => write!(f, "      {text}"),
        }
    }
}

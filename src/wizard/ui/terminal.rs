//! A person at a terminal, or a log where there is none.
//!
//! [`prompt`](crate::wizard::ui::prompt) asks. While a wizard runs the terminal is in raw mode; it is put back as it was found, whichever
//! way the wizard ends.

use std::io::{self, Write};

use async_trait::async_trait;
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use crate::bridge::install::{Phase, Progress};
use crate::sensitive::Secret;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::{Layout, Line};
use crate::wizard::ui::page::OpenPage;
use crate::wizard::ui::probe::Hints;
use crate::wizard::ui::prompt::dialog::{self, Dialog};
use crate::wizard::ui::prompt::field::{Field, Pause, YesNo};
use crate::wizard::ui::prompt::keyboard::{Ear, Keyboard, Mode};
use crate::wizard::ui::prompt::menu::Menu;
use crate::wizard::ui::prompt::plain::Plain;
use crate::wizard::ui::qr::Size;
use crate::wizard::ui::sheet::{Canvas, Page};
use crate::wizard::ui::{Check, Choice, Frame, Paper, Question, Stop, Ui};
use crate::world::World;
use crate::wrap::hang;

/// Shows on standard error, asks there, and puts raw codes on standard output.
#[derive(Debug)]
pub struct TermUi {
    term: Term,
    layout: Layout,
    asks: bool,
    redraws: bool,
    utf8: bool,
    keys: Keyboard,
    paper: Paper,
    hints: Hints,
    /// The whole screen, while it is open. It reads the keyboard itself.
    page: Option<OpenPage>,
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
            keys: Keyboard::new(world.stdin_tty),
            paper: Paper {
                window: None,
                utf8,
                // The colours of a code are content: where no terminal is, they are for whoever looks at the log.
                paints: redraws || !world.stderr_tty,
                is_stdout_shown: world.stdout_tty,
            },
            hints: Hints::of(world, world.is_interactive()),
            page: None,
            drawn: None,
            bar: None,
            phase: None,
        }
    }

    /// The layout for the window as it is now.
    fn fit(&mut self) -> Layout {
        if let Some((_, cols)) = self.term.size_checked() {
            self.layout.cols = usize::from(cols);
        }
        self.layout
    }

    /// A terminal that went away is noticed when it is asked; what is shown to it may be lost.
    fn put(&self, text: &str) {
        drop(self.term.write_str(&crate::visible::page(&self.layout.plain(text))));
    }

    fn plain_choice(&self, choice: &Choice) -> Choice {
        let plain = |text: &String| self.layout.plain(text).into_owned();
        Choice {
            prompt: plain(&choice.prompt),
            items: choice.items.iter().map(plain).collect(),
            default: choice.default,
        }
    }

    /// Keys that are pressed from now on belong to no question.
    fn ignore_keys(&mut self) {
        if self.asks && self.page.is_none() {
            self.keys.quiet();
        }
    }

    /// Asks where the cursor can be moved.
    async fn ask<D>(&mut self, question: D) -> Result<D::Answer, Stop>
    where
        D: Dialog<Answer: Send + 'static> + Send + 'static,
    {
        let term = self.term.clone();
        self.read(Mode::Raw, move |ear| dialog::ask(&term, ear, question)).await
    }

    /// Asks where it cannot.
    async fn ask_plainly<T: Send + 'static>(
        &mut self,
        mode: Mode,
        ask: impl FnOnce(Plain<'_>, &mut Ear) -> io::Result<Option<T>> + Send + 'static,
    ) -> Result<T, Stop> {
        let (term, layout) = (self.term.clone(), self.fit());
        self.read(mode, move |ear| ask(Plain { term: &term, layout }, ear)).await
    }

    async fn read<T: Send + 'static>(
        &mut self,
        mode: Mode,
        ask: impl FnOnce(&mut Ear) -> io::Result<Option<T>> + Send + 'static,
    ) -> Result<T, Stop> {
        let answer = self.keys.ask(mode, ask).await;
        self.ignore_keys();
        answer.map_err(stop)?.ok_or(Stop::Cancelled)
    }

    fn size(&self) -> Option<Size> {
        let (rows, cols) = self.term.size_checked()?;
        Some(Size { cols: usize::from(cols), rows: usize::from(rows) })
    }

    fn window(&self) -> Option<Size> {
        self.size().filter(|_| self.redraws)
    }

    fn draw(&mut self, frame: &Frame, window: Size) {
        let live = console::truncate_str(&frame.live, window.cols.saturating_sub(1), "").into_owned();
        let lines: Vec<String> = frame.lines.iter().flat_map(|line| fitted(line, window.cols)).collect();
        match &self.drawn {
            Some(drawn) if drawn.window != Some(window) => drop(self.term.clear_screen()),
            Some(drawn) if drawn.lines == lines => {
                drop(self.term.move_cursor_up(1));
                drop(self.term.clear_line());
                self.put(&format!("{live}\n"));
                return;
            }
            Some(drawn) => {
                drop(self.term.move_cursor_up(drawn.lines.len() + 1));
                drop(self.term.clear_to_end_of_screen());
            }
            None => {}
        }
        self.put(&format!("{}\n{live}\n", lines.join("\n")));
        self.drawn = Some(Drawn { seq: frame.seq, lines, window: Some(window) });
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
    }
}

/// Writes sentences to standard output: in rows that fit where it is a terminal, else as they are.
pub(crate) fn print_text(text: &str) {
    match Term::stdout().size_checked() {
        Some((_, cols)) => {
            let rows: Vec<String> = text.lines().flat_map(|line| fitted(line, usize::from(cols))).collect();
            print(&format!("{}\n", rows.join("\n")));
        }
        None => print(text),
    }
}

/// A line in rows that fit, each as far from the edge.
fn fitted(line: &str, cols: usize) -> Vec<String> {
    if console::measure_text_width(line) < cols {
        return vec![line.to_owned()];
    }
    let (indent, text) = line.split_at(line.len() - line.trim_start().len());
    hang(indent, text, cols.saturating_sub(1)).lines().map(str::to_owned).collect()
}

/// The reason why there is no answer.
fn stop(error: io::Error) -> Stop {
    if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof) {
        Stop::Cancelled
    } else {
        Stop::Broken(error)
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
        Paper { window: self.size(), ..self.paper }
    }

    fn canvas(&mut self) -> Option<Canvas> {
        if !self.redraws {
            return None;
        }
        if self.page.is_none() {
            if self.asks {
                self.keys.hand_over(Mode::AsFound);
            }
            let found = self.keys.found().filter(|_| self.asks);
            self.page = Some(OpenPage::open(&self.term, found, self.hints));
        }
        self.page.as_mut()?.canvas()
    }

    fn page(&mut self, page: Option<&Page>) {
        match (page, &mut self.page) {
            (Some(page), Some(open)) => open.draw(page),
            (None, open) => {
                *open = None;
                self.ignore_keys();
            }
            (Some(_), None) => {}
        }
    }

    fn key(&mut self) -> Option<char> {
        self.page.as_mut()?.key()
    }

    async fn select(&mut self, choice: &Choice) -> Result<usize, Stop> {
        let choice = self.plain_choice(choice);
        if !self.redraws {
            let ask = move |plain: Plain<'_>, ear: &mut Ear| plain.select(ear, &choice);
            return self.ask_plainly(Mode::AsFound, ask).await;
        }
        let menu = Menu::one(self.fit(), choice);
        let picked = self.ask(menu).await?;
        Ok(picked.first().copied().unwrap_or_default())
    }

    async fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, Stop> {
        let prompt = self.layout.plain(prompt).into_owned();
        if self.redraws {
            let question = YesNo::new(self.fit(), prompt, default);
            return self.ask(question).await;
        }
        let ask = move |plain: Plain<'_>, ear: &mut Ear| plain.confirm(ear, &prompt, default);
        self.ask_plainly(Mode::AsFound, ask).await
    }

    async fn input(&mut self, question: &Question) -> Result<String, Stop> {
        let Question { prompt, initial, check } = question.clone();
        let prompt = self.layout.plain(&prompt).into_owned();
        if self.redraws {
            let field = Field::new(self.fit(), prompt, &initial, check);
            return self.ask(field).await;
        }
        let ask = move |plain: Plain<'_>, ear: &mut Ear| plain.input(ear, &prompt, &initial, check);
        self.ask_plainly(Mode::AsFound, ask).await
    }

    async fn secret(&mut self, prompt: &str, check: Check) -> Result<Secret, Stop> {
        let prompt = self.layout.plain(prompt).into_owned();
        let answer = if self.redraws {
            let field = Field::secret(self.fit(), prompt, check);
            self.ask(field).await
        } else {
            self.ask_plainly(Mode::Raw, move |plain, ear| plain.secret(ear, &prompt, check)).await
        };
        answer.map(Secret)
    }

    async fn select_many(&mut self, choice: &Choice) -> Result<Vec<usize>, Stop> {
        let choice = self.plain_choice(choice);
        if self.redraws {
            let menu = Menu::several(self.fit(), choice);
            return self.ask(menu).await;
        }
        let ask = move |plain: Plain<'_>, ear: &mut Ear| plain.select_many(ear, &choice);
        self.ask_plainly(Mode::AsFound, ask).await
    }

    async fn pause(&mut self, prompt: &str) -> Result<(), Stop> {
        let prompt = self.layout.plain(prompt).into_owned();
        if self.redraws {
            let pause = Pause::new(self.fit(), prompt);
            return self.ask(pause).await;
        }
        self.ask_plainly(Mode::AsFound, move |plain, ear| plain.pause(ear, &prompt)).await
    }

    fn say(&mut self, line: Line) {
        self.ignore_keys();
        let text = self.fit().render(&line);
        self.put(&text);
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
        self.ignore_keys();
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
        self.ignore_keys();
        if self.drawn.is_none() {
            // A key that was pressed before this was shown does not answer it.
            self.keys.enter_pressed();
        }
        if self.keys.was_resumed() && self.drawn.as_ref().is_some_and(|drawn| drawn.window.is_some()) {
            // Something else is on the screen: all of it is drawn again, below that.
            self.drawn = None;
        }
        match (frame, self.window()) {
            (None, window) => {
                if let Some(drawn) = self.drawn.take()
                    && drawn.window.is_some()
                {
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

    fn enter_pressed(&mut self) -> bool {
        self.keys.enter_pressed()
    }

    fn event(&mut self, _: &WizardEvent) {}
}

/// The name of a phase of the installation.
fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Wait => "Waiting for another installation",
        Phase::Unpack => "Unpacking the bridge",
        Phase::Download => "Fetching packages",
        Phase::Verify => "Testing",
        Phase::Finish => "Installing",
    }
}

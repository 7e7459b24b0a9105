//! The keyboard of a wizard: raw while a wizard runs, as it was found before and after, and while the program is suspended.
//!
//! Between questions a thread takes the keys, so that none is shown, garbles a progress bar or answers a later question.
//! It hears Ctrl-C and Ctrl-Z, as the terminal itself would. A question has a thread of its own ([`Keyboard::ask`]): reading
//! blocks, and the end of a question that was given up must not wait for a key.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcgetpgrp, tcsetattr,
};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::keys::{Decoder, Key};

/// The keyboard. As it was found when this is dropped.
#[derive(Debug)]
pub(crate) struct Keyboard {
    /// The terminal's mode as it was found; `None` where there is no terminal.
    found: Option<Termios>,
    listener: Option<Listener>,
    noted: Arc<Noted>,
}

/// Events between questions.
#[derive(Debug, Default)]
struct Noted {
    enter: AtomicBool,
    resumed: AtomicBool,
}

/// A thread that reads keys. It has ended when this is dropped.
#[derive(Debug)]
struct Listener {
    wake: PipeWriter,
    continued: Option<AbortHandle>,
    thread: Option<JoinHandle<()>>,
}

/// Written to a listener: end, or the program was continued.
const END: u8 = b'e';
const CONTINUED: u8 = b'c';

/// Between two looks at the size of the window.
const IDLE: Duration = Duration::from_millis(500);
/// The time that the stop of this process may take, once it is asked for.
const STOPPING: Duration = Duration::from_millis(200);
/// The time after that until we hear that we were continued.
const CONTINUING: Duration = Duration::from_millis(50);

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(continued) = self.continued.take() {
            continued.abort();
        }
        // It may have ended already.
        drop(self.wake.write_all(&[END]));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Keyboard {
    /// The keyboard of this process, where `is_tty`.
    pub(crate) fn new(is_tty: bool) -> Self {
        let found = if is_tty { tcgetattr(io::stdin()).ok() } else { None };
        Self { found, listener: None, noted: Arc::default() }
    }

    /// From now on keys are heard by no one, but Ctrl-C and Ctrl-Z.
    pub(crate) fn quiet(&mut self) {
        if self.listener.is_some() || !is_in_foreground() {
            return;
        }
        // At once: the thread may begin later, and until then keys would be shown.
        if let Some(found) = &self.found {
            set(&raw(found));
        }
        let noted = Arc::clone(&self.noted);
        self.listener = self.listen(move |ear| ignore_keys(ear, &noted)).ok();
    }

    /// Ends what [`Self::quiet`] began: keys typed so far are forgotten, except Ctrl-C, and a question follows, which reads for
    /// itself.
    pub(crate) fn hand_over(&mut self, mode: Mode) {
        self.listener = None;
        if let Some(found) = &self.found {
            forget_typed(found);
            set(&match mode {
                Mode::Raw => raw(found),
                Mode::AsFound => found.clone(),
            });
        }
    }

    /// Has `ask` read keys until it has an answer; `None`: there will be none. It ends when the future is dropped.
    pub(crate) async fn ask<T: Send + 'static>(
        &mut self,
        mode: Mode,
        ask: impl FnOnce(&mut Ear) -> io::Result<Option<T>> + Send + 'static,
    ) -> io::Result<Option<T>> {
        self.hand_over(mode);
        let (answer, answered) = oneshot::channel();
        // Dropped with the future, and then the thread ends.
        let _listener = self.listen(move |ear| {
            ear.mode = mode;
            drop(answer.send(ask(ear)));
        })?;
        answered.await.unwrap_or_else(|_| Err(io::Error::other("the question was lost")))
    }

    /// The terminal's mode as it was found; `None` where there is no terminal.
    pub(crate) fn found(&self) -> Option<&Termios> {
        self.found.as_ref()
    }

    fn listen(&self, body: impl FnOnce(&mut Ear) + Send + 'static) -> io::Result<Listener> {
        let found = self.found.clone().ok_or(io::ErrorKind::NotConnected)?;
        let (reader, wake) = io::pipe()?;
        let continued = on_continue(wake.try_clone()?);
        let mut ear = Ear {
            wake: reader,
            found,
            mode: Mode::Raw,
            decoder: Decoder::default(),
            keys: VecDeque::new(),
            is_over: false,
        };
        let listening = move || {
            body(&mut ear);
            // Read, but not heard before the end.
            if ear.keys.contains(&Key::Interrupt) {
                interrupt(&ear.found);
            }
        };
        let thread = std::thread::Builder::new().name("keyboard".to_owned()).spawn(listening)?;
        Ok(Listener { wake, continued, thread: Some(thread) })
    }

    /// Enter was pressed since the last look, while no question was asked.
    pub(crate) fn enter_pressed(&self) -> bool {
        self.noted.enter.swap(false, Ordering::Relaxed)
    }

    /// The program was suspended since the last look, while no question was asked: the screen shows something else.
    pub(crate) fn was_resumed(&self) -> bool {
        self.noted.resumed.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.listener = None;
        if let Some(found) = &self.found {
            // Keys that were typed ahead answer nothing that comes.
            forget_typed(found);
            set(found);
        }
    }
}

/// The editor of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Keys come one by one, and none is shown.
    Raw,
    /// The terminal itself, as it was found.
    AsFound,
}

/// Every key as it is, and nothing shown; what is printed looks as before.
fn raw(found: &Termios) -> Termios {
    let mut mode = found.clone();
    mode.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
    mode.input_modes.remove(InputModes::IXON);
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    mode
}

/// The terminal is ours, and not that of a shell which has put us in the background: there a look at it would stop us.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

fn set(mode: &Termios) {
    if is_in_foreground() {
        // A terminal that is gone has no mode.
        tcsetattr(io::stdin(), OptionalActions::Now, mode).ok();
    }
}

/// Drops the keys that were typed and not read. A Ctrl-C among them is heard: the terminal itself would have sent the signal.
fn forget_typed(found: &Termios) {
    if !is_in_foreground() {
        return;
    }
    let (mut decoder, mut keys, mut bytes) = (Decoder::default(), Vec::new(), [0; 1024]);
    // Bounded: a terminal that is gone may be readable for ever.
    for _ in 0..64 {
        if rustix::io::ioctl_fionread(io::stdin()).unwrap_or(0) == 0 {
            break;
        }
        match rustix::io::read(io::stdin().as_fd(), &mut bytes) {
            Ok(count) if count > 0 => keys.extend(decoder.push(&bytes[..count])),
            Ok(_) | Err(_) => break,
        }
    }
    tcflush(io::stdin(), QueueSelector::IFlush).ok();
    if keys.contains(&Key::Interrupt) {
        interrupt(found);
    }
}

/// Does what the terminal itself would do at Ctrl-C.
fn interrupt(found: &Termios) {
    // It may be the end of the program, and then nothing else restores the terminal.
    set(found);
    kill_process(getpid(), Signal::INT).ok();
}

/// Tells a listener when the program was continued (`fg`): a shell leaves the terminal in another mode.
fn on_continue(mut wake: PipeWriter) -> Option<AbortHandle> {
    let runtime = Handle::try_current().ok()?;
    let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw())).ok()?;
    let telling = runtime.spawn(async move {
        while continued.recv().await.is_some() && wake.write_all(&[CONTINUED]).is_ok() {}
    });
    Some(telling.abort_handle())
}

fn ignore_keys(ear: &mut Ear, noted: &Noted) {
    loop {
        match ear.next() {
            Ok(Heard::Key(Key::Enter)) => noted.enter.store(true, Ordering::Relaxed),
            Ok(Heard::Key(Key::Interrupt)) => {
                interrupt(&ear.found);
                return;
            }
            Ok(Heard::Key(Key::Suspend)) => {
                ear.suspend();
                noted.resumed.store(true, Ordering::Relaxed);
            }
            Ok(Heard::Resumed) => noted.resumed.store(true, Ordering::Relaxed),
            Ok(Heard::Key(_) | Heard::Nothing) => {}
            Ok(Heard::End) | Err(_) => return,
        }
    }
}

/// The event that a listener hears.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A key.
    Key(Key),
    /// The program goes on after it was suspended: what is shown must be drawn again.
    Resumed,
    /// For a while nothing came.
    Nothing,
    /// No one waits any more.
    End,
}

/// The event that the wait for a whole line ends with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// The line, without its end.
    Line(String),
    /// The program goes on after it was suspended: the question has scrolled away.
    Resumed,
    /// The question is over.
    End,
}

/// Reads keys.
#[derive(Debug)]
pub(crate) struct Ear {
    wake: PipeReader,
    found: Termios,
    mode: Mode,
    decoder: Decoder,
    keys: VecDeque<Key>,
    /// No one waits any more.
    is_over: bool,
}

/// The end of a wait.
enum Ready {
    Input,
    Wake,
    Nothing,
}

impl Ear {
    /// The next event. Waits for it.
    pub(crate) fn next(&mut self) -> io::Result<Heard> {
        loop {
            if self.is_over {
                return Ok(Heard::End);
            }
            if let Some(key) = self.keys.pop_front() {
                return Ok(Heard::Key(key));
            }
            let patience = self.decoder.patience();
            match self.wait(patience.unwrap_or(IDLE))? {
                Ready::Wake if self.is_continued()? => return Ok(Heard::Resumed),
                Ready::Wake => {}
                Ready::Input => self.read()?,
                Ready::Nothing if patience.is_some() => self.keys.extend(self.decoder.flush()),
                Ready::Nothing => return Ok(Heard::Nothing),
            }
        }
    }

    /// There are keys that came together with the last one: what is drawn now would be drawn again at once.
    pub(crate) fn has_more(&self) -> bool {
        !self.keys.is_empty()
    }

    /// True when more text follows at once, as behind a line break in what is pasted. Other keys that follow are forgotten;
    /// `None`: it was Ctrl-C.
    pub(crate) fn text_follows(&mut self) -> io::Result<Option<bool>> {
        const AT_ONCE: Duration = Duration::from_millis(30);
        loop {
            match self.keys.front() {
                Some(Key::Text(_) | Key::Paste(_)) => return Ok(Some(true)),
                Some(Key::Interrupt) => return Ok(None),
                Some(_) => drop(self.keys.pop_front()),
                None => match self.wait(AT_ONCE)? {
                    Ready::Input => self.read()?,
                    Ready::Wake | Ready::Nothing => return Ok(Some(false)),
                },
            }
        }
    }

    /// A line that the terminal has edited itself. Lines that come with it, as in what is pasted, are joined.
    pub(crate) fn line(&mut self) -> io::Result<Typed> {
        const AT_ONCE: Duration = Duration::from_millis(30);
        let mut line = Vec::new();
        loop {
            let limit = if line.ends_with(b"\n") { AT_ONCE } else { IDLE };
            match self.wait(limit)? {
                Ready::Wake if self.is_continued()? => return Ok(Typed::Resumed),
                Ready::Wake => return Ok(Typed::End),
                Ready::Input => {
                    let mut bytes = [0; 4096];
                    match rustix::io::read(io::stdin().as_fd(), &mut bytes) {
                        // Ctrl-D.
                        Ok(0) if line.is_empty() => return Ok(Typed::End),
                        Ok(0) => line.push(b'\n'),
                        Ok(count) => line.extend_from_slice(&bytes[..count]),
                        Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ready::Nothing if line.ends_with(b"\n") => {
                    return Ok(Typed::Line(String::from_utf8_lossy(&line).into_owned()));
                }
                Ready::Nothing => {}
            }
        }
    }

    /// Stops this program, and those that were started with it, until the shell continues them.
    pub(crate) fn suspend(&mut self) {
        set(&self.found);
        kill_current_process_group(Signal::TSTP).ok();
        // The stop comes a moment later, and the word that we were continued soon after it. Without a shell that could continue
        // us there is neither.
        for limit in [STOPPING, CONTINUING] {
            let mut wake = [PollFd::new(&self.wake, PollFlags::IN)];
            let count = Timespec::try_from(limit).map_or(Ok(0), |limit| poll(&mut wake, Some(&limit)));
            let mut word = [0];
            if count.is_ok_and(|count| count > 0) && self.wake.read_exact(&mut word).is_ok() {
                self.is_over = word[0] == END;
                break;
            }
        }
        self.restore_mode();
    }

    /// Takes the word that was given: the program was continued, or it is over.
    fn is_continued(&mut self) -> io::Result<bool> {
        let mut word = [0];
        self.wake.read_exact(&mut word)?;
        self.is_over = word[0] == END;
        if !self.is_over {
            self.restore_mode();
        }
        Ok(!self.is_over)
    }

    fn restore_mode(&self) {
        set(&match self.mode {
            Mode::Raw => raw(&self.found),
            Mode::AsFound => self.found.clone(),
        });
    }

    fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 1024];
        match rustix::io::read(io::stdin().as_fd(), &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.keys.extend(self.decoder.push(&bytes[..count]));
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn wait(&self, limit: Duration) -> io::Result<Ready> {
        let (stdin, limit) = (io::stdin(), Timespec::try_from(limit).map_err(io::Error::other)?);
        let mut fds = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
        while let Err(error) = poll(&mut fds, Some(&limit)) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        let [input, wake] = fds.map(|fd| !fd.revents().is_empty());
        Ok(if wake {
            Ready::Wake
        } else if input {
            Ready::Input
        } else {
            Ready::Nothing
        })
    }
}

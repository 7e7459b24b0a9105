//! Pure. Lays out the screen on which a code is shown: the code in the best form that fits, the words beside or below it, and
//! the keys in the last line.

use crate::wizard::ui::picture::{self, Extent, Protocol};
use crate::wizard::ui::qr::{Code, Drawing, Ink, QUIET_ZONES, Size};
use crate::wrap::wrap;

/// The abilities of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// The window.
    pub window: Size,
    /// The pixels of a cell, where they are known.
    pub cell: Option<Size>,
    /// The way in which pictures are shown.
    pub pictures: Pictures,
    /// Characters outside ASCII can be shown.
    pub utf8: bool,
    /// So can sextants.
    pub sextants: bool,
    /// Keys can be pressed.
    pub keys: bool,
}

/// The knowledge about pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// The terminal was asked a moment ago.
    Asked,
    /// It has none.
    None,
    /// It has this protocol.
    By(Protocol),
}

/// The form in which a person, or the command line, wants the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The best one that fits.
    Best,
    /// A picture on the screen.
    Picture,
    /// With these characters.
    Drawn(Drawing),
    /// The payload, on the screen.
    Text,
    /// A picture in this file.
    File(std::path::PathBuf),
    /// The payload, on standard output.
    Printed,
}

/// The content of a screen.
#[derive(Debug)]
pub struct Content<'a> {
    /// The code; `None` when the payload is too long for one.
    pub code: Option<&'a Code>,
    /// The payload.
    pub payload: &'a str,
    /// The form.
    pub form: &'a Form,
    /// The heading.
    pub title: &'a str,
    /// The instructions.
    pub about: &'a str,
    /// The time until the next one.
    pub live: &'a str,
}

/// A whole screen.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    /// The part that has to be the same for single rows to be redrawn: otherwise the screen is cleared first.
    pub outline: Outline,
    /// The rows from the top.
    pub rows: Vec<Row>,
    /// The sequence that puts a picture into the upper left corner.
    pub picture: Option<String>,
}

/// See [`Page::outline`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    window: Size,
    form: Form,
    art: Size,
}

/// One row of a screen, or several: a text that is longer goes on in the next ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Counts from 0.
    pub row: usize,
    /// Counts from 0; what is left of it stays.
    pub col: usize,
    /// The text, colours included.
    pub text: String,
}

/// A form that fits, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    Picture { protocol: Protocol, extent: Extent, is_beside: bool },
    Drawn { drawing: Drawing, quiet: usize, is_beside: bool },
}

/// Between the code and the words beside it.
const GAP: usize = 3;
/// The fewest columns of the words beside it.
const SIDE_COLS_MIN: usize = 28;
/// The widest words that are easily read.
const SIDE_COLS_MAX: usize = 60;
/// Columns left of words.
const INDENT: usize = 2;
/// Rows that a picture needs at most: a larger one is not easier to scan.
const PICTURE_ROWS_MAX: usize = 24;
/// Pixels of a module that a camera can still tell apart.
const SCALE_MIN: usize = 3;
/// Pixels of a module where the terminal fits the picture into its rows.
const SCALE: usize = 8;

impl Canvas {
    /// The room for a code: beside words, or above them.
    fn room(&self, is_beside: bool) -> Size {
        let Size { cols, rows } = self.window;
        if is_beside {
            // Only the keys are below it.
            Size { cols: cols.saturating_sub(GAP + SIDE_COLS_MIN), rows: rows.saturating_sub(1) }
        } else {
            Size { cols, rows: rows.saturating_sub(2) }
        }
    }

    fn place_drawing(&self, code: &Code, drawing: Drawing) -> Option<Placed> {
        let can_be_shown = match drawing {
            Drawing::Blocks => self.utf8,
            Drawing::Sextants => self.sextants,
            Drawing::Ascii => true,
        };
        let ways = QUIET_ZONES.into_iter().flat_map(|quiet| [(quiet, true), (quiet, false)]);
        let fits = |(quiet, is_beside): &(usize, bool)| {
            can_be_shown && code.size(drawing, *quiet).fits(self.room(*is_beside))
        };
        let (quiet, is_beside) = ways.into_iter().find(fits)?;
        Some(Placed::Drawn { drawing, quiet, is_beside })
    }

    fn place_picture(&self, code: &Code) -> Option<Placed> {
        let Pictures::By(protocol) = self.pictures else { return None };
        [true, false].into_iter().find_map(|is_beside| {
            let extent = self.extent(code.side(picture::QUIET), self.room(is_beside), protocol)?;
            Some(Placed::Picture { protocol, extent, is_beside })
        })
    }

    /// The largest picture in this room.
    fn extent(&self, side: usize, room: Size, protocol: Protocol) -> Option<Extent> {
        let rows = room.rows.min(PICTURE_ROWS_MAX);
        if let Some(cell) = self.cell {
            let scale = (rows * cell.rows).min(room.cols * cell.cols) / side;
            let pixels = side * scale;
            // Sixels come in lines of six.
            let cells = Size {
                cols: pixels.div_ceil(cell.cols),
                rows: pixels.next_multiple_of(6).div_ceil(cell.rows),
            };
            return (scale >= SCALE_MIN && cells.rows <= room.rows).then_some(Extent {
                scale,
                cells,
                is_exact: true,
            });
        }
        // A cell is at most two and a half times as high as wide. Sixels cannot be fitted into rows.
        let rows = rows.min(room.cols * 2 / 5);
        let cells = Size { cols: (rows * 5).div_ceil(2), rows };
        let is_large_enough = rows * 4 >= side;
        (protocol != Protocol::Sixel && is_large_enough).then_some(Extent {
            scale: SCALE,
            cells,
            is_exact: false,
        })
    }

    /// The forms that fit, the best first.
    fn fitting(&self, code: &Code) -> Vec<Placed> {
        let drawings = [Drawing::Blocks, Drawing::Sextants, Drawing::Ascii];
        self.place_picture(code)
            .into_iter()
            .chain(drawings.into_iter().filter_map(|drawing| self.place_drawing(code, drawing)))
            .collect()
    }

    /// The form after this one: the next that fits.
    pub fn next_form(&self, code: &Code, form: &Form) -> Form {
        let fitting = self.fitting(code);
        let at = match form {
            Form::Best => Some(0),
            // In place of a picture that cannot be shown, the best form is.
            Form::Picture => fitting.iter().position(|placed| placed.form() == *form).or(Some(0)),
            Form::Drawn(_) => fitting.iter().position(|placed| placed.form() == *form),
            Form::Text | Form::File(_) | Form::Printed => None,
        };
        // The first is the best, and stays that when the window changes.
        let next = at.map_or(0, |at| (at + 1) % fitting.len().max(1));
        fitting.get(next).filter(|_| next > 0).map_or(Form::Best, Placed::form)
    }

    /// The smallest drawing that these characters can make, with the words that it needs.
    fn needed(&self, code: &Code, form: &Form) -> Size {
        let drawing = match form {
            Form::Drawn(drawing) => *drawing,
            Form::Best | Form::Picture | Form::Text | Form::File(_) | Form::Printed => {
                if self.sextants {
                    Drawing::Sextants
                } else if self.utf8 {
                    Drawing::Blocks
                } else {
                    Drawing::Ascii
                }
            }
        };
        let size = code.size(drawing, QUIET_ZONES[1]);
        Size { cols: size.cols, rows: size.rows + 2 }
    }
}

impl Placed {
    fn form(&self) -> Form {
        match self {
            Self::Picture { .. } => Form::Picture,
            Self::Drawn { drawing, .. } => Form::Drawn(*drawing),
        }
    }
}

impl Page {
    /// The sequence that makes this page of the one that is there, or of an empty screen. Rows that are the same are left alone.
    pub fn paint(&self, before: Option<&Self>) -> String {
        let mut text = String::new();
        let before = before.filter(|before| before.outline == self.outline);
        if before.is_none() {
            text += "\x1b[0m\x1b[H\x1b[2J";
        }
        if let Some(picture) = &self.picture
            && before.is_none_or(|before| before.picture.as_ref() != Some(picture))
        {
            text += &format!("\x1b[H{picture}");
        }
        for row in self.rows.iter().filter(|row| !before.is_some_and(|before| before.rows.contains(row))) {
            let words = crate::visible::page(&row.text);
            // Cleared before, not after: behind the last column that would take the last character.
            text += &format!("\x1b[{};{}H\x1b[K{words}", row.row + 1, row.col + 1);
        }
        text
    }
}

/// The screen with this content.
pub fn page(content: &Content<'_>, canvas: &Canvas) -> Page {
    let fitting = content.code.map(|code| canvas.fitting(code)).unwrap_or_default();
    let wanted = fitting.iter().find(|placed| placed.form() == *content.form);
    let placed = match content.form {
        // A terminal without pictures does not get them by a larger window.
        Form::Best | Form::Picture => wanted.or(fitting.first()),
        Form::Drawn(_) => wanted,
        Form::Text | Form::File(_) | Form::Printed => None,
    };
    let mut sheet = Sheet { canvas, rows: Vec::new() };
    let (form, art, picture) = match (placed, content.code) {
        (Some(placed), Some(code)) => sheet.show(content, code, *placed, fitting.len()),
        (Some(_), None) | (None, _) => {
            sheet.tell(content, !fitting.is_empty());
            (content.form.clone(), Size { cols: content.payload.len(), rows: 0 }, None)
        }
    };
    let outline = Outline { window: canvas.window, form, art };
    Page { outline, rows: sheet.rows, picture }
}

struct Sheet<'a> {
    canvas: &'a Canvas,
    rows: Vec<Row>,
}

impl Sheet<'_> {
    /// A code and the words around it.
    fn show(
        &mut self,
        content: &Content<'_>,
        code: &Code,
        placed: Placed,
        forms: usize,
    ) -> (Form, Size, Option<String>) {
        let (art, is_beside, lines, picture) = match placed {
            Placed::Picture { protocol, extent, is_beside } => {
                (extent.cells, is_beside, Vec::new(), Some(picture::show(code, protocol, extent)))
            }
            Placed::Drawn { drawing, quiet, is_beside } => {
                (code.size(drawing, quiet), is_beside, code.lines(drawing, quiet, Ink::Painted), None)
            }
        };
        let hint = match (placed, content.form) {
            (Placed::Picture { .. }, _) => "",
            (Placed::Drawn { .. }, Form::Picture) => "This terminal does not show pictures.",
            (Placed::Drawn { drawing: Drawing::Sextants, .. }, _) => {
                "Hard to scan? Enlarge the window. Boxes or question marks instead of a code? Press c, p or t."
            }
            (Placed::Drawn { drawing: Drawing::Blocks | Drawing::Ascii, .. }, _) => "",
        };
        for (row, text) in lines.into_iter().enumerate() {
            self.put(row, 0, text);
        }
        let Size { cols, rows } = self.canvas.window;
        let keys = self.keys(if forms > 1 { "another form" } else { "" });
        if is_beside {
            let col = art.cols + GAP;
            let width = cols.saturating_sub(col + 1).min(SIDE_COLS_MAX);
            let mut words = vec![String::new(), content.title.to_owned(), String::new()];
            words.extend(wrap(content.about, width));
            words.extend([String::new(), content.live.to_owned()]);
            if !hint.is_empty() && self.canvas.keys {
                words.push(String::new());
                words.extend(wrap(hint, width));
            }
            words.truncate(art.rows);
            for (row, text) in words.into_iter().enumerate() {
                self.join(row, col, text);
            }
            self.put((art.rows + 1).min(rows.saturating_sub(1)), INDENT, keys);
        } else {
            // As many of the words as there is room for; when the code changes, and the keys, always.
            let mut words = wrap(content.about, cols.saturating_sub(INDENT + 1).min(SIDE_COLS_MAX));
            words.push(String::new());
            let room = rows.saturating_sub(art.rows + 2);
            if words.len() > room {
                words.clear();
            }
            words.extend([content.live.to_owned(), keys]);
            for (at, text) in words.into_iter().enumerate() {
                self.put(art.rows + at, INDENT, text);
            }
        }
        (placed.form(), art, picture)
    }

    /// Words alone: the payload, a file's name, or that there is no room.
    fn tell(&mut self, content: &Content<'_>, has_forms: bool) {
        let Size { cols, rows } = self.canvas.window;
        let width = cols.saturating_sub(INDENT + 1).min(SIDE_COLS_MAX + INDENT);
        let mut back = if has_forms { "back" } else { "" };
        let mut words = vec![content.title.to_owned(), String::new()];
        let mut verbatim = None;
        match (content.form, content.code) {
            (Form::File(path), Some(_)) => {
                words.extend(wrap(
                    "The code is in this picture, which is removed afterwards. Open it.",
                    width,
                ));
                words.extend(wrap(content.about, width));
                verbatim = Some(path.display().to_string());
            }
            (Form::Best | Form::Picture | Form::Drawn(_), Some(code)) => {
                let needed = self.canvas.needed(code, content.form);
                let text = format!(
                    "The code needs a window of {} columns and {} rows. This one has {cols} and {rows}. Enlarge it and the \
                     code appears here.",
                    needed.cols, needed.rows
                );
                words.extend(wrap(&text, width));
                if has_forms {
                    back = "another form";
                }
            }
            (Form::Text | Form::Printed, _) | (_, None) => {
                words.extend(wrap("Turn this text into a QR code with another program or device.", width));
                words.extend(wrap(content.about, width));
                verbatim = Some(content.payload.to_owned());
            }
        }
        words.push(String::new());
        let mut row = 0;
        for text in words {
            self.put(row, INDENT, text);
            row += 1;
        }
        if let Some(text) = verbatim {
            let taken = text.chars().count().div_ceil(cols.max(1));
            self.put(row, 0, text);
            row += taken + 1;
        }
        self.put(row, INDENT, content.live.to_owned());
        let keys = self.keys(back);
        self.put((row + 2).min(rows.saturating_sub(1)), INDENT, keys);
    }

    /// The keys in one line. `form`: what `f` does; empty when it does nothing.
    fn keys(&self, form: &str) -> String {
        if !self.canvas.keys {
            return "Ctrl-C stops.".to_owned();
        }
        let long = [
            ("f", form),
            ("c", "linking code"),
            ("p", "picture file"),
            ("t", "raw text"),
            ("Ctrl-C", "stop"),
        ];
        let short = [("f", "form"), ("c", "code"), ("p", "file"), ("t", "text"), ("^C", "")];
        let join = |keys: &[(&str, &str)], between: &str| {
            let known = keys.iter().filter(|(key, _)| *key != "f" || !form.is_empty());
            let words: Vec<String> =
                known.map(|(key, word)| format!("{key} {word}").trim_end().to_owned()).collect();
            words.join(between)
        };
        let room = self.canvas.window.cols.saturating_sub(INDENT);
        let line = join(&long, "   ");
        if line.len() <= room { line } else { join(&short, "  ") }
    }

    fn put(&mut self, row: usize, col: usize, text: String) {
        if row < self.canvas.window.rows {
            self.rows.push(Row { row, col, text: self.shown(text) });
        }
    }

    /// Puts words behind what is in this row.
    fn join(&mut self, row: usize, col: usize, text: String) {
        let text = self.shown(text);
        match self.rows.iter_mut().find(|there| there.row == row) {
            Some(there) => there.text += &format!("{}{text}", " ".repeat(GAP)),
            None => self.put(row, col, text),
        }
    }

    fn shown(&self, text: String) -> String {
        if self.canvas.utf8 { text } else { text.replace('→', ">") }
    }
}

impl std::fmt::Debug for Page {
    /// A code is a secret until it expires.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Page({:?})", self.outline)
    }
}

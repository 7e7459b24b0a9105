//! Pure. Draws a QR code with characters, and as the pixels of a picture.
//!
//! Level L, because nothing covers a part of a code on a screen and every other level makes it larger.
//!
//! The colours of a code are content, not decoration: `NO_COLOR` leaves them as they are. Without them a code would be
//! black on white in one terminal and white on black in the next.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around a code: what the standard asks for, and what phones still read where the window has no more room.
pub const QUIET_ZONES: [usize; 2] = [4, 2];

/// Black on white for every cell, whatever the theme: numbers 16 and 231 of the fixed colour cube, because themes
/// re-colour the first sixteen.
const PAPER: &str = "\x1b[38;5;16;48;5;231m";
const PLAIN: &str = "\x1b[0m";

/// A drawing of a code with characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// Two modules in a cell, one above the other, by half blocks: the module is a square.
    Blocks,
    /// Two by three modules in a cell, by the sextants of Unicode 13. A module is 3 wide and 4 high, which decoders read.
    Sextants,
    /// `##` or two spaces for each module.
    Ascii,
}

/// The colours of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Black on white.
    Painted,
    /// No colours can be set. The light modules are drawn, because most terminals write light on dark.
    Bare,
}

/// Columns and rows, of a drawing, a cell or a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub cols: usize,
    /// Rows.
    pub rows: usize,
}

impl Size {
    /// True when something of this size fits into `window`.
    pub fn fits(self, window: Self) -> bool {
        self.cols <= window.cols && self.rows <= window.rows
    }
}

/// A QR code.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    width: usize,
    dark: Vec<bool>,
}

impl Code {
    /// The code that says `payload`; `None` when it is too long for any.
    pub fn of(payload: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(payload, EcLevel::L).ok()?;
        let width = code.width();
        Some(Self { width, dark: code.to_colors().into_iter().map(|color| color == Color::Dark).collect() })
    }

    /// Modules on each side, with a quiet zone of `quiet` around the code.
    pub fn side(&self, quiet: usize) -> usize {
        self.width + 2 * quiet
    }

    /// True when the module there is dark, counted with a quiet zone of `quiet` around the code. Light everywhere else.
    fn is_dark(&self, x: usize, y: usize, quiet: usize) -> bool {
        let inside = |at: usize| at.checked_sub(quiet).filter(|at| *at < self.width);
        matches!((inside(x), inside(y)), (Some(x), Some(y)) if self.dark[y * self.width + x])
    }

    /// The size of the drawing.
    pub fn size(&self, drawing: Drawing, quiet: usize) -> Size {
        let side = self.side(quiet);
        match drawing {
            Drawing::Blocks => Size { cols: side, rows: side.div_ceil(2) },
            Drawing::Sextants => Size { cols: side.div_ceil(2), rows: side.div_ceil(3) },
            Drawing::Ascii => Size { cols: side * 2, rows: side },
        }
    }

    /// The drawing, line by line.
    pub fn lines(&self, drawing: Drawing, quiet: usize, ink: Ink) -> Vec<String> {
        let Size { cols, rows } = self.size(drawing, quiet);
        let drawn = |x: usize, y: usize| self.is_dark(x, y, quiet) == (ink == Ink::Painted);
        let cell = |col: usize, row: usize| match drawing {
            Drawing::Blocks => block([drawn(col, row * 2), drawn(col, row * 2 + 1)]),
            Drawing::Sextants => sextant(std::array::from_fn(|at| drawn(col * 2 + at % 2, row * 3 + at / 2))),
            Drawing::Ascii => {
                if drawn(col / 2, row) {
                    '#'
                } else {
                    ' '
                }
            }
        };
        (0..rows)
            .map(|row| {
                let cells: String = (0..cols).map(|col| cell(col, row)).collect();
                match ink {
                    Ink::Painted => format!("{PAPER}{cells}{PLAIN}"),
                    Ink::Bare => cells,
                }
            })
            .collect()
    }

    /// Brightness of each pixel of a square picture, line by line, with `scale` pixels for a module.
    pub fn pixels(&self, quiet: usize, scale: usize) -> Vec<u8> {
        let side = self.side(quiet) * scale;
        (0..side * side)
            .map(|at| if self.is_dark(at % side / scale, at / side / scale, quiet) { 0 } else { 255 })
            .collect()
    }

    /// The same as a PNG file.
    pub fn png(&self, quiet: usize, scale: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let side = u32::try_from(self.side(quiet) * scale).expect("a picture is smaller than any screen");
        let mut encoder = png::Encoder::new(&mut bytes, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("writing to memory does not fail");
        writer
            .write_image_data(&self.pixels(quiet, scale))
            .expect("the pixels are as many as the header says");
        writer.finish().expect("writing to memory does not fail");
        bytes
    }
}

/// The character whose upper and lower half are drawn like this.
fn block(drawn: [bool; 2]) -> char {
    match drawn {
        [true, true] => '█',
        [true, false] => '▀',
        [false, true] => '▄',
        [false, false] => ' ',
    }
}

/// The character whose six parts are drawn like this, row by row. Unicode has sixty of them in the order of these bits from
/// U+1FB00 on, without the four that it had before.
fn sextant(drawn: [bool; 6]) -> char {
    const LEFT: u32 = 0b01_01_01;
    const RIGHT: u32 = 0b10_10_10;
    const FULL: u32 = LEFT | RIGHT;
    let bits = drawn.iter().rev().fold(0, |bits, drawn| bits << 1 | u32::from(*drawn));
    match bits {
        0 => ' ',
        LEFT => '▌',
        RIGHT => '▐',
        FULL => '█',
        bits => {
            let before = 1 + u32::from(bits > LEFT) + u32::from(bits > RIGHT);
            char::from_u32(0x1fb00 + bits - before).expect("all sixty are characters")
        }
    }
}

impl std::fmt::Debug for Code {
    /// A code is a secret until it expires.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({0}×{0})", self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wizard::whatsapp::stage::payload;

    const WINDOW: Size = Size { cols: 80, rows: 24 };

    #[test]
    fn a_code_of_whatsapp_has_these_sizes() {
        let code = Code::of(&payload(1)).unwrap();
        assert_eq!(code.side(4), 65);
        for (drawing, quiet, cols, rows) in [
            (Drawing::Blocks, 4, 65, 33),
            (Drawing::Blocks, 2, 61, 31),
            (Drawing::Sextants, 4, 33, 22),
            (Drawing::Sextants, 2, 31, 21),
            (Drawing::Ascii, 2, 122, 61),
        ] {
            let size = code.size(drawing, quiet);
            assert_eq!(size, Size { cols, rows }, "{drawing:?} {quiet}");
            assert_eq!(size.fits(WINDOW), drawing == Drawing::Sextants, "{drawing:?} {quiet}");
            let lines = code.lines(drawing, quiet, Ink::Bare);
            assert_eq!(lines.len(), rows);
            assert!(lines.iter().all(|line| line.chars().count() == cols), "{drawing:?} {quiet}");
        }
    }

    #[test]
    fn each_of_the_sextants_is_the_one_with_these_parts() {
        // By their names in the Unicode standard: BLOCK SEXTANT- and the numbers of the parts.
        for (parts, sign) in [
            ("1", '\u{1fb00}'),
            ("2", '\u{1fb01}'),
            ("12", '\u{1fb02}'),
            ("235", '\u{1fb14}'),
            ("1236", '\u{1fb25}'),
            ("23456", '\u{1fb3b}'),
            ("135", '▌'),
            ("246", '▐'),
            ("123456", '█'),
            ("", ' '),
        ] {
            let drawn = std::array::from_fn(|at| parts.contains(&(at + 1).to_string()));
            assert_eq!(sextant(drawn), sign, "{parts}: {:x}", u32::from(sextant(drawn)));
        }
        let all = (0..64u32).map(|bits| sextant(std::array::from_fn(|at| bits >> at & 1 == 1)));
        assert_eq!(all.collect::<std::collections::BTreeSet<_>>().len(), 64);
    }

    #[test]
    fn colours_are_in_every_line_or_in_none() {
        let code = Code::of("short").unwrap();
        for drawing in [Drawing::Blocks, Drawing::Sextants, Drawing::Ascii] {
            let painted = code.lines(drawing, 2, Ink::Painted);
            assert!(painted.iter().all(|line| line.starts_with(PAPER) && line.ends_with(PLAIN)));
            let bare = code.lines(drawing, 2, Ink::Bare);
            assert!(!bare.iter().any(|line| line.contains('\x1b')));
            assert!(!bare[0].contains(' '), "the quiet zone is drawn: {:?}", bare[0]);
        }
    }

    #[test]
    fn a_code_does_not_show_itself_to_debug_and_a_payload_may_be_too_long() {
        assert!(format!("{:?}", Code::of("x").unwrap()).starts_with("Code(21"));
        assert!(Code::of(&"x".repeat(5000)).is_none());
    }
}

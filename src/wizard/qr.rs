//! Pure. Draws a QR code for terminals and as a picture.
//!
//! Level L, because nothing covers a part of a code on a screen and every other level makes it larger. A quiet zone of
//! two, not the four of the standard: phones read it, and four more columns and two more rows would not fit many
//! windows. The picture has room and keeps four.

use qrcode::{Color, EcLevel, QrCode};

const QUIET: usize = 2;
const PICTURE_QUIET: usize = 4;
const PICTURE_SCALE: usize = 8;

/// Black on white for every cell, whatever the theme: numbers 16 and 231 of the fixed colour cube, because themes
/// re-colour the first sixteen.
const PAPER: &str = "\x1b[38;5;16;48;5;231m";
const PLAIN: &str = "\x1b[0m";

/// How a code is drawn with characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// Two modules above each other in one cell, by half blocks.
    Blocks,
    /// `##` or two spaces for each module.
    Ascii,
}

/// Columns and rows, of a drawing or a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub cols: usize,
    /// Rows.
    pub rows: usize,
}

impl Size {
    /// Whether something of this size fits into `window`.
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

    /// Whether the module there is dark, counted with a quiet zone of `quiet` around the code.
    fn is_dark(&self, x: usize, y: usize, quiet: usize) -> bool {
        let inside = |at: usize| at.checked_sub(quiet).filter(|at| *at < self.width);
        matches!((inside(x), inside(y)), (Some(x), Some(y)) if self.dark[y * self.width + x])
    }

    /// How large the drawing is.
    pub fn size(&self, drawing: Drawing) -> Size {
        let side = self.width + 2 * QUIET;
        match drawing {
            Drawing::Blocks => Size { cols: side, rows: side.div_ceil(2) },
            Drawing::Ascii => Size { cols: side * 2, rows: side },
        }
    }

    /// The drawing, line by line. `paint`: with colours, so that it is dark on light under any theme.
    pub fn lines(&self, drawing: Drawing, paint: bool) -> Vec<String> {
        let side = self.width + 2 * QUIET;
        let size = self.size(drawing);
        (0..size.rows)
            .map(|row| {
                let cells: String = match drawing {
                    Drawing::Blocks => (0..side).map(|x| self.block(x, row)).collect(),
                    Drawing::Ascii => {
                        (0..side).map(|x| if self.is_dark(x, row, QUIET) { "##" } else { "  " }).collect()
                    }
                };
                if paint { format!("{PAPER}{cells}{PLAIN}") } else { cells }
            })
            .collect()
    }

    fn block(&self, x: usize, row: usize) -> char {
        match (self.is_dark(x, row * 2, QUIET), self.is_dark(x, row * 2 + 1, QUIET)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        }
    }

    /// The code as a PNG file.
    pub fn png(&self) -> Vec<u8> {
        let side = (self.width + 2 * PICTURE_QUIET) * PICTURE_SCALE;
        let mut pixels = Vec::with_capacity(side * side);
        for y in 0..side {
            for x in 0..side {
                let dark = self.is_dark(x / PICTURE_SCALE, y / PICTURE_SCALE, PICTURE_QUIET);
                pixels.push(if dark { 0 } else { 255 });
            }
        }
        let mut bytes = Vec::new();
        let side = u32::try_from(side).expect("the largest QR code has 177 modules");
        let mut encoder = png::Encoder::new(&mut bytes, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("writing to memory does not fail");
        writer.write_image_data(&pixels).expect("the pixels are as many as the header says");
        writer.finish().expect("writing to memory does not fail");
        bytes
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
    use proptest::prelude::*;

    use super::*;

    /// As long as the codes of WhatsApp are: an address, then four base64 fields.
    pub(crate) fn payload() -> String {
        let key = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
        format!("https://wa.me/settings/linked_devices#2@{},{key},{key},{key},1", "Ab9/".repeat(24))
    }

    /// Reads the pixels as a camera would.
    fn read(width: usize, height: usize, dark: impl Fn(usize, usize) -> bool) -> Option<String> {
        const SCALE: usize = 4;
        const MARGIN: usize = 8;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(
            (width + MARGIN) * SCALE,
            (height + MARGIN) * SCALE,
            |x, y| {
                let inside = |at: usize| (at / SCALE).checked_sub(MARGIN / 2);
                match (inside(x), inside(y)) {
                    (Some(x), Some(y)) if x < width && y < height && dark(x, y) => 0,
                    _ => 255,
                }
            },
        );
        let grids = image.detect_grids();
        Some(grids.first()?.decode().ok()?.1)
    }

    /// Reads what a terminal shows: every cell must say its colours, and they must be black on white.
    fn read_drawing(code: &Code, drawing: Drawing) -> Option<String> {
        let lines: Vec<Vec<char>> = code
            .lines(drawing, true)
            .iter()
            .map(|line| {
                let cells = line.strip_prefix(PAPER).unwrap().strip_suffix(PLAIN).unwrap();
                cells.chars().collect()
            })
            .collect();
        let size = code.size(drawing);
        assert_eq!(lines.len(), size.rows);
        assert!(lines.iter().all(|line| line.len() == size.cols));
        match drawing {
            Drawing::Blocks => read(size.cols, size.rows * 2, |x, y| match lines[y / 2][x] {
                '█' => true,
                '▀' => y % 2 == 0,
                '▄' => y % 2 == 1,
                _ => false,
            }),
            Drawing::Ascii => read(size.cols / 2, size.rows, |x, y| lines[y][x * 2] == '#'),
        }
    }

    #[test]
    fn both_drawings_are_read_by_a_decoder() {
        let payload = payload();
        let code = Code::of(&payload).unwrap();
        for drawing in [Drawing::Blocks, Drawing::Ascii] {
            assert_eq!(read_drawing(&code, drawing).as_deref(), Some(payload.as_str()), "{drawing:?}");
        }
    }

    #[test]
    fn a_code_of_whatsapp_fits_a_usual_window_and_not_80_by_24() {
        let code = Code::of(&payload()).unwrap();
        let small = Size { cols: 80, rows: 24 };
        assert!(!code.size(Drawing::Blocks).fits(small));
        assert!(
            code.size(Drawing::Blocks).fits(Size { cols: 80, rows: 40 }),
            "{:?}",
            code.size(Drawing::Blocks)
        );
        assert!(!code.size(Drawing::Ascii).fits(Size { cols: 80, rows: 40 }));
        let short = Code::of("short").unwrap();
        assert!(short.size(Drawing::Blocks).fits(small));
    }

    #[test]
    fn the_picture_is_read_by_a_decoder() {
        let payload = payload();
        let bytes = Code::of(&payload).unwrap().png();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let width = info.width as usize;
        let read = read(width, info.height as usize, |x, y| pixels[y * width + x] < 128);
        assert_eq!(read.as_deref(), Some(payload.as_str()));
    }

    #[test]
    fn a_code_does_not_show_itself_to_debug_and_a_payload_may_be_too_long() {
        assert!(format!("{:?}", Code::of("x").unwrap()).starts_with("Code(21"));
        assert!(Code::of(&"x".repeat(5000)).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_payload_is_read_back(payload in "[A-Za-z0-9+/=@,#:._-]{1,400}") {
            let code = Code::of(&payload).unwrap();
            prop_assert_eq!(read_drawing(&code, Drawing::Blocks), Some(payload));
        }
    }
}

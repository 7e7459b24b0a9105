//! Terminals that show pictures: their answers to queries, and the pictures that they show.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::pixels::Pixels;

/// The pixels of a cell on every screen here.
pub(crate) const CELL: (usize, usize) = (10, 20);

/// A terminal as programs know it: by its answers and variables.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Likeness {
    /// True when it has kitty's protocol.
    pub(crate) has_kitty: bool,
    /// Its name and version.
    pub(crate) name: Option<&'static str>,
    /// True when it reports the size of a cell.
    pub(crate) says_cell: bool,
    /// Its attributes (DA1); without them it answers nothing at all.
    pub(crate) attributes: Option<&'static str>,
    /// True when its answers come at the test's request.
    pub(crate) is_late: bool,
    /// Further variables.
    pub(crate) variables: &'static [(&'static str, &'static str)],
}

impl Likeness {
    pub(crate) const KITTY: Self = Self {
        has_kitty: true,
        name: Some("kitty(0.42.1)"),
        says_cell: true,
        attributes: Some("?62;52;"),
        is_late: false,
        variables: &[("TERM", "xterm-kitty")],
    };
    pub(crate) const ITERM2: Self = Self {
        has_kitty: false,
        name: Some("iTerm2 3.5.10"),
        says_cell: false,
        attributes: Some("?64;1;2;4;6;17;18;21;22"),
        is_late: false,
        variables: &[("TERM_PROGRAM", "iTerm.app")],
    };
    pub(crate) const FOOT: Self = Self {
        has_kitty: false,
        name: Some("foot(1.20.2)"),
        says_cell: true,
        attributes: Some("?62;4;22;28"),
        is_late: false,
        variables: &[("TERM", "foot")],
    };
    /// xterm with its usual settings.
    pub(crate) const XTERM: Self = Self {
        has_kitty: false,
        name: Some("XTerm(390)"),
        says_cell: false,
        attributes: Some("?64;1;2;6;9;15;16;17;18;21;22;28"),
        is_late: false,
        variables: &[],
    };

    /// Returns its answer to this text that was just written to it. `col`: the column of the cursor.
    pub(crate) fn answer(&self, written: &str, row: u16, col: u16) -> String {
        let Some(attributes) = self.attributes else { return String::new() };
        let asked = |question: &str| written.contains(question);
        let mut answer = String::new();
        if self.has_kitty && asked("a=q") {
            let id =
                written.split("\x1b_Gi=").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
            answer += &format!("\x1b_Gi={id};OK\x1b\\");
        }
        if let Some(name) = self.name.filter(|_| asked("\x1b[>q")) {
            answer += &format!("\x1bP>|{name}\x1b\\");
        }
        if self.says_cell && asked("\x1b[16t") {
            answer += &format!("\x1b[6;{};{}t", CELL.1, CELL.0);
        }
        if asked("\x1b[6n") {
            answer += &format!("\x1b[{};{}R", row + 1, col + 1);
        }
        if asked("\x1b[c") {
            answer += &format!("\x1b[{attributes}c");
        }
        answer
    }
}

/// Returns the picture on the screen after all of this was written, if there is one. Every picture is in the upper left
/// corner.
pub(crate) fn shown(written: &[u8]) -> Option<Pixels> {
    let text = String::from_utf8_lossy(written);
    let mut picture = None;
    let mut pieces = String::new();
    let mut rows = None;
    for (at, _) in text.match_indices('\x1b') {
        let rest = &text[at + 1..];
        if rest.starts_with("[2J") || rest.starts_with("[?1049") || rest.starts_with("_Ga=d") {
            picture = None;
        } else if let Some(command) = rest.strip_prefix("_G") {
            let Some((command, _)) = command.split_once("\x1b\\") else { continue };
            let Some((keys, data)) = command.split_once(';') else { continue };
            if keys.contains("a=q") {
                continue;
            }
            if keys.contains("a=T") {
                assert!(keys.contains("f=100") && keys.contains("q=2"), "{keys}");
                rows = keys.split(',').find_map(|key| key.strip_prefix("r=")?.parse::<usize>().ok());
                pieces.clear();
            }
            pieces += data;
            if keys.contains("m=0") {
                picture = Some(in_rows(png(&pieces), rows));
            }
        } else if let Some(file) = rest.strip_prefix("]1337;File=") {
            let Some((command, _)) = file.split_once('\x07') else { continue };
            let (keys, data) = command.split_once(':').expect("a colon before the data");
            let key =
                |name: &str| keys.split(';').find_map(|key| key.strip_prefix(name)?.parse::<usize>().ok());
            assert_eq!(key("inline="), Some(1));
            let (cols, rows) = (key("width=").expect("a width"), key("height=").expect("a height"));
            picture = Some(in_box(&png(data), cols * CELL.0, rows * CELL.1));
        } else if let Some(data) = rest.strip_prefix('P')
            && let Some((data, _)) = data.split_once("\x1b\\")
            && let Some((_, data)) = data.split_once('q')
        {
            picture = Some(sixels(data));
        }
    }
    picture
}

/// Returns the pixels of a PNG file in base64.
pub(crate) fn png(data: &str) -> Pixels {
    let bytes = BASE64_STANDARD.decode(data).expect("base64");
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
    let mut luma = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut luma).expect("a picture");
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Grayscale, png::BitDepth::Eight));
    Pixels { width: info.width as usize, height: info.height as usize, luma }
}

/// Fits a picture into rows as kitty does.
fn in_rows(picture: Pixels, rows: Option<usize>) -> Pixels {
    match rows {
        Some(rows) => {
            let height = rows * CELL.1;
            picture.resized(picture.width * height / picture.height, height)
        }
        None => picture,
    }
}

/// Fits a picture into a box as iTerm2 does.
fn in_box(picture: &Pixels, width: usize, height: usize) -> Pixels {
    let side = width.min(height);
    let (left, top) = ((width - side) / 2, (height - side) / 2);
    let fitted = picture.resized(side, side);
    Pixels::of(width, height, |x, y| match (x.checked_sub(left), y.checked_sub(top)) {
        (Some(x), Some(y)) => fitted.at(x, y),
        _ => 0,
    })
}

/// Reads sixels: the raster's size, two colours, and runs of columns of six pixels.
fn sixels(data: &str) -> Pixels {
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let mut parts = Vec::new();
    for sign in data.chars() {
        match sign {
            '0'..='9' | ';' if !parts.is_empty() => {
                let last: &mut String = parts.last_mut().expect("there is one");
                last.push(sign);
            }
            sign => parts.push(sign.to_string()),
        }
    }
    let raster: Vec<usize> = parts[0].strip_prefix('"').expect("the raster").split(';').map(number).collect();
    let (mut x, mut top, mut colour, mut count) = (0, 0, 0, 1);
    let mut brightness = [0u8; 256];
    let mut picture = Pixels::plain(raster[2], raster[3], 128);
    for part in &parts[1..] {
        let (sign, rest) = part.split_at(1);
        match sign {
            "#" if rest.contains(';') => {
                let values: Vec<usize> = rest.split(';').map(number).collect();
                assert_eq!(values[1], 2, "RGB");
                brightness[values[0]] = u8::try_from(values[2] * 255 / 100).expect("a share");
            }
            "#" => colour = number(rest),
            "!" => count = number(rest),
            "$" => x = 0,
            "-" => (x, top) = (0, top + 6),
            sign => {
                let bits = sign.bytes().next().expect("one") - b'?';
                for _ in 0..std::mem::replace(&mut count, 1) {
                    for y in (0..6).filter(|y| bits >> y & 1 == 1) {
                        assert!(x < picture.width && top + y < picture.height, "outside of the raster");
                        picture.put(x, top + y, brightness[colour]);
                    }
                    x += 1;
                }
            }
        }
    }
    picture
}

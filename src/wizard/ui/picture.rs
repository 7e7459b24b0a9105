//! Pure. Pictures of a code in the three protocols that terminals have for them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::wizard::ui::qr::{Code, QUIET_ZONES, Size};

/// A picture has room for the quiet zone of the standard.
pub const QUIET: usize = QUIET_ZONES[0];

/// Protocol by which a terminal shows pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// kitty's graphics protocol, which Ghostty and Konsole have too.
    Kitty,
    /// Inline images as iTerm2 and WezTerm show them.
    Iterm2,
    /// Sixels, as foot, xterm, Windows Terminal and tmux show them.
    Sixel,
}

/// Size of a picture on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Pixels for a module.
    pub scale: usize,
    /// The cells that it may cover.
    pub cells: Size,
    /// It is shown pixel by pixel; otherwise the terminal fits it into the rows.
    pub is_exact: bool,
}

/// The number of our picture in kitty's protocol.
pub(super) const KITTY_ID: u32 = 0x6865_726d;
/// The longest piece of data that kitty's protocol takes at once.
const PIECE_LEN: usize = 4096;

/// Sequence that shows the code at the cursor. An earlier picture there is replaced.
pub fn show(code: &Code, protocol: Protocol, extent: Extent) -> String {
    match protocol {
        Protocol::Kitty => kitty(code, extent),
        Protocol::Iterm2 => iterm2(code, extent),
        Protocol::Sixel => sixel(code, extent.scale),
    }
}

/// Sequence that removes a picture of [`show`]. The others go with the cells that they cover.
pub fn erase(protocol: Protocol) -> String {
    match protocol {
        Protocol::Kitty => format!("\x1b_Ga=d,d=I,i={KITTY_ID},q=2\x1b\\"),
        Protocol::Iterm2 | Protocol::Sixel => String::new(),
    }
}

/// `C=1`: the cursor stays. `q=2`: nothing is answered.
fn kitty(code: &Code, extent: Extent) -> String {
    let data = BASE64_STANDARD.encode(code.png(QUIET, extent.scale));
    let rows = if extent.is_exact { String::new() } else { format!(",r={}", extent.cells.rows) };
    let mut text = String::new();
    let mut rest = data.as_str();
    let mut keys = format!("a=T,f=100,i={KITTY_ID},p=1,C=1,q=2{rows},");
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(PIECE_LEN.min(rest.len()));
        text += &format!("\x1b_G{keys}m={};{piece}\x1b\\", u8::from(!more.is_empty()));
        keys = "q=2,".to_owned();
        rest = more;
    }
    text
}

/// In cells, because iTerm2 counts points where the window's size has pixels.
fn iterm2(code: &Code, extent: Extent) -> String {
    let png = code.png(QUIET, extent.scale);
    let Size { cols, rows } = extent.cells;
    format!(
        "\x1b]1337;File=inline=1;size={};width={cols};height={rows};preserveAspectRatio=1;doNotMoveCursor=1:{}\x07",
        png.len(),
        BASE64_STANDARD.encode(&png)
    )
}

/// Six lines of pixels at a time, the light ones, then the dark ones.
fn sixel(code: &Code, scale: usize) -> String {
    const BAND: usize = 6;
    let side = code.side(QUIET) * scale;
    let pixels = code.pixels(QUIET, scale);
    let mut text = format!("\x1bP0;1;0q\"1;1;{side};{side}#0;2;100;100;100#1;2;0;0;0");
    for top in (0..side).step_by(BAND) {
        for (colour, brightness) in [(0, 255), (1, 0)] {
            let column = |x: usize| {
                (top..side.min(top + BAND))
                    .rev()
                    .fold(0, |bits, y| bits << 1 | u8::from(pixels[y * side + x] == brightness))
            };
            text += &format!("#{colour}");
            let columns: Vec<u8> = (0..side).map(column).collect();
            for run in columns.chunk_by(|a, b| a == b) {
                text += &format!("!{}{}", run.len(), char::from(b'?' + run[0]));
            }
            text.push(if colour == 0 { '$' } else { '-' });
        }
    }
    text + "\x1b\\"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(is_exact: bool) -> Extent {
        Extent { scale: 8, cells: Size { cols: 40, rows: 20 }, is_exact }
    }

    /// Decoders read them in the suite, from the screen of a terminal that has the protocol.
    #[test]
    fn each_protocol_has_its_form() {
        let code = Code::of(&"x".repeat(240)).unwrap();
        let kitty = show(&code, Protocol::Kitty, extent(false));
        let pieces: Vec<&str> = kitty.split_terminator("\x1b\\").collect();
        assert!(pieces[0].starts_with("\x1b_Ga=T,f=100,") && pieces[0].contains(",r=20,"));
        for (at, piece) in pieces.iter().enumerate() {
            let (keys, data) = piece.strip_prefix("\x1b_G").unwrap().split_once(';').unwrap();
            let is_last = at + 1 == pieces.len();
            assert!(keys.contains("q=2") && keys.ends_with(if is_last { "m=0" } else { "m=1" }), "{keys}");
            assert!(data.len() <= PIECE_LEN && (is_last || data.len() % 4 == 0));
        }
        assert!(!show(&code, Protocol::Kitty, extent(true)).contains(",r="));
        let iterm2 = show(&code, Protocol::Iterm2, extent(false));
        assert!(iterm2.contains(";width=40;height=20;") && iterm2.ends_with('\x07'));
        let sixel = show(&code, Protocol::Sixel, extent(true));
        let bands = (code.side(QUIET) * 8).div_ceil(6);
        assert_eq!(sixel.matches('-').count(), bands);
        assert!(sixel.bytes().all(|byte| byte == 0x1b || (0x20..0x7f).contains(&byte)));
    }
}

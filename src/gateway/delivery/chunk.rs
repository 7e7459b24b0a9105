//! Pure. A long text in parts that fit.
//!
//! A part ends at a paragraph, else at a line, else between words, as near to the limit as that allows. It never ends
//! inside what people see as one character, nor inside a link that fits into a part; a code block that goes on is closed at
//! the end of one part and opened again in the next.

use unicode_segmentation::UnicodeSegmentation;

use super::outbox::AGAIN;
use crate::platform::{Platform, Repeat, TextUnit};

const FENCE: &str = "```";

/// What closes or opens a block costs: the fence and its line break.
const FENCE_COST: usize = FENCE.len() + 1;

/// A longer line is no fence.
const FENCE_LINE_MAX: usize = 64;

/// The parts of a text as this platform takes them, each with room for saying that it is a repeat where people may see it
/// twice.
pub fn parts(platform: Platform, text: &str) -> Vec<String> {
    let spec = platform.spec();
    let reserved = match spec.repeat {
        Repeat::Same => 0,
        Repeat::Marked => spec.text_unit.len(AGAIN),
    };
    split(text, spec.text_len_max - reserved, spec.text_unit)
}

/// The parts of a text, each at most `len_max` units (at least 16) and none of them blank.
pub fn split(text: &str, len_max: usize, unit: TextUnit) -> Vec<String> {
    pieces(text, len_max.max(4 * FENCE_COST), unit)
        .iter()
        .map(Piece::render)
        .filter(|part| !part.is_empty())
        .collect()
}

/// A stretch of the text; the stretches rejoin to it.
#[derive(Debug, PartialEq, Eq)]
struct Piece<'a> {
    body: &'a str,
    /// It begins inside a code block.
    opens: bool,
    /// It ends inside a code block.
    closes: bool,
}

impl Piece<'_> {
    fn render(&self) -> String {
        let mut body = self.body.trim_end();
        if !self.opens {
            body = body.trim_start_matches(['\n', '\r']);
        }
        let mut part = String::with_capacity(body.len() + 2 * FENCE_COST);
        if self.opens {
            if body.trim().is_empty() || body.trim() == FENCE {
                return String::new();
            }
            part.push_str(FENCE);
            part.push('\n');
        }
        part.push_str(body);
        if self.closes && !body.is_empty() {
            part.push('\n');
            part.push_str(FENCE);
        }
        part
    }
}

fn pieces(text: &str, len_max: usize, unit: TextUnit) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut inside = false;
    while !rest.is_empty() {
        let opened = if inside { FENCE_COST } else { 0 };
        // What is longer in bytes than the limit times the most bytes of a unit need not be measured to its end.
        let is_short = rest.len() <= (len_max - opened) * 4 && unit.len(rest) <= len_max - opened;
        let cut = if is_short && !ends_inside(rest, inside) {
            rest.len()
        } else {
            // A block may begin anywhere in the part, so there is always room to close it.
            cut(rest, len_max - opened - FENCE_COST, inside, unit)
        };
        let (body, left) = rest.split_at(cut);
        let closes = ends_inside(body, inside);
        pieces.push(Piece { body, opens: inside, closes });
        inside = closes;
        rest = left;
    }
    pieces
}

/// Where to cut: after at most `room` units, and after at least one character.
fn cut(text: &str, room: usize, inside: bool, unit: TextUnit) -> usize {
    let mut best = Candidates::default();
    let mut inside = inside;
    let mut units = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let fence = is_fence(line, inside);
        let before = at;
        for word in line.words() {
            let link = word.contains("://");
            for grapheme in word.graphemes(true) {
                units += unit.len(grapheme);
                if units > room {
                    return best.choose(text, room, unit);
                }
                at += grapheme.len();
                best.any = at;
                // What stood in a line would be a fence at the beginning of a part.
                if !fence && !link && !text[at..].starts_with('`') {
                    best.grapheme = at;
                }
            }
            if !fence && !text[at..].starts_with('`') {
                best.word = at;
            }
        }
        if fence {
            inside = !inside;
        }
        // Right after an opening fence the block would be empty: then rather before it.
        if !(fence && inside) {
            best.line = at;
            if line.trim().is_empty() && !inside {
                best.paragraph = at;
            }
        } else if before > 0 {
            best.line = before;
        } else {
            best.late = at;
        }
    }
    text.len()
}

#[derive(Default)]
struct Candidates {
    paragraph: usize,
    line: usize,
    word: usize,
    grapheme: usize,
    /// After a fence that the part begins with.
    late: usize,
    any: usize,
}

impl Candidates {
    fn choose(&self, text: &str, room: usize, unit: TextUnit) -> usize {
        // A cut that leaves less than half of a part is not worth its tidiness; positions are in bytes, and no shorter
        // than in any other unit.
        let half = room / 2;
        let found = [self.paragraph, self.line, self.word].into_iter().find(|cut| *cut > half);
        let found = found
            .or_else(|| [self.word, self.grapheme, self.line, self.any].into_iter().find(|cut| *cut > 0));
        // One character of many code points that does not fit at all.
        found.unwrap_or_else(|| {
            let mut units = 0;
            let too_far = text.char_indices().find(|(at, sign)| {
                units += unit.len(&text[*at..*at + sign.len_utf8()]);
                units > room
            });
            too_far.map_or(text.len(), |(at, _)| at)
        })
    }
}

trait Words {
    fn words(&self) -> impl Iterator<Item = &Self>;
}

impl Words for str {
    /// Words, each with the white space after it.
    fn words(&self) -> impl Iterator<Item = &Self> {
        let mut rest = self;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let end =
                rest[word..].find(|c: char| !c.is_whitespace()).map_or(rest.len(), |space| word + space);
            let (word, left) = rest.split_at(end);
            rest = left;
            Some(word)
        })
    }
}

fn is_fence(line: &str, inside: bool) -> bool {
    let line = line.trim();
    match line.strip_prefix(FENCE) {
        Some("") => true,
        Some(language) => !inside && line.len() <= FENCE_LINE_MAX && !language.contains('`'),
        None => false,
    }
}

fn ends_inside(text: &str, inside: bool) -> bool {
    text.split_inclusive('\n').fold(inside, |inside, line| inside ^ is_fence(line, inside))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::platform::TextUnit::{Bytes, Chars, Utf16};

    #[test]
    fn a_short_text_stays_as_it_is() {
        assert_eq!(split("hello\n\nworld", 4096, Chars), ["hello\n\nworld"]);
        assert_eq!(split("```\ncode\n```", 4096, Chars), ["```\ncode\n```"]);
        assert_eq!(split(" \n ", 4096, Chars), Vec::<String>::new());
        assert_eq!(split(&"x".repeat(40), 40, Chars), ["x".repeat(40)]);
    }

    #[test]
    fn a_part_ends_where_it_reads_well() {
        let text = "One two three four.\n\nFive six seven eight.\nNine ten.";
        assert_eq!(split(text, 32, Chars), ["One two three four.", "Five six seven eight.\nNine ten."]);
        assert_eq!(
            split("One two three. Four five six seven.", 24, Chars),
            ["One two three. Four", "five six seven."]
        );
        assert_eq!(split(&"x".repeat(50), 24, Chars), ["x".repeat(20), "x".repeat(20), "x".repeat(10)]);
    }

    #[test]
    fn a_code_block_is_closed_and_opened_again() {
        let text = "See:\n```rust\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\nDone.";
        let parts = split(text, 36, Chars);
        assert_eq!(parts, ["See:\n```rust\nlet a = 1;\n```", "```\nlet b = 2;\nlet c = 3;\n```\nDone."],);
    }

    #[test]
    fn a_link_and_a_family_stay_whole() {
        let link = "https://example.com/a/long/path";
        for part in split(&format!("some words here and {link} and more words to go on"), 40, Chars) {
            assert_eq!(part.contains("://"), part.contains(link), "{part}");
        }
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        for part in split(&family.repeat(30), 24, Chars) {
            assert_eq!(part.replace(family, ""), "");
        }
        assert!(
            split(&format!("a{}", "\u{301}".repeat(100)), 20, Chars)
                .iter()
                .all(|part| part.chars().count() <= 20)
        );
    }

    #[test]
    fn a_platform_counts_in_its_own_units_and_keeps_room_for_a_repeat() {
        let platform = Platform::scripted(9).unwrap();
        let parts = parts(platform, &"\u{1f600}".repeat(100));
        assert_eq!(parts.concat(), "\u{1f600}".repeat(100));
        for part in parts {
            assert!(Utf16.len(&format!("{AGAIN}{part}")) <= platform.spec().text_len_max, "{part}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z ]{0,30}",
            "\\PC{0,10}",
            Just("\n".to_owned()),
            Just("\n\n".to_owned()),
            Just("\n```\n".to_owned()),
            Just("\n```sh\n".to_owned()),
            Just("```".to_owned()),
            Just("https://example.com/aaaa/bbbb?c=d ".to_owned()),
            Just("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".to_owned()),
            Just("e\u{301}".to_owned()),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    /// Without what splitting may add or drop.
    fn bare(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace() && *c != '`').collect()
    }

    proptest! {
        #[test]
        fn parts_fit_rejoin_and_close_their_blocks(
            text in text(),
            len_max in 20_usize..200,
            unit in prop_oneof![Just(Chars), Just(Utf16), Just(Bytes)],
        ) {
            let pieces = pieces(&text, len_max, unit);
            prop_assert_eq!(pieces.iter().map(|piece| piece.body).collect::<String>(), text.clone());
            let parts = split(&text, len_max, unit);
            for part in &parts {
                prop_assert!(unit.len(part) <= len_max, "{} > {len_max}: {part:?}", unit.len(part));
                prop_assert!(!part.trim().is_empty());
            }
            for (n, part) in parts.iter().enumerate() {
                // The last part may end in a block that the text itself never closes.
                prop_assert!(n + 1 == parts.len() || !ends_inside(part, false), "{part:?}");
            }
            prop_assert_eq!(bare(&parts.concat()), bare(&text));
        }
    }
}

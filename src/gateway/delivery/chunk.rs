//! Pure. A long text in parts that fit.
//!
//! A part ends at a paragraph, else at a line, else between words, as near to the limit as that allows. It never ends
//! inside what people see as one character, nor inside a link that fits into a part; a code block that goes on is closed at
//! the end of one part and opened again in the next.

use unicode_segmentation::UnicodeSegmentation;

use super::outbox::AGAIN;
use crate::platform::{Platform, Repeat, TextUnit};

/// The signs of which three begin a code block.
const FENCE_SIGNS: [char; 2] = ['`', '~'];

/// The longest fence; with four signs blocks are shown that hold fences of three.
const FENCE_LEN_MAX: usize = 4;

/// What closes a block costs at most: the fence and its line break.
const FENCE_COST_MAX: usize = FENCE_LEN_MAX + 1;

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

/// The parts of a text, each at most `len_max` units (at least 20) and none of them blank.
pub fn split(text: &str, len_max: usize, unit: TextUnit) -> Vec<String> {
    pieces(text, len_max.max(LEN_MIN), unit)
        .iter()
        .map(Piece::render)
        .filter(|part| !part.is_empty())
        .collect()
}

/// Shorter parts are not made: there is room to open a block, to close it, and for something in it.
const LEN_MIN: usize = 4 * FENCE_COST_MAX;

/// What begins a code block, as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence<'a> {
    mark: &'a str,
    language: &'a str,
}

impl Fence<'_> {
    /// What opens the block again costs.
    fn cost(self, unit: TextUnit) -> usize {
        self.mark.len() + unit.len(self.language) + 1
    }

    /// The same, without a language that leaves little room for the code.
    fn within(self, len_max: usize, unit: TextUnit) -> Self {
        if self.cost(unit) <= len_max / 4 { self } else { Self { language: "", ..self } }
    }
}

/// A stretch of the text; the stretches rejoin to it.
#[derive(Debug, PartialEq, Eq)]
struct Piece<'a> {
    body: &'a str,
    /// It begins inside this code block.
    opens: Option<Fence<'a>>,
    /// It ends inside this code block.
    closes: Option<Fence<'a>>,
}

impl<'a> Piece<'a> {
    /// What is opened again, and what is said. Of a block that is over nothing is opened again.
    fn begun(&self) -> (Option<Fence<'a>>, &'a str) {
        let body = self.body.trim_end();
        let Some(fence) = self.opens else { return (None, body.trim_start_matches(['\n', '\r'])) };
        let code = body.trim_start();
        let (line, left) = code.split_once('\n').unwrap_or((code, ""));
        if code.is_empty() || ends(fence, line) {
            return (None, left.trim_start_matches(['\n', '\r']));
        }
        (Some(fence), body)
    }

    fn render(&self) -> String {
        let (opens, body) = self.begun();
        let mut part = String::with_capacity(body.len() + FENCE_LINE_MAX + FENCE_COST_MAX);
        if let Some(fence) = opens {
            part.extend([fence.mark, fence.language, "\n"]);
        }
        part.push_str(body);
        if let Some(fence) = self.closes.filter(|_| !body.is_empty()) {
            part.extend(["\n", fence.mark]);
        }
        part
    }
}

fn pieces(text: &str, len_max: usize, unit: TextUnit) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut inside: Option<Fence<'_>> = None;
    // A block may begin anywhere in a part, so there is always room to close it.
    let has_long = FENCE_SIGNS.iter().any(|sign| text.contains(&sign.to_string().repeat(FENCE_LEN_MAX)));
    let close = if has_long { FENCE_COST_MAX } else { FENCE_COST_MAX - 1 };
    while !rest.is_empty() {
        let opens = inside.map(|fence| fence.within(len_max, unit));
        let opened = opens.map_or(0, |fence| fence.cost(unit));
        // What is longer in bytes than the limit times the most bytes of a unit need not be measured to its end.
        let is_short = rest.len() <= (len_max - opened) * 4 && unit.len(rest) <= len_max - opened;
        let cut = if is_short && open_at_end(rest, inside).is_none() {
            rest.len()
        } else {
            cut(rest, len_max - opened - close, inside, unit)
        };
        let (body, left) = rest.split_at(cut);
        let closes = open_at_end(body, inside);
        pieces.push(Piece { body, opens, closes });
        inside = closes;
        rest = left;
    }
    pieces
}

/// Where to cut: after at most `room` units, and after at least one character.
fn cut<'a>(text: &'a str, room: usize, inside: Option<Fence<'a>>, unit: TextUnit) -> usize {
    let mut best = Candidates::default();
    let mut inside = inside;
    let mut units = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let after = past(line, inside);
        let fence = after != inside;
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
                if !fence && !link && !text[at..].starts_with(FENCE_SIGNS) {
                    best.grapheme = at;
                }
            }
            if !fence && !text[at..].starts_with(FENCE_SIGNS) {
                best.word = at;
            }
        }
        inside = after;
        // Right after an opening fence the block would be empty: then rather before it.
        if !(fence && inside.is_some()) {
            best.line = at;
            if line.trim().is_empty() && inside.is_none() {
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

/// The code block that this line begins.
fn begins(line: &str) -> Option<Fence<'_>> {
    let line = line.trim();
    let sign = line.chars().next().filter(|sign| FENCE_SIGNS.contains(sign))?;
    let (mark, language) = line.split_at(line.len() - line.trim_start_matches(sign).len());
    let is_fence = (3..=FENCE_LEN_MAX).contains(&mark.len())
        && line.len() <= FENCE_LINE_MAX
        && !language.contains(FENCE_SIGNS);
    is_fence.then_some(Fence { mark, language })
}

/// This line ends the block that this fence began.
fn ends(fence: Fence<'_>, line: &str) -> bool {
    begins(line).is_some_and(|end| end.language.is_empty() && end.mark.starts_with(fence.mark))
}

/// The block that is open after this line.
fn past<'a>(line: &'a str, inside: Option<Fence<'a>>) -> Option<Fence<'a>> {
    match inside {
        Some(fence) => inside.filter(|_| !ends(fence, line)),
        None => begins(line),
    }
}

/// The block that is open at the end.
fn open_at_end<'a>(text: &'a str, inside: Option<Fence<'a>>) -> Option<Fence<'a>> {
    text.split_inclusive('\n').fold(inside, |inside, line| past(line, inside))
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
        assert_eq!(
            parts,
            ["See:\n```rust\nlet a = 1;\n```", "```rust\nlet b = 2;\nlet c = 3;\n```", "Done."]
        );
        let tildes = split(&text.replace("```", "~~~"), 36, Chars);
        assert_eq!(tildes, parts.iter().map(|part| part.replace("```", "~~~")).collect::<Vec<_>>());
        let long = text.replace("rust", "a language of a long name");
        let parts = split(&long, 60, Chars);
        assert!(parts[1].starts_with("```\nlet"), "its name would leave no room: {parts:?}");
    }

    #[test]
    fn a_block_in_a_block_is_no_end_of_it() {
        let text = "````md\nSo:\n```\nlet a = 1;\n```\nand so on and on\n````\nDone.";
        let parts = split(text, 40, Chars);
        assert_eq!(
            parts,
            ["````md\nSo:\n```\nlet a = 1;\n```\n````", "````md\nand so on and on\n````\nDone."]
        );
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
            Just("\n~~~py\n".to_owned()),
            Just("\n~~~\n".to_owned()),
            Just("\n````\n".to_owned()),
            Just("```".to_owned()),
            Just("https://example.com/aaaa/bbbb?c=d ".to_owned()),
            Just("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".to_owned()),
            Just("e\u{301}".to_owned()),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    /// Without what splitting may add or drop.
    fn bare(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace() && !FENCE_SIGNS.contains(c)).collect()
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
                prop_assert_eq!(open_at_end(part, None), None, "{:?}", part);
            }
            // Nothing is added but what opens a block again.
            let mut said = String::new();
            for piece in &pieces {
                let fence = piece.begun().0.map_or(String::new(), |fence| format!("{}{}\n", fence.mark, fence.language));
                said.push_str(piece.render().strip_prefix(&fence).expect("it begins so"));
            }
            prop_assert_eq!(bare(&said), bare(&text));
        }
    }
}

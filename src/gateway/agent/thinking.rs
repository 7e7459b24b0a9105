//! Pure. What a model thinks before it answers, taken out of the answer.
//!
//! `<think>…</think>` and its like, and the marks of [`channels`], are left out, also where the opening or the closing tag is missing. Inside code they are text:
//! a model may talk about them.

use std::borrow::Cow;

use super::channels;

/// The name of the tag around an answer.
const ANSWER: &str = "final";

/// Names of the tags, in lower case.
const NAMES: [&str; 5] = ["think", "thinking", "thought", "reasoning", "thoughts"];

/// The longest tag, with white space inside.
const TAG_LEN_MAX: usize = 40;

/// The beginnings of texts in which a model thinks although no tag says so.
const BEGINNINGS: [&str; 12] = [
    "okay, ",
    "ok, ",
    "alright, ",
    "hmm",
    "let me think",
    "let me see",
    "the user ",
    "we need to",
    "first, i need",
    "so the user",
    "i need to",
    "let's think",
];

/// A tag at the beginning of a text.
enum Tag {
    Open(usize),
    Close(usize),
    /// Around the answer; whether it is the end.
    Answer(usize, bool),
    /// It may become one when more comes.
    Begun,
}

/// What is left of an answer. While `is_whole` is not set, more may come, and what might be the beginning of a tag is held back.
pub fn visible(text: &str, is_whole: bool) -> Cow<'_, str> {
    if !text.contains('<') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(without_tags(&channels::without_marks(text, is_whole), is_whole))
}

fn without_tags(text: &str, is_whole: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    // The piece that is being thought: where it began, and whether it began with a line.
    let mut open: Option<(usize, bool)> = None;
    let mut code = Code::default();
    let mut is_wrapped = false;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let is_tag_place = rest.starts_with('<') && (open.is_some() || !code.is_in());
        match if is_tag_place { tag(rest) } else { None } {
            Some(Tag::Open(len)) => {
                if open.is_none() {
                    open = Some((
                        at,
                        text[..at].trim_end_matches([' ', '\t']).ends_with('\n') || shown.trim().is_empty(),
                    ));
                }
                at += len;
            }
            Some(Tag::Close(len)) if open.is_some() || !is_quoted(text, at, len) => {
                if open.take().is_none() {
                    // It was thought from the beginning.
                    shown.clear();
                }
                code = Code::default();
                at += len;
                if shown.trim().is_empty() {
                    shown.clear();
                    at += text[at..].len() - text[at..].trim_start().len();
                }
            }
            Some(Tag::Answer(len, is_end))
                if open.is_none() && if is_end { is_wrapped } else { shown.trim().is_empty() } =>
            {
                is_wrapped = !is_end;
                at += len;
                if !is_end {
                    shown.clear();
                    at += text[at..].len() - text[at..].trim_start().len();
                }
            }
            Some(Tag::Begun) if !is_whole => break,
            Some(Tag::Close(_) | Tag::Answer(..) | Tag::Begun) | None => {
                let c = rest.chars().next().map_or(0, char::len_utf8);
                let (now, _) = rest.split_at(c);
                if open.is_none() {
                    code.see(now);
                    shown.push_str(now);
                }
                at += c;
            }
        }
    }
    if is_whole && let Some((began, false)) = open {
        // In the middle of a sentence, and never closed: the model spoke about it.
        shown.push_str(&text[began..]);
    }
    shown
}

/// True when a text without a tag may be what a model thinks, so that it is not shown before it is whole.
pub fn looks_like(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(24).collect::<String>().to_lowercase();
    BEGINNINGS.iter().any(|beginning| start.starts_with(beginning) || beginning.starts_with(start.as_str()))
}

/// True when a model of this name is known to think in its answers.
pub fn is_known_for_it(model: &str) -> bool {
    let model = model.to_lowercase();
    ["r1", "qwq", "qwen3", "think", "reason", "magistral", "glm-4.5", "minimax-m"]
        .iter()
        .any(|name| model.contains(name))
}

/// True when a closing tag without an opening one is in the text.
pub fn has_only_close(text: &str) -> bool {
    text.contains('<')
        && (channels::has_only_end(text) || {
            let lower = text.to_lowercase();
            NAMES
                .iter()
                .any(|name| lower.contains(&format!("</{name}")) && !lower.contains(&format!("<{name}")))
        })
}

fn tag(text: &str) -> Option<Tag> {
    let head = &text[..text.floor_char_boundary(TAG_LEN_MAX.min(text.len()))];
    let end = head.find('>');
    let inner = &head[1..end.unwrap_or(head.len())];
    if inner.contains(['<', '\n']) {
        return None;
    }
    let is_close = inner.trim_start().starts_with('/');
    let name = inner.trim_start().trim_start_matches('/').trim().to_lowercase();
    match end {
        Some(end) if NAMES.contains(&name.as_str()) => {
            Some(if is_close { Tag::Close(end + 1) } else { Tag::Open(end + 1) })
        }
        Some(end) if name == ANSWER => Some(Tag::Answer(end + 1, is_close)),
        None if text.len() < TAG_LEN_MAX
            && NAMES.iter().chain([&ANSWER]).any(|whole| whole.starts_with(name.as_str())) =>
        {
            Some(Tag::Begun)
        }
        Some(_) | None => None,
    }
}

/// True when the tag stands in quotation marks.
fn is_quoted(text: &str, at: usize, len: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + len..].chars().next();
    matches!(
        (before, after),
        (Some('"'), Some('"')) | (Some('\''), Some('\'')) | (Some('\u{201c}'), Some('\u{201d}'))
    )
}

/// Whether a place in Markdown is inside code: a fence over lines, or backticks within a paragraph.
#[derive(Default)]
pub(super) struct Code {
    line: String,
    fence: Option<(char, usize)>,
    ticks: usize,
    inline: usize,
}

impl Code {
    pub(super) fn is_in(&self) -> bool {
        // A run of backticks that has just ended opens or closes.
        let inline = match (self.inline, self.ticks) {
            (0, ticks) => ticks > 0,
            (open, ticks) => open != ticks,
        };
        self.fence.is_some() || inline
    }

    pub(super) fn see(&mut self, c: &str) {
        if c == "`" && self.fence.is_none() {
            self.ticks += 1;
        } else if self.ticks > 0 {
            match self.inline {
                0 => self.inline = self.ticks,
                open if open == self.ticks => self.inline = 0,
                _ => {}
            }
            self.ticks = 0;
        }
        if c != "\n" {
            self.line.push_str(c);
            return;
        }
        let line = std::mem::take(&mut self.line);
        let line = line.trim();
        let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'));
        let run = mark.map_or(0, |mark| line.chars().take_while(|c| *c == mark).count());
        match (self.fence, mark) {
            (Some((open, len)), Some(mark)) if mark == open && run >= len && line.len() == run => {
                self.fence = None;
            }
            (None, Some(mark)) if run >= 3 && !line[run..].contains('`') => {
                self.fence = Some((mark, run));
                self.inline = 0;
            }
            (Some(_) | None, _) if line.is_empty() => self.inline = 0,
            (Some(_) | None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(&str, &str); 22] = [
        ("<think>secret</think>Hello", "Hello"),
        ("<think>\nsecret\n</think>\n\nHello", "Hello"),
        ("<THINKING>secret</Thinking>Hello", "Hello"),
        ("< think >secret</ think >Hello", "Hello"),
        ("<reasoning>secret</reasoning>\nHello", "Hello"),
        ("<thought>secret</thought>Hello", "Hello"),
        ("secret\n</think>\n\nHello", "Hello"),
        ("secret</think>Hello", "Hello"),
        ("secret ``` half a block\n</think>\nHello", "secret ``` half a block\n</think>\nHello"),
        ("<think>secret ```\n</think>Hello", "Hello"),
        ("<think>never closed", ""),
        ("Hello\n<think>never closed", "Hello\n"),
        ("Hello <think>secret</think>world", "Hello world"),
        ("one\n<think>a</think>two <think>b</think>three", "one\ntwo three"),
        ("The <think> tag opens it.", "The <think> tag opens it."),
        ("Write `<think>` and `</think>`.", "Write `<think>` and `</think>`."),
        ("```xml\n<think>a</think>\n```\nDone", "```xml\n<think>a</think>\n```\nDone"),
        ("~~~\n</think>\n~~~\nDone", "~~~\n</think>\n~~~\nDone"),
        ("It ends with \"</think>\" always.", "It ends with \"</think>\" always."),
        ("a < b and <b>bold</b> <thinker>", "a < b and <b>bold</b> <thinker>"),
        ("<think></think>Hello", "Hello"),
        ("1 < 2 <", "1 < 2 <"),
    ];

    #[test]
    fn thoughts_are_left_out_and_code_that_names_them_stays() {
        for (text, expected) in CASES {
            assert_eq!(visible(text, true), expected, "{text:?}");
        }
    }

    #[test]
    fn no_piece_of_a_thought_with_a_tag_is_ever_visible_while_it_grows() {
        for (text, _) in CASES.iter().filter(|(text, _)| text.trim_start().starts_with('<')) {
            for end in 0..=text.len() {
                let shown = visible(&text[..end], false).into_owned();
                assert!(!shown.contains("secret") && !shown.contains('<'), "{:?}: {shown:?}", &text[..end]);
            }
        }
    }

    #[test]
    fn a_text_that_begins_as_models_think_is_held_back() {
        for (text, is_held) in [
            ("", true),
            ("Ok", true),
            ("Okay, the user wants", true),
            ("The user asks", true),
            ("Paris is the capital", false),
            ("Okay. Done", false),
        ] {
            assert_eq!(looks_like(text), is_held, "{text}");
        }
        assert!(is_known_for_it("DeepSeek-R1") && !is_known_for_it("llama3.2"));
        assert!(has_only_close("a</think>b") && !has_only_close("<think>a</think>b"));
    }
}

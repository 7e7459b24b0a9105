//! Pure. The marks of chat templates that a service leaves in an answer, taken out of it with what is not the answer.
//!
//! harmony writes `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>`, Gemma
//! `<|channel>thought…<channel|>…<turn|>`, `ChatML` ends with `<|im_end|>` and then perhaps plays the person's turn. Inside code, and
//! where nothing of a template stands beside them, they are text: a model may talk about them.

use super::thinking::Code;

/// The effect of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The name of a channel follows.
    Channel,
    /// The same, and its text begins right behind the name.
    Thought,
    /// The thought is over.
    Answer,
    /// The writer of a message follows.
    Start,
    /// The text of a message follows.
    Message,
    /// A message ends.
    End,
    /// The turn ends.
    TurnEnd,
    /// The writer of a turn follows.
    Turn,
}

const MARKS: [(&str, Mark); 19] = [
    ("<|channel|>", Mark::Channel),
    ("<|channel>", Mark::Thought),
    ("<channel|>", Mark::Answer),
    ("<|start|>", Mark::Start),
    ("<|message|>", Mark::Message),
    ("<|end_header_id|>", Mark::Message),
    ("<|end|>", Mark::End),
    ("<|call|>", Mark::End),
    ("<|return|>", Mark::TurnEnd),
    ("<|im_end|>", Mark::TurnEnd),
    ("<|endoftext|>", Mark::TurnEnd),
    ("<|eot_id|>", Mark::TurnEnd),
    ("<|end_of_text|>", Mark::TurnEnd),
    ("<end_of_turn>", Mark::TurnEnd),
    ("<turn|>", Mark::TurnEnd),
    ("<|im_start|>", Mark::Turn),
    ("<|start_header_id|>", Mark::Turn),
    ("<start_of_turn>", Mark::Turn),
    ("<|turn>", Mark::Turn),
];

/// The channel of the answer; all others are thoughts, or calls of tools.
const FINAL: &str = "final";

/// Names of channels.
const CHANNELS: [&str; 7] = [FINAL, "analysis", "commentary", "thought", "thinking", "think", "reasoning"];

/// Writers that are the model itself.
const OURS: [&str; 2] = ["assistant", "model"];

/// Writers that are others.
const OTHERS: [&str; 7] = ["user", "human", "system", "developer", "tool", "functions", "ipython"];

/// The longest of these names, and a little more.
const NAME_LEN_MAX: usize = 12;

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the answer.
    Shown,
    /// Between a channel's or a writer's name and the text; whether that is the answer.
    Header(bool),
    /// In a thought.
    Hidden,
}

/// The meaning of a mark in its place.
enum Step {
    /// It is text.
    Text,
    /// So many bytes are left out.
    Skip(usize),
    /// It may become something else when more comes, or nothing behind it belongs to the answer.
    Stop,
}

struct Reader {
    shown: String,
    place: Place,
    /// A channel or a writer was named: the answer is written in a template.
    is_marked: bool,
    code: Code,
    is_whole: bool,
}

/// The text without them. While `is_whole` is not set, more may come, and what might be the beginning of a mark is held back.
pub(super) fn without_marks(text: &str, is_whole: bool) -> String {
    let mut reader = Reader {
        shown: String::with_capacity(text.len()),
        place: Place::Shown,
        is_marked: false,
        code: Code::default(),
        is_whole,
    };
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        match reader.step(rest) {
            Step::Stop => break,
            Step::Skip(len) => at += len,
            Step::Text => {
                let (sign, _) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
                reader.take(sign);
                at += sign.len();
            }
        }
    }
    reader.shown
}

/// True when the text has the end of a thought without its beginning.
pub(super) fn has_only_end(text: &str) -> bool {
    text.contains("<channel|>") && !text.contains("<|channel")
}

/// The name at the beginning of a text.
fn name(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_lowercase).count()]
}

impl Reader {
    fn take(&mut self, sign: &str) {
        let is_edge = self.is_marked && self.is_blank() && sign.trim().is_empty();
        if self.place == Place::Shown && !is_edge {
            self.code.see(sign);
            self.shown.push_str(sign);
        }
    }

    fn is_blank(&self) -> bool {
        self.shown.trim().is_empty()
    }

    fn step(&mut self, rest: &str) -> Step {
        if !rest.starts_with('<') {
            return Step::Text;
        }
        let Some((mark, len)) =
            MARKS.iter().find_map(|(word, mark)| rest.starts_with(word).then_some((*mark, word.len())))
        else {
            let is_begun = !self.is_whole && MARKS.iter().any(|(word, _)| word.starts_with(rest));
            return if is_begun { Step::Stop } else { Step::Text };
        };
        let after = &rest[len..];
        let is_last = after.trim().is_empty();
        let is_end = matches!(mark, Mark::End | Mark::TurnEnd);
        match self.place {
            Place::Shown if self.code.is_in() && is_last && !self.is_whole => return Step::Stop,
            // A block of code that was not closed does not keep the end of the turn.
            Place::Shown if self.code.is_in() && !(is_last && is_end) => return Step::Text,
            Place::Shown | Place::Header(_) | Place::Hidden => {}
        }
        let name = name(after);
        // The text behind it decides.
        let is_open = !self.is_whole && name.len() == after.len() && name.len() <= NAME_LEN_MAX;
        match mark {
            Mark::Message | Mark::Answer => {}
            Mark::End | Mark::TurnEnd if self.is_whole || !is_last => {}
            Mark::Channel | Mark::Thought | Mark::Start | Mark::Turn if !is_open => {}
            Mark::End | Mark::TurnEnd | Mark::Channel | Mark::Thought | Mark::Start | Mark::Turn => {
                return Step::Stop;
            }
        }
        match mark {
            Mark::Channel | Mark::Thought => self.channel(mark, len, after),
            Mark::Answer => self.answer(len, after),
            Mark::Message => self.message(len),
            Mark::Start | Mark::Turn => self.writer(mark, len, after),
            Mark::End | Mark::TurnEnd => self.end(mark, len, after),
        }
    }

    fn channel(&mut self, mark: Mark, len: usize, after: &str) -> Step {
        let name = name(after);
        let behind = &after[name.len()..];
        // In a sentence a mark has more of the sentence behind it.
        let is_header = behind.is_empty() || behind.starts_with(['\n', '<']) || behind.starts_with(" to=");
        if self.place == Place::Shown && !self.is_marked {
            if !self.is_whole && CHANNELS.contains(&name) && " to=".starts_with(behind) {
                return Step::Stop;
            }
            if !CHANNELS.contains(&name) || !is_header {
                return Step::Text;
            }
        }
        let is_final = name == FINAL;
        if is_final && !self.is_marked {
            // Its thought had no mark.
            self.shown.clear();
        }
        self.place = match (mark, is_final) {
            (Mark::Thought, true) => Place::Shown,
            (Mark::Thought, false) => Place::Hidden,
            (_, is_final) => Place::Header(is_final),
        };
        self.mark(len + name.len())
    }

    fn answer(&mut self, len: usize, after: &str) -> Step {
        if self.place == Place::Shown && !self.is_marked {
            // The thought began in what the model was asked.
            self.shown.clear();
        }
        self.place = Place::Shown;
        self.mark(len + after.len() - after.trim_start().len())
    }

    fn message(&mut self, len: usize) -> Step {
        match self.place {
            Place::Header(true) => self.place = Place::Shown,
            Place::Header(false) => self.place = Place::Hidden,
            Place::Hidden => {}
            Place::Shown if self.is_blank() => {}
            Place::Shown => return Step::Text,
        }
        self.mark(len)
    }

    fn writer(&mut self, mark: Mark, len: usize, after: &str) -> Step {
        let name = name(after);
        let behind = &after[name.len()..];
        // In a sentence a mark has no writer behind it.
        let is_writer = behind.is_empty() || behind.starts_with(['\n', '<']);
        if OTHERS.contains(&name) && (is_writer || self.is_marked) {
            return Step::Stop;
        }
        if !OURS.contains(&name) || !(is_writer || self.is_marked) {
            return Step::Text;
        }
        if mark == Mark::Turn {
            if !self.is_blank() {
                return Step::Stop;
            }
            self.place = Place::Shown;
            return self.mark(len + name.len());
        }
        self.place = Place::Header(true);
        self.mark(len + name.len())
    }

    fn end(&mut self, mark: Mark, len: usize, after: &str) -> Step {
        let after = after.trim_start();
        // The text behind it decides.
        if !self.is_whole && ["<|", "<start"].iter().any(|mark| mark.starts_with(after)) {
            return Step::Stop;
        }
        let is_end =
            self.is_marked || after.is_empty() || after.starts_with("<|") || after.starts_with("<start");
        if !is_end {
            return Step::Text;
        }
        if mark == Mark::TurnEnd && !self.is_blank() {
            return Step::Stop;
        }
        self.place = Place::Shown;
        self.mark(len)
    }

    fn mark(&mut self, len: usize) -> Step {
        self.is_marked = true;
        self.code = Code::default();
        Step::Skip(len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::thinking::visible;

    const CASES: [(&str, &str); 34] = [
        (
            "<|channel|>analysis<|message|>secret<|end|><|start|>assistant<|channel|>final<|message|>Hello",
            "Hello",
        ),
        ("<|channel|>analysis<|message|>secret<|end|><|channel|>final<|message|>Hello<|return|>", "Hello"),
        ("<|start|>assistant<|channel|>final<|message|>Hello<|end|>", "Hello"),
        (
            "<|channel|>commentary to=functions.x <|constrain|>json<|message|>{\"secret\":1}<|call|><|start|>assistant<|channel|>final<|message|>Hello",
            "Hello",
        ),
        ("<|channel|>analysis to=secret<|message|>secret<|end|>", ""),
        ("<|channel|>analysis<|message|>secret, never closed", ""),
        (
            "<|channel|>analysis<|message|>secret `<|end|><|start|>assistant<|channel|>final<|message|>Hello",
            "Hello",
        ),
        ("<|channel|>final<|message|>Hello<|end|><|start|>user<|message|>secret", "Hello"),
        ("<|channel|>final<|message|>Use `<|end|>` there.<|return|>", "Use `<|end|>` there."),
        ("<|message|>Hello<|end|>", "Hello"),
        ("<|channel>thought\nsecret\n<channel|>\nHello<turn|>", "Hello"),
        ("<|channel>thought\n<channel|>Hello", "Hello"),
        ("<|channel>thought\nsecret", ""),
        ("secret\n<channel|>Hello", "Hello"),
        ("Hello<|im_end|>", "Hello"),
        ("Hello\n<|im_end|>\n", "Hello\n"),
        ("Hello<|im_end|>\n<|im_start|>user\nsecret<|im_end|>", "Hello"),
        ("Hello<|im_start|>user\nsecret", "Hello"),
        ("<|im_start|>assistant\nHello<|im_end|>", "Hello"),
        ("Hello<|endoftext|>", "Hello"),
        ("Hello<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nsecret", "Hello"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>", "Hello"),
        ("Hello<end_of_turn>\n<start_of_turn>user\nsecret", "Hello"),
        ("```\nHello\n<|im_end|>", "```\nHello\n"),
        ("<final>Hello</final>", "Hello"),
        ("<think>secret</think>\n<FINAL>\nHello\n</Final>", "Hello\n"),
        ("<|channel|>analysis<|message|>secret<|end|><final>Hello</final>", "Hello"),
        ("The <final> tag and </final>.", "The <final> tag and </final>."),
        (
            "Write `<final>`, `<|im_end|>` and `<channel|>`.",
            "Write `<final>`, `<|im_end|>` and `<channel|>`.",
        ),
        ("<|im_start|> and <|im_end|> mark turns.", "<|im_start|> and <|im_end|> mark turns."),
        ("The <|channel|>final part is shown.", "The <|channel|>final part is shown."),
        (
            "The <|channel|> mark, then <|message|> and <|end|> here.",
            "The <|channel|> mark, then <|message|> and <|end|> here.",
        ),
        (
            "```text\n<|im_start|>user\nHi<|im_end|>\n```\nDone",
            "```text\n<|im_start|>user\nHi<|im_end|>\n```\nDone",
        ),
        ("a <| b |> c <|", "a <| b |> c <|"),
    ];

    #[test]
    fn marks_of_templates_are_left_out_and_text_about_them_stays() {
        for (text, expected) in CASES {
            assert_eq!(visible(text, true), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_of_a_thought_or_a_mark_is_ever_visible_while_it_grows() {
        for (text, expected) in CASES.iter().filter(|(_, expected)| !expected.contains('<')) {
            for end in 0..=text.len() {
                let shown = visible(&text[..end], false).into_owned();
                if text.starts_with("secret") {
                    // Only its end says that it was a thought.
                    assert!(!shown.contains('<'), "{:?}: {shown:?}", &text[..end]);
                } else {
                    assert!(expected.starts_with(&shown), "{:?}: {shown:?}", &text[..end]);
                }
            }
        }
    }
}

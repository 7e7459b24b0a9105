//! Pure. Markdown as a stream of events, the same for all platforms.
//!
//! The grammar is `CommonMark` with tables, task lists, footnotes and `~~`, as `pulldown-cmark` reads it. Two things are
//! done here: what its events leave out is put back from the text's own bytes (definitions of links, surplus cells, the
//! agent's own numbers), for whatever the agent wrote is to be seen; and emphasis is found by [`super::emphasis`].

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{self as cmark, CodeBlockKind, LinkType, Options, Parser};

use super::emphasis::{self, Piece};
use super::tokens::{
    self, Place, is_formula, is_in_path, is_line_break, is_marker, is_within_word, line_break,
};

pub(super) use pulldown_cmark::Alignment;

/// A longer name of a language is no name.
const LANGUAGE_LEN_MAX: usize = 32;

/// A longer label is no sign for a source.
const SIGN_LEN_MAX: usize = 32;

/// What the text says, in order. Each [`Event::Start`] has its [`Event::End`], and they nest.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event<'a> {
    /// A paragraph, or whatever starts next, begins; whether an empty line stands before it.
    Block { apart: bool },
    /// Something begins.
    Start(Tag<'a>),
    /// What was begun last ends.
    End,
    /// Text as people read it.
    Text(Cow<'a, str>),
    /// A marker that is text, because it was escaped.
    Escaped(&'a str),
    /// Code within a line.
    Code(Cow<'a, str>),
    /// The line ends.
    Break,
    /// A line across.
    Rule,
    /// A box of a task list, ticked or not.
    Box(bool),
}

/// What can begin and end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tag<'a> {
    Heading,
    Quote,
    /// A block of code in this language.
    Code(Cow<'a, str>),
    List,
    /// An entry, with its sign as it was written.
    Item(Cow<'a, str>),
    /// A footnote of this name.
    Note(Cow<'a, str>),
    Table(Vec<Alignment>),
    Row,
    Cell,
    Link(Link<'a>),
    Emphasis,
    Strong,
    Strike,
}

/// A link or a picture; its label follows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Link<'a> {
    pub(super) address: Cow<'a, str>,
    pub(super) title: Cow<'a, str>,
    /// What is seen of the definition that its address is from, beside the label.
    pub(super) reference: Option<Cow<'a, str>>,
}

/// Reads Markdown. The text has no carriage returns.
pub(super) fn read(source: &str) -> Vec<Event<'_>> {
    let options = Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES;
    let mut reader = Reader {
        source,
        places: tokens::places(source),
        events: Vec::new(),
        pieces: Vec::new(),
        is_begun: false,
        lists: Vec::new(),
        links: Vec::new(),
        place: Within::Blocks,
        at: 0,
        seen: Gap::default(),
    };
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        reader.take(event, range);
    }
    reader.flush();
    reader.recover(source.len());
    reader.events
}

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Blocks,
    /// In a heading or a cell: text begins no paragraph.
    Line,
    Code,
    Html,
}

/// What is known of the bytes between the last event and `end`.
#[derive(Default)]
struct Gap {
    end: usize,
    breaks: usize,
    has_definition: bool,
}

struct Reader<'a> {
    source: &'a str,
    places: Vec<Place>,
    events: Vec<Event<'a>>,
    /// The text of the paragraph so far.
    pieces: Vec<Piece<'a>>,
    is_begun: bool,
    /// For each list that is open, its first number and the one that is due.
    lists: Vec<Option<[u64; 2]>>,
    /// For each link that is open, whether its label stands in brackets.
    links: Vec<bool>,
    place: Within,
    /// Everything before is said.
    at: usize,
    seen: Gap,
}

impl<'a> Reader<'a> {
    fn take(&mut self, event: cmark::Event<'a>, range: Range<usize>) {
        match event {
            cmark::Event::Start(tag) => self.start(tag, range),
            cmark::Event::End(tag) => self.end(tag, range),
            cmark::Event::Text(text) => match self.place {
                Within::Code => {
                    self.events.push(Event::Text(cow(text)));
                    self.said(range.end);
                }
                Within::Blocks | Within::Line | Within::Html => self.text(text, range),
            },
            cmark::Event::Code(code) => self.leaf(Piece::Leaf(Event::Code(cow(code))), range),
            cmark::Event::InlineHtml(html) if is_line_break(&html) => {
                self.leaf(Piece::Leaf(Event::Break), range);
            }
            cmark::Event::InlineHtml(html) => self.leaf(Piece::Text(cow(html)), range),
            cmark::Event::Html(html) => {
                if !self.pieces.is_empty() {
                    self.pieces.push(Piece::Leaf(Event::Break));
                }
                let line = html.trim_end_matches('\n');
                let range = range.start..range.end.min(range.start + line.len());
                let mut rest = line;
                while let Some((at, len)) = line_break(rest) {
                    self.leaf(Piece::Text(Cow::Owned(rest[..at].to_owned())), range.clone());
                    self.pieces.push(Piece::Leaf(Event::Break));
                    rest = &rest[at + len..];
                }
                self.leaf(Piece::Text(Cow::Owned(rest.to_owned())), range);
            }
            cmark::Event::SoftBreak | cmark::Event::HardBreak => {
                if self.source[range.start..].starts_with('\\') && is_in_path(&self.places, range.start) {
                    self.pieces.push(Piece::Text(Cow::Borrowed("\\")));
                }
                // A line that ends with `<br>` ends once.
                if !matches!(self.pieces.last(), Some(Piece::Leaf(Event::Break))) {
                    self.leaf(Piece::Leaf(Event::Break), range.clone());
                }
                // Nothing of a line break is left to be looked at.
                self.said(range.end);
            }
            cmark::Event::Rule => {
                self.block(range.start);
                self.events.push(Event::Rule);
                self.said(range.start + self.source[range].trim_end().len());
            }
            cmark::Event::TaskListMarker(done) => self.leaf(Piece::Leaf(Event::Box(done)), range),
            cmark::Event::FootnoteReference(name) => {
                self.leaf(Piece::Text(Cow::Owned(format!("[{name}]"))), range);
            }
            cmark::Event::InlineMath(math) | cmark::Event::DisplayMath(math) => {
                self.leaf(Piece::Text(cow(math)), range);
            }
        }
    }

    fn start(&mut self, tag: cmark::Tag<'a>, range: Range<usize>) {
        let tag = match tag {
            cmark::Tag::Emphasis => return self.marks(range.start..range.start + 1),
            cmark::Tag::Strong => return self.marks(range.start..range.start + 2),
            cmark::Tag::Strikethrough => {
                return self.marks(range.start..range.start + self.strike_len(&range));
            }
            cmark::Tag::Link { link_type, dest_url, title, id } => {
                return self.link(link_type, [dest_url, title, id], range);
            }
            cmark::Tag::Image { link_type, dest_url, title, id } => {
                return self.link(link_type, [dest_url, title, id], range.start + 1..range.end);
            }
            cmark::Tag::TableHead | cmark::Tag::TableRow => Tag::Row,
            cmark::Tag::TableCell => {
                self.place = Within::Line;
                self.said(range.start);
                Tag::Cell
            }
            cmark::Tag::Paragraph => return self.flush(),
            cmark::Tag::HtmlBlock => {
                self.flush();
                return self.place = Within::Html;
            }
            cmark::Tag::Heading { .. } => {
                self.block(range.start);
                self.place = Within::Line;
                self.said(range.start);
                Tag::Heading
            }
            cmark::Tag::BlockQuote(_) => {
                self.block(range.start);
                self.said(range.start);
                Tag::Quote
            }
            cmark::Tag::CodeBlock(kind) => {
                self.block(range.start);
                self.place = Within::Code;
                self.said(range.start);
                Tag::Code(self.language(kind))
            }
            cmark::Tag::List(first) => {
                self.block(range.start);
                self.lists.push(first.map(|first| [first, first]));
                Tag::List
            }
            cmark::Tag::Item => {
                self.block(range.start);
                Tag::Item(self.sign(range.start))
            }
            cmark::Tag::FootnoteDefinition(name) => {
                self.block(range.start);
                let len = self.source[range.clone()].find("]:").map_or(0, |len| len + 2);
                self.said(range.start + len);
                Tag::Note(cow(name))
            }
            cmark::Tag::Table(alignments) => {
                self.block(range.start);
                Tag::Table(alignments)
            }
            cmark::Tag::DefinitionList
            | cmark::Tag::DefinitionListTitle
            | cmark::Tag::DefinitionListDefinition
            | cmark::Tag::MetadataBlock(_)
            | cmark::Tag::Superscript
            | cmark::Tag::Subscript => return,
        };
        self.events.push(Event::Start(tag));
    }

    fn end(&mut self, tag: cmark::TagEnd, range: Range<usize>) {
        match tag {
            cmark::TagEnd::Emphasis => return self.marks(range.end - 1..range.end),
            cmark::TagEnd::Strong => return self.marks(range.end - 2..range.end),
            cmark::TagEnd::Strikethrough => {
                return self.marks(range.end - self.strike_len(&range)..range.end);
            }
            cmark::TagEnd::Link | cmark::TagEnd::Image => {
                if self.links.pop() == Some(true) {
                    self.pieces.push(Piece::Text(Cow::Borrowed("]")));
                }
                self.pieces.push(Piece::Leaf(Event::End));
                return self.said(range.end);
            }
            cmark::TagEnd::TableHead | cmark::TagEnd::TableRow => {
                self.surplus(range.end);
                self.said(self.at.max(range.start + self.source[range].trim_end().len()));
            }
            cmark::TagEnd::Paragraph => return self.flush(),
            cmark::TagEnd::HtmlBlock => {
                self.flush();
                return self.place = Within::Blocks;
            }
            cmark::TagEnd::TableCell | cmark::TagEnd::Heading(_) => {
                self.flush();
                self.place = Within::Blocks;
                self.said(range.start + self.source[range].trim_end().len());
            }
            cmark::TagEnd::CodeBlock => {
                self.place = Within::Blocks;
                self.said(self.at.max(range.start + self.source[range].trim_end().len()));
                if self.is_empty_code() {
                    return;
                }
            }
            cmark::TagEnd::List(_) => {
                self.flush();
                self.recover(range.end);
                self.lists.pop();
            }
            cmark::TagEnd::BlockQuote(_) | cmark::TagEnd::Item | cmark::TagEnd::FootnoteDefinition => {
                self.flush();
                self.recover(range.end);
            }
            cmark::TagEnd::Table => {}
            cmark::TagEnd::DefinitionList
            | cmark::TagEnd::DefinitionListTitle
            | cmark::TagEnd::DefinitionListDefinition
            | cmark::TagEnd::MetadataBlock(_)
            | cmark::TagEnd::Superscript
            | cmark::TagEnd::Subscript => return,
        }
        self.events.push(Event::End);
    }

    fn strike_len(&self, range: &Range<usize>) -> usize {
        if self.source[range.start..].starts_with("~~") { 2 } else { 1 }
    }

    /// With the first thing in a line a paragraph begins.
    fn begin(&mut self, at: usize) {
        if !self.is_begun && self.place != Within::Line {
            self.block(at);
            self.is_begun = true;
        }
    }

    /// Something in a line.
    fn leaf(&mut self, piece: Piece<'a>, range: Range<usize>) {
        self.begin(range.start);
        self.pieces.push(piece);
        self.said(range.end);
    }

    fn marks(&mut self, range: Range<usize>) {
        self.begin(range.start);
        if let Some(marker) = self.source[range.start..].chars().next() {
            emphasis::push(&mut self.pieces, marker, range.clone());
        }
        self.said(range.end);
    }

    fn text(&mut self, text: cmark::CowStr<'a>, range: Range<usize>) {
        let is_escaped = range.start > 0
            && self.at < range.start
            && self.source.as_bytes()[range.start - 1] == b'\\'
            && self.source.get(range.clone()) == Some(&*text);
        self.begin(range.start);
        let source = self.source;
        let keeps_sign =
            is_escaped && (is_in_path(&self.places, range.start - 1) || is_formula(source, range.start));
        if keeps_sign {
            self.pieces.push(Piece::Text(Cow::Borrowed("\\")));
        }
        if source.get(range.clone()) != Some(&*text) || !text.contains(is_marker) {
            return self.leaf(Piece::Text(cow(text)), range);
        }
        let mut from = range.start;
        for (at, sign) in source[range.clone()].char_indices().filter(|(_, sign)| is_marker(*sign)) {
            let at = range.start + at;
            if is_escaped && at == range.start {
                if !(keeps_sign || is_within_word(source, at - 1..at + 1)) {
                    self.pieces.push(Piece::Leaf(Event::Escaped(&source[at..=at])));
                    from = at + 1;
                }
                continue;
            }
            if at > from {
                self.pieces.push(Piece::Text(Cow::Borrowed(&source[from..at])));
            }
            emphasis::push(&mut self.pieces, sign, at..at + 1);
            from = at + 1;
        }
        if from < range.end {
            self.pieces.push(Piece::Text(Cow::Borrowed(&source[from..range.end])));
        }
        self.said(range.end);
    }

    fn link(&mut self, kind: LinkType, [address, title, id]: [cmark::CowStr<'a>; 3], range: Range<usize>) {
        // `[1]` is a sign for a source: without its brackets it would be a number.
        let (is_bracketed, reference) = match kind {
            LinkType::Reference => {
                let is_bracketed = begins_with_sign(&self.source[range.clone()]);
                let space = if is_bracketed { "" } else { " " };
                (is_bracketed, Some(Cow::Owned(format!("{space}[{id}]"))))
            }
            LinkType::Collapsed | LinkType::Shortcut => {
                (!id.contains(char::is_alphabetic), Some(Cow::Borrowed("")))
            }
            LinkType::Inline
            | LinkType::Autolink
            | LinkType::Email
            | LinkType::ReferenceUnknown
            | LinkType::CollapsedUnknown
            | LinkType::ShortcutUnknown
            | LinkType::WikiLink { .. } => (false, None),
        };
        let is_mail = kind == LinkType::Email && !address.starts_with("mailto:");
        let address = if is_mail { Cow::Owned(format!("mailto:{address}")) } else { cow(address) };
        let link = Link { address, title: cow(title), reference };
        self.leaf(Piece::Leaf(Event::Start(Tag::Link(link))), range.start..range.start);
        self.links.push(is_bracketed);
        if is_bracketed {
            self.pieces.push(Piece::Text(Cow::Borrowed("[")));
        }
    }

    /// The language of a block of code. What else stands in its first line is a paragraph before it.
    fn language(&mut self, kind: CodeBlockKind<'a>) -> Cow<'a, str> {
        let info = match kind {
            CodeBlockKind::Fenced(info) => info,
            CodeBlockKind::Indented => return Cow::Borrowed(""),
        };
        let info = info.trim();
        let (first, rest) = info.split_at(info.find([' ', '\t', ',', '{']).unwrap_or(info.len()));
        let is_language = first.len() <= LANGUAGE_LEN_MAX
            && first.chars().all(|sign| sign.is_ascii_alphanumeric() || "+#-_.".contains(sign))
            && !first.contains('.');
        let (language, caption) = if is_language { (first, rest) } else { ("", info) };
        let caption = caption.trim();
        if caption.contains(char::is_alphanumeric) {
            self.events.push(Event::Text(Cow::Owned(caption.to_owned())));
            self.events.push(Event::Block { apart: false });
        }
        Cow::Owned(language.to_owned())
    }

    /// Of a block without code only the language is there to be seen.
    fn is_empty_code(&mut self) -> bool {
        let is_blank = |event: &Event<'_>| matches!(event, Event::Text(text) if text.trim().is_empty());
        let Some(last) = self.events.iter().rposition(|event| !is_blank(event)) else { return false };
        let Event::Start(Tag::Code(language)) = &self.events[last] else { return false };
        let language = language.clone();
        self.events.truncate(last);
        self.events.push(Event::Text(language));
        true
    }

    /// The sign of an entry, as it was written; entries that all have the same number are counted.
    fn sign(&mut self, start: usize) -> Cow<'a, str> {
        let written = &self.source[start..];
        let digits = written.len() - written.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
        let sign = written.get(..digits + 1).unwrap_or("-");
        self.said(start + sign.len());
        let (Some(Some([first, due])), Ok(number)) = (self.lists.last_mut(), sign[..digits].parse::<u64>())
        else {
            return Cow::Borrowed(sign);
        };
        let is_counted = number == *first && *due != number;
        let shown = if is_counted { *due } else { number };
        *due = shown.saturating_add(1);
        if is_counted { Cow::Owned(format!("{shown}{}", &sign[digits..])) } else { Cow::Borrowed(sign) }
    }

    /// The parser drops the cells that are more than the table has columns.
    fn surplus(&mut self, end: usize) {
        let Some(rest) = self.source.get(self.at..end) else { return };
        let rest = rest.trim();
        let rest = rest.strip_prefix('|').unwrap_or(rest);
        let rest = rest.strip_suffix('|').filter(|rest| !rest.ends_with('\\')).unwrap_or(rest);
        if rest.trim().is_empty() {
            return;
        }
        let mut cell = String::new();
        let mut parts = rest.split('|').peekable();
        while let Some(part) = parts.next() {
            cell.push_str(part.trim());
            if part.ends_with('\\') && parts.peek().is_some() {
                cell.pop();
                cell.push('|');
                continue;
            }
            let text = Event::Text(Cow::Owned(std::mem::take(&mut cell)));
            self.events.extend([Event::Start(Tag::Cell), text, Event::End]);
        }
    }

    /// A block begins here.
    fn block(&mut self, start: usize) {
        self.flush();
        self.recover(start);
        self.look(start);
        self.events.push(Event::Block { apart: self.seen.breaks > 1 });
    }

    /// Looks at what is not said, up to here; each byte is looked at once.
    fn look(&mut self, end: usize) {
        if let Some(more) = self.source.get(self.seen.end..end) {
            self.seen.breaks += more.bytes().filter(|byte| *byte == b'\n').count();
            self.seen.has_definition |= more.contains("]:");
            self.seen.end = end;
        }
    }

    /// The parser swallows definitions of links: they are shown where they stand.
    fn recover(&mut self, end: usize) {
        self.look(end);
        if !self.seen.has_definition {
            return;
        }
        let source = self.source;
        let gap = &source[self.at..end];
        let mut is_first = true;
        let mut at = self.at;
        let mut breaks = 0;
        for line in gap.split_inclusive('\n') {
            let text = line.trim_start_matches([' ', '\t', '>']).trim_end();
            at += line.len();
            if text.is_empty() {
                breaks += usize::from(line.ends_with('\n'));
                continue;
            }
            if is_first {
                self.events.push(Event::Block { apart: breaks > 1 });
            } else {
                self.events.push(Event::Break);
            }
            is_first = false;
            self.events.push(Event::Text(Cow::Borrowed(text)));
            self.said(at - usize::from(line.ends_with('\n')));
        }
        self.seen.has_definition = false;
        self.look(end);
    }

    /// Everything before this place is said.
    fn said(&mut self, at: usize) {
        self.at = at;
        self.seen = Gap { end: at, ..Gap::default() };
    }

    fn flush(&mut self) {
        self.is_begun = false;
        let pieces = std::mem::take(&mut self.pieces);
        emphasis::resolve(self.source, &self.places, pieces, &mut self.events);
    }
}

/// True when the label of this link is a sign as in `[1]`. No more of it is looked at than a sign is long: pictures nest, and each of
/// them would look at all those in it.
fn begins_with_sign(link: &str) -> bool {
    let begin = &link[..link.floor_char_boundary(SIGN_LEN_MAX)];
    let label = begin.trim_start_matches('[').split_once(']').map(|(label, _)| label);
    label.is_some_and(|label| !label.contains(char::is_alphabetic))
}

fn cow(text: cmark::CowStr<'_>) -> Cow<'_, str> {
    match text {
        cmark::CowStr::Borrowed(text) => Cow::Borrowed(text),
        cmark::CowStr::Boxed(_) | cmark::CowStr::Inlined(_) => Cow::Owned(text.into_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_label_only_the_length_of_a_sign_is_looked_at() {
        for (link, expected) in
            [("[1][r]", true), ("[[12]][r]", true), ("[one][r]", false), ("[1", false), ("[☆ 1][r]", true)]
        {
            assert_eq!(begins_with_sign(link), expected, "{link}");
        }
        // As many signs as it looks at, and one more.
        let bare = |len: usize| format!("[{}][r]", "1".repeat(len));
        assert!(begins_with_sign(&bare(SIGN_LEN_MAX - 2)));
        assert!(
            !begins_with_sign(&bare(SIGN_LEN_MAX - 1)),
            "looking further would cost its square in nested pictures"
        );
    }
}

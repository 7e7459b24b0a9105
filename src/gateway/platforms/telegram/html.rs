//! Pure. An agent's Markdown as Telegram's HTML: <https://core.telegram.org/bots/api#html-style>.
//!
//! HTML, because in it three signs are escaped, and in MarkdownV2 eighteen. Telegram knows emphasis, links, code and
//! quotations; headings, lists, tables and rules are written with what there is. Whatever the Markdown, the result is well
//! formed.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What Telegram shows instead of a line across.
const RULE: &str = "———";

/// The text in Telegram's HTML, with the length that Telegram counts: UTF-16 units of what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html {
    /// The text.
    pub text: String,
    /// In UTF-16 units, without tags.
    pub length: usize,
    /// Nothing of it can be seen: Telegram takes no such text.
    pub is_blank: bool,
}

/// Writes Markdown as HTML.
pub fn render(markdown: &str) -> Html {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::default();
    for event in Parser::new_ext(markdown, options) {
        writer.take(event);
    }
    writer.finish()
}

#[derive(Default)]
struct Writer {
    out: String,
    length: usize,
    /// Something was written that can be seen.
    is_seen: bool,
    /// Line breaks owed before the next text.
    owed: usize,
    /// There is something before which they would stand apart; not so at the start of the text or of a quotation.
    begun: bool,
    /// For each list that is open, the number of its next entry, if it counts.
    lists: Vec<Option<u64>>,
    /// Just after the sign of an entry: its first paragraph goes on in the same line.
    at_entry: bool,
    /// Quotations that are open; Telegram does not nest them.
    quotes: usize,
    /// Inside a table: its rows as plain text.
    table: Option<Table>,
    links: Vec<OpenLink>,
    in_code: bool,
}

/// A link or a picture that is open.
struct OpenLink {
    /// A tag was written for it.
    is_link: bool,
    address: String,
    /// Where its label begins.
    label: usize,
}

#[derive(Default)]
struct Table {
    alignments: Vec<Alignment>,
    rows: Vec<Vec<String>>,
    cell: String,
    /// Links that are open in the cell.
    links: Vec<OpenLink>,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        if self.table.is_some() {
            return self.tabulate(event);
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(code) => {
                self.tag("<code>");
                self.text(&code);
                self.tag("</code>");
            }
            // What looks like HTML is shown: an agent that speaks of tags means to show them.
            Event::Html(html) | Event::InlineHtml(html) => self.text(&html),
            Event::SoftBreak | Event::HardBreak => self.break_lines(1),
            Event::Rule => {
                self.break_lines(2);
                self.text(RULE);
                self.break_lines(2);
            }
            Event::TaskListMarker(done) => self.text(if done { "☑ " } else { "☐ " }),
            Event::FootnoteReference(name) => self.text(&format!("[{name}]")),
            Event::InlineMath(math) | Event::DisplayMath(math) => self.text(&math),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.block(),
            Tag::Heading { .. } => {
                self.break_lines(2);
                self.tag("<b>");
            }
            Tag::BlockQuote(_) => {
                self.break_lines(2);
                if self.quotes == 0 {
                    self.tag("<blockquote>");
                    self.begun = false;
                }
                self.quotes += 1;
            }
            Tag::CodeBlock(kind) => {
                self.break_lines(if self.at_entry { 1 } else { 2 });
                self.at_entry = false;
                match kind {
                    CodeBlockKind::Fenced(info) if !info.is_empty() => {
                        let language = info.split([' ', ',', '{']).next().unwrap_or_default();
                        self.tag(&format!("<pre><code class=\"language-{}\">", escaped(language)));
                    }
                    CodeBlockKind::Fenced(_) | CodeBlockKind::Indented => self.tag("<pre><code>"),
                }
                self.in_code = true;
            }
            Tag::List(first) => {
                self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
                self.lists.push(first);
            }
            Tag::Item => {
                self.break_lines(1);
                let depth = self.lists.len().saturating_sub(1);
                let sign = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    Some(None) | None => "• ".to_owned(),
                };
                self.text(&format!("{}{sign}", "   ".repeat(depth)));
                self.at_entry = true;
            }
            Tag::Emphasis => self.tag("<i>"),
            Tag::Strong => self.tag("<b>"),
            Tag::Strikethrough => self.tag("<s>"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                // A link inside a link is none.
                let is_link = self.links.iter().all(|open| !open.is_link) && is_address(&dest_url);
                if is_link {
                    self.tag(&format!("<a href=\"{}\">", escaped(&dest_url)));
                }
                self.links.push(OpenLink { is_link, address: dest_url.into_string(), label: self.out.len() });
            }
            Tag::Table(alignments) => self.table = Some(Table { alignments, ..Table::default() }),
            Tag::HtmlBlock => self.block(),
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::MetadataBlock(_)
            | Tag::Superscript
            | Tag::Subscript
            | Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => {
                self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::Heading(_) => {
                self.close("</b>");
                self.break_lines(2);
            }
            TagEnd::BlockQuote(_) => {
                self.quotes = self.quotes.saturating_sub(1);
                if self.quotes == 0 {
                    self.close("</blockquote>");
                }
                self.break_lines(2);
            }
            TagEnd::CodeBlock => {
                self.in_code = false;
                // The last line break of a block is its end, and no empty line in it.
                if self.out.ends_with('\n') {
                    self.out.pop();
                    self.length -= 1;
                }
                self.close("</code></pre>");
                self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::Item => {
                self.at_entry = false;
                self.break_lines(1);
            }
            TagEnd::Emphasis => self.close("</i>"),
            TagEnd::Strong => self.close("</b>"),
            TagEnd::Strikethrough => self.close("</s>"),
            TagEnd::Link | TagEnd::Image => {
                let Some(open) = self.links.pop() else { return };
                // What has no label is known by its address.
                if self.out[open.label..].trim().is_empty() {
                    self.text(&open.address);
                }
                if open.is_link {
                    self.close("</a>");
                }
            }
            TagEnd::Table
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::MetadataBlock(_)
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::TableCell => {}
        }
    }

    /// A paragraph begins.
    fn block(&mut self) {
        if self.at_entry {
            self.at_entry = false;
        } else {
            self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
        }
    }

    /// So many line breaks are due before the next text.
    fn break_lines(&mut self, count: usize) {
        if self.begun {
            self.owed = self.owed.max(count);
        }
    }

    fn pay(&mut self) {
        for _ in 0..std::mem::take(&mut self.owed) {
            self.out.push('\n');
            self.length += 1;
        }
        self.begun = true;
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.pay();
        self.length += text.encode_utf16().count();
        self.is_seen |= text.contains(|sign: char| !sign.is_whitespace() && !sign.is_control());
        escape(text, &mut self.out);
    }

    /// An opening tag stands after the line breaks that are due.
    fn tag(&mut self, tag: &str) {
        self.pay();
        self.out.push_str(tag);
    }

    /// A closing tag stands before them.
    fn close(&mut self, tag: &str) {
        self.out.push_str(tag);
    }

    fn tabulate(&mut self, event: Event<'_>) {
        let Some(table) = &mut self.table else { return };
        match event {
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                table.cell.push_str(&text);
            }
            Event::SoftBreak | Event::HardBreak => table.cell.push(' '),
            Event::Start(Tag::TableHead | Tag::TableRow) => table.rows.push(Vec::new()),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let is_link = table.links.iter().all(|open| !open.is_link) && is_address(&dest_url);
                let (address, label) = (dest_url.into_string(), table.cell.len());
                table.links.push(OpenLink { is_link, address, label });
            }
            Event::End(TagEnd::Link | TagEnd::Image) => table.end_link(),
            Event::End(TagEnd::TableCell) => {
                let cell = std::mem::take(&mut table.cell);
                if let Some(row) = table.rows.last_mut() {
                    row.push(cell);
                }
            }
            Event::End(TagEnd::Table) => {
                let lines = table.lines();
                self.table = None;
                self.break_lines(2);
                self.tag("<pre>");
                self.text(&lines);
                self.close("</pre>");
                self.break_lines(2);
            }
            Event::Start(_)
            | Event::End(_)
            | Event::Rule
            | Event::TaskListMarker(_)
            | Event::FootnoteReference(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => {}
        }
    }

    fn finish(self) -> Html {
        Html { text: self.out, length: self.length, is_blank: !self.is_seen }
    }
}

impl Table {
    /// In the fixed font of a table nothing can be a link: its address stands behind it.
    fn end_link(&mut self) {
        let Some(open) = self.links.pop() else { return };
        let label = self.cell[open.label..].trim();
        if label.is_empty() {
            self.cell.push_str(&open.address);
        } else if open.is_link && open.address.strip_prefix("mailto:").unwrap_or(&open.address) != label {
            let address = format!(" ({})", open.address);
            self.cell.push_str(&address);
        }
    }

    /// The rows, their columns below each other.
    fn lines(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines: Vec<String> = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| match self.alignments.get(column) {
                    Some(Alignment::Right) => format!("{cell:>width$}"),
                    Some(Alignment::Center) => format!("{cell:^width$}"),
                    Some(Alignment::Left | Alignment::None) | None => format!("{cell:<width$}"),
                })
                .collect();
            lines.push(cells.join(" | ").trim_end().to_owned());
            if number == 0 {
                lines.push(widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-|-"));
            }
        }
        lines.join("\n")
    }
}

/// Whether Telegram makes a link of it; of others it takes the text alone.
fn is_address(address: &str) -> bool {
    ["http://", "https://", "tg://", "mailto:", "tel:"]
        .iter()
        .any(|scheme| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

fn escape(text: &str, out: &mut String) {
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Telegram's parser takes no NUL.
            '\0' => {}
            sign => out.push(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_agents_write_is_shown_as_meant() {
        for (markdown, html) in [
            ("hi", "hi"),
            ("**b** *i* _i_ ~~s~~ `c < d`", "<b>b</b> <i>i</i> <i>i</i> <s>s</s> <code>c &lt; d</code>"),
            ("a & b < c > d \"e\"", "a &amp; b &lt; c &gt; d &quot;e&quot;"),
            ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
            ("# Title\n\ntext", "<b>Title</b>\n\ntext"),
            ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
            ("- a\n- b\n  - c\n\nend", "• a\n• b\n   • c\n\nend"),
            ("3. a\n4. b", "3. a\n4. b"),
            ("- [x] done\n- [ ] open", "• ☑ done\n• ☐ open"),
            ("[x](https://a.b/?q=1&r=2)", "<a href=\"https://a.b/?q=1&amp;r=2\">x</a>"),
            ("[x](javascript:alert(1))", "x"),
            ("![pic](https://a.b/c.png)", "<a href=\"https://a.b/c.png\">pic</a>"),
            ("a ![](https://a.b/c.png)", "a <a href=\"https://a.b/c.png\">https://a.b/c.png</a>"),
            ("[](https://a.b)", "<a href=\"https://a.b\">https://a.b</a>"),
            ("a\n\n![](./c.png)", "a\n\n./c.png"),
            ("[![](c.png)](https://a.b)", "<a href=\"https://a.b\">c.png</a>"),
            ("> a\n> b\n\nc", "<blockquote>a\nb</blockquote>\n\nc"),
            ("> a\n>> b", "<blockquote>a\n\nb</blockquote>"),
            (
                "```rust\nlet a = 1 < 2;\n\n```\nx",
                "<pre><code class=\"language-rust\">let a = 1 &lt; 2;\n</code></pre>\n\nx",
            ),
            ("```\nopen", "<pre><code>open</code></pre>"),
            ("<b>raw</b> <script>", "&lt;b&gt;raw&lt;/b&gt; &lt;script&gt;"),
            ("a\n\n---\n\nb", "a\n\n———\n\nb"),
            ("| a | bb |\n|---|---:|\n| ccc | d |", "<pre>a   | bb\n----|---\nccc |  d</pre>"),
            (
                "| a |\n|---|\n| [x](https://a.b) |\n| ![](https://a.b) |\n| <https://a.b> |\n| <a@b.cd> |\n| [x](y) |",
                "<pre>a\n---------------\nx (https://a.b)\nhttps://a.b\nhttps://a.b\na@b.cd\nx</pre>",
            ),
            ("", ""),
        ] {
            assert_eq!(render(markdown).text, html, "{markdown}");
        }
    }

    #[test]
    fn markup_of_which_nothing_can_be_seen_is_blank() {
        for markdown in ["", "```\n```", "```rust\n\n```", "[a]: https://a.b", "&#32;", "[]()", "> ", "\u{7}"]
        {
            assert!(render(markdown).is_blank, "{markdown:?}");
        }
        for markdown in ["a", "![](https://a.b/c.png)", "[](https://a.b)", "---", "`a`", "| a |\n|---|"] {
            assert!(!render(markdown).is_blank, "{markdown:?}");
        }
    }

    #[test]
    fn the_length_is_what_is_shown_in_utf16() {
        for (markdown, length) in [
            ("**a**", 1),
            ("😀", 2),
            ("a & b", 5),
            ("a\n\nb", 4),
            ("[x](https://a.b)", 1),
            ("```\nab\n```", 2),
        ] {
            assert_eq!(render(markdown).length, length, "{markdown}");
        }
    }

    /// The text without tags, or what is wrong with them.
    fn shown(html: &str) -> Result<String, String> {
        let mut open = Vec::new();
        let mut text = String::new();
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            text.push_str(&rest[..at]);
            let end = rest[at..].find('>').ok_or("a tag without end")? + at;
            let tag = &rest[at + 1..end];
            match tag.strip_prefix('/') {
                Some(name) => {
                    let last = open.pop();
                    if last.as_deref() != Some(name) {
                        return Err(format!("</{name}> closes {last:?}"));
                    }
                }
                None => {
                    let name = tag.split(' ').next().unwrap_or_default();
                    if !["b", "i", "s", "a", "code", "pre", "blockquote"].contains(&name) {
                        return Err(format!("Telegram knows no <{name}>"));
                    }
                    open.push(name.to_owned());
                }
            }
            rest = &rest[end + 1..];
        }
        text.push_str(rest);
        if open.is_empty() { Ok(text) } else { Err(format!("{open:?} stay open")) }
    }

    proptest! {
        #[test]
        fn whatever_the_markdown_the_html_is_well_formed(
            parts in proptest::collection::vec(prop_oneof![
                Just("**".to_owned()), Just("_".to_owned()), Just("`".to_owned()), Just("```".to_owned()), Just("\n".to_owned()),
                Just("\n\n".to_owned()), Just("> ".to_owned()), Just("- ".to_owned()), Just("1. ".to_owned()), Just("[".to_owned()),
                Just("](http://a)".to_owned()), Just("<".to_owned()), Just(">".to_owned()), Just("&".to_owned()), Just("|".to_owned()),
                Just("|-|-|\n".to_owned()), Just("# ".to_owned()), Just("~~".to_owned()), Just("![".to_owned()), Just("    ".to_owned()),
                "[a-z😀é\"]{1,4}",
            ], 0..40)
        ) {
            let html = render(&parts.concat());
            let text = shown(&html.text).map_err(TestCaseError::fail)?;
            let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
            prop_assert_eq!(text.encode_utf16().count(), html.length);
        }
    }
}

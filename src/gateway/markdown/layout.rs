//! Pure. What people see of the events: line breaks, the signs of lists, tables, and addresses that no link can hold.

use super::dialect::Form;
use super::reader::{Event, Link, Tag};
use super::rich::{Rich, Span, Style};
use super::table::Table;

/// Deeper lists are indented no further.
const DEPTH_MAX: usize = 8;

/// A span whose text has not come yet.
const UNSET: usize = usize::MAX;

/// Lays out a document.
pub(super) fn lay_out(events: &[Event<'_>], form: &Form) -> Rich {
    let mut layout = Layout {
        form,
        rich: Rich::default(),
        open: Vec::new(),
        begun: 0,
        ends: Vec::new(),
        owed: 0,
        lists: 0,
        at_entry: false,
        quotes: 0,
        weights: [0; 3],
        linked: 0,
        table: None,
    };
    for event in events {
        layout.take(event);
    }
    layout.rich
}

/// What ends with an [`Event::End`].
enum Ends<'a> {
    Nothing,
    Weight(usize),
    Quote,
    Block,
    List,
    Item,
    Table,
    Cell,
    /// A link, and where its label begins.
    Link {
        link: &'a Link<'a>,
        label: usize,
        is_link: bool,
    },
}

struct Layout<'a> {
    form: &'a Form,
    rich: Rich,
    /// Spans that are open, by their place in the list.
    open: Vec<usize>,
    /// Of these, so many from the first have begun.
    begun: usize,
    ends: Vec<Ends<'a>>,
    /// Line breaks owed before the next text.
    owed: usize,
    lists: usize,
    /// Just after the sign of an entry: its first paragraph goes on in the same line.
    at_entry: bool,
    quotes: usize,
    /// How often bold, italic and struck are open: only the outermost is written.
    weights: [u32; 3],
    linked: u32,
    table: Option<Table>,
}

impl<'a> Layout<'a> {
    fn take(&mut self, event: &'a Event<'a>) {
        match event {
            Event::Block { apart } => {
                if std::mem::take(&mut self.at_entry) {
                    return;
                }
                let is_apart = if self.form.is_airy { self.lists == 0 } else { *apart };
                self.break_lines(if is_apart { 2 } else { 1 });
            }
            Event::Start(tag) => {
                let ends = self.start(tag);
                self.ends.push(ends);
            }
            Event::End => {
                if let Some(ends) = self.ends.pop() {
                    self.end(ends);
                }
            }
            Event::Text(text) => self.text(text),
            Event::Escaped(sign) => {
                self.text(sign);
                // A table is code, where nothing is markup.
                if self.table.is_none() {
                    self.text(self.form.escaped_end);
                }
            }
            Event::Code(code) => {
                // Where a link is code, Telegram takes only one of the two.
                let is_plain = self.table.is_some() || self.linked > 0;
                if is_plain {
                    self.text(code);
                } else {
                    self.span(Style::Code);
                    self.text(code);
                    self.end_span();
                }
            }
            Event::Break if self.table.is_some() => self.text(" "),
            // Two in a row are an empty line.
            Event::Break => self.break_lines((self.owed + 1).min(2)),
            Event::Rule => self.text(self.form.rule),
            Event::Box(done) => self.text(if *done { "☑ " } else { "☐ " }),
        }
    }

    fn start(&mut self, tag: &'a Tag<'a>) -> Ends<'a> {
        match tag {
            Tag::Heading | Tag::Strong => self.weigh(0, Style::Strong),
            Tag::Emphasis => self.weigh(1, Style::Emphasis),
            Tag::Strike => self.weigh(2, Style::Strike),
            Tag::Quote => {
                self.break_lines(1);
                if self.quotes == 0 {
                    self.span(Style::Quote);
                }
                self.quotes += 1;
                Ends::Quote
            }
            Tag::Code(language) => {
                self.break_lines(1);
                self.span(Style::Block(language.to_string()));
                Ends::Block
            }
            Tag::List => {
                self.lists += 1;
                Ends::List
            }
            Tag::Item(sign) => {
                self.break_lines(1);
                let indent = self.form.indent.repeat(self.lists.saturating_sub(1).min(DEPTH_MAX));
                let is_number = sign.starts_with(|sign: char| sign.is_ascii_digit());
                let sign = self.form.bullet.filter(|_| !is_number).unwrap_or(sign);
                self.text(&format!("{indent}{sign} "));
                self.at_entry = true;
                Ends::Item
            }
            Tag::Note(name) => {
                self.text(&format!("[{name}] "));
                self.at_entry = true;
                Ends::Item
            }
            Tag::Table(alignments) => {
                self.break_lines(1);
                self.table = Some(Table { alignments: alignments.clone(), ..Table::default() });
                Ends::Table
            }
            Tag::Row => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
                Ends::Nothing
            }
            Tag::Cell => Ends::Cell,
            Tag::Link(link) => {
                let is_link = self.linked == 0 && self.table.is_none() && (self.form.links)(&link.address);
                if is_link {
                    self.span(Style::Link(link.address.to_string()));
                    self.linked += 1;
                }
                Ends::Link { link, label: self.buffer().len(), is_link }
            }
        }
    }

    fn end(&mut self, ends: Ends<'a>) {
        match ends {
            Ends::Nothing => {}
            Ends::Weight(weight) => {
                self.weights[weight] -= 1;
                if self.weights[weight] == 0 && self.table.is_none() {
                    self.end_span();
                }
            }
            Ends::Quote => {
                self.quotes -= 1;
                if self.quotes == 0 {
                    self.end_span();
                }
            }
            Ends::Block => {
                // The last line break of a block is its end, and no empty line in it.
                if self.begun == self.open.len() && self.rich.text.ends_with('\n') {
                    self.rich.text.pop();
                }
                self.end_span();
            }
            Ends::List => self.lists -= 1,
            Ends::Item => self.at_entry = false,
            Ends::Cell => {
                if let Some(table) = &mut self.table {
                    let cell = std::mem::take(&mut table.cell);
                    if let Some(row) = table.rows.last_mut() {
                        row.push(cell.trim().to_owned());
                    }
                }
            }
            Ends::Table => {
                if let Some(table) = self.table.take() {
                    self.span(Style::Table);
                    self.text(&table.lines());
                    self.end_span();
                }
            }
            Ends::Link { link, label, is_link } => self.end_link(link, label, is_link),
        }
    }

    /// Whatever of the link cannot be behind its label is shown after it.
    fn end_link(&mut self, link: &Link<'_>, label: usize, is_link: bool) {
        let address = &link.address;
        let shown = self.buffer().get(label..).unwrap_or_default().trim();
        let is_labelled = !shown.is_empty();
        let is_address = shown == address || address.strip_prefix("mailto:") == Some(shown);
        if !is_labelled {
            // What has no label is known by its address.
            self.text(address);
        }
        if is_link {
            self.linked -= 1;
            self.end_span();
        }
        if let Some(reference) = &link.reference {
            return self.text(reference);
        }
        let address = (is_labelled && !is_link && !is_address && !address.is_empty()).then_some(address);
        let title = (!link.title.trim().is_empty()).then_some(&link.title);
        match (address, title) {
            (Some(address), Some(title)) => self.text(&format!(" ({address} – {title})")),
            (Some(shown), None) | (None, Some(shown)) => self.text(&format!(" ({shown})")),
            (None, None) => {}
        }
    }

    fn weigh(&mut self, weight: usize, style: Style) -> Ends<'a> {
        if self.weights[weight] == 0 && self.table.is_none() {
            self.span(style);
        }
        self.weights[weight] += 1;
        Ends::Weight(weight)
    }

    /// A span begins with the next text.
    fn span(&mut self, style: Style) {
        self.open.push(self.rich.spans.len());
        self.rich.spans.push(Span { range: UNSET..UNSET, style });
    }

    fn end_span(&mut self) {
        let Some(span) = self.open.pop() else { return };
        let end = self.rich.text.len();
        let range = &mut self.rich.spans[span].range;
        if range.start >= end {
            // Nothing came: neither did a span within it.
            self.rich.spans.truncate(span);
        } else {
            range.end = end;
        }
        self.begun = self.begun.min(self.open.len());
    }

    /// So many line breaks are due before the next text.
    fn break_lines(&mut self, count: usize) {
        if !self.rich.text.is_empty() {
            self.owed = self.owed.max(count);
        }
    }

    fn buffer(&self) -> &str {
        self.table.as_ref().map_or(&self.rich.text, |table| &table.cell)
    }

    fn text(&mut self, text: &str) {
        if let Some(table) = &mut self.table {
            return table.cell.push_str(text);
        }
        if text.is_empty() {
            return;
        }
        let owed = std::mem::take(&mut self.owed);
        self.rich.text.extend(std::iter::repeat_n('\n', owed));
        for span in &self.open[self.begun..] {
            self.rich.spans[*span].range.start = self.rich.text.len();
        }
        self.begun = self.open.len();
        self.rich.text.push_str(text);
    }
}

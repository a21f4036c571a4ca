//! A Markdown document as lines, each with what it is and what it stands under.
//! Must never lose a line: whatever has text in it comes out once, with its number.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::collections::BTreeMap;

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Heading,
    /// A box of a checklist, `- [ ]` or a bullet that begins with a tick.
    Box,
    Bullet,
    /// An item of a numbered list.
    Step,
    /// A row of a table; the cells of its head.
    Row {
        head: Vec<String>,
    },
    Prose,
    /// A line of a code block: its language, and which block of the document it is in.
    Code {
        language: String,
        block: usize,
    },
}

/// One line with text in it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u32,
    pub(super) what: What,
    /// Without the marks of Markdown; code as it stands.
    pub(super) text: String,
    /// The cells, when it is a row.
    pub(super) cells: Vec<String>,
    /// Headings and list items that it stands under, the nearest last, in lower case.
    pub(super) under: Vec<String>,
}

impl Line {
    /// Whether something it stands under has one of the words.
    pub(super) fn is_under(&self, words: &str) -> bool {
        words.split('|').any(|word| self.under.iter().any(|above| above.contains(word)))
    }
}

/// The lines of a document.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut reading = Reading::new(text);
    let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        reading.event(event, range.start);
    }
    reading.lines.into_values().filter(|line| !line.text.trim().is_empty()).collect()
}

struct Reading<'t> {
    text: &'t str,
    starts: Vec<usize>,
    lines: BTreeMap<u32, Line>,
    /// Headings by their level.
    headings: Vec<(usize, String)>,
    heading: Option<usize>,
    /// Lists around, each with whether it is numbered, and the line of its open item.
    lists: Vec<(bool, Option<u32>)>,
    is_box: bool,
    code: Option<String>,
    block: usize,
    head: Vec<String>,
    in_head: bool,
    in_row: bool,
    cell: Option<String>,
}

impl<'t> Reading<'t> {
    fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
            lines: BTreeMap::new(),
            headings: Vec::new(),
            heading: None,
            lists: Vec::new(),
            is_box: false,
            code: None,
            block: 0,
            head: Vec::new(),
            in_head: false,
            in_row: false,
            cell: None,
        }
    }

    fn number(&self, at: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= at)).unwrap_or(u32::MAX)
    }

    fn event(&mut self, event: Event<'t>, at: usize) {
        match event {
            Event::Start(tag) => self.start(tag, at),
            Event::End(tag) => self.end(tag),
            Event::TaskListMarker(_) => self.is_box = true,
            Event::Text(text) if self.code.is_some() => self.code_lines(&text, at),
            Event::Text(text) | Event::Code(text) | Event::InlineHtml(text) | Event::Html(text) => {
                self.say(&text, at);
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'t>, at: usize) {
        match tag {
            Tag::Heading { level, .. } => {
                let level = level as usize;
                self.headings.retain(|(above, _)| *above < level);
                self.heading = Some(level);
            }
            Tag::List(first) => self.lists.push((first.is_some(), None)),
            Tag::Item => {
                let number = self.number(at);
                self.is_box = false;
                if let Some((_, item)) = self.lists.last_mut() {
                    *item = Some(number);
                }
            }
            Tag::CodeBlock(kind) => {
                self.block += 1;
                self.code = Some(match kind {
                    CodeBlockKind::Fenced(language) => language.trim().to_lowercase(),
                    CodeBlockKind::Indented => String::new(),
                });
            }
            Tag::TableHead => {
                self.head.clear();
                self.in_head = true;
            }
            Tag::TableRow => self.in_row = true,
            Tag::TableCell => self.cell = Some(String::new()),
            // An address says where a link leads; its text alone would lose it.
            Tag::Link { .. } | Tag::Image { .. } => {}
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => self.heading = None,
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::Item => {
                if let Some((_, item)) = self.lists.last_mut() {
                    *item = None;
                }
            }
            TagEnd::CodeBlock => self.code = None,
            TagEnd::TableHead => self.in_head = false,
            TagEnd::TableRow => self.in_row = false,
            TagEnd::TableCell => {
                let cell = self.cell.take().unwrap_or_default();
                if self.in_head {
                    self.head.push(cell);
                } else if let Some((_, line)) = self.lines.iter_mut().next_back()
                    && matches!(line.what, What::Row { .. })
                {
                    line.cells.push(cell);
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str, at: usize) {
        let number = self.number(at);
        if let Some(cell) = &mut self.cell {
            cell.push_str(text);
        }
        if let Some(level) = self.heading {
            match self.headings.last_mut() {
                Some((same, heading)) if *same == level => {
                    heading.push_str(&text.to_lowercase());
                }
                _ => self.headings.push((level, text.to_lowercase())),
            }
        }
        let what = self.what();
        let under = self.under(number);
        let line = self.lines.entry(number).or_insert_with(|| Line {
            number,
            what,
            text: String::new(),
            cells: Vec::new(),
            under,
        });
        if matches!(line.what, What::Row { .. }) && !line.text.is_empty() {
            line.text.push(' ');
        }
        line.text.push_str(text);
        // A tick at the beginning makes a bullet a box that somebody ticked for show.
        if line.what == What::Bullet && line.text.trim_start().starts_with('✅') {
            line.what = What::Box;
        }
    }

    fn what(&self) -> What {
        if self.heading.is_some() {
            return What::Heading;
        }
        if self.in_row || self.in_head {
            return What::Row { head: self.head.clone() };
        }
        match self.lists.last() {
            Some(_) if self.is_box => What::Box,
            Some((true, _)) => What::Step,
            Some((false, _)) => What::Bullet,
            None => What::Prose,
        }
    }

    /// What a line stands under: headings, then the items of the lists around it.
    fn under(&self, number: u32) -> Vec<String> {
        let headings = self.headings.iter().map(|(_, text)| text.clone());
        let items = self.lists.iter().filter_map(|(_, item)| *item).filter(|item| *item != number);
        let items =
            items.filter_map(|item| self.lines.get(&item)).map(|line| line.text.to_lowercase());
        headings.chain(items).collect()
    }

    fn code_lines(&mut self, text: &str, at: usize) {
        let first = self.number(at);
        let language = self.code.clone().unwrap_or_default();
        for (number, line) in (first..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            // Indentation that belongs to the list around is no part of the line.
            let index = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
            let start = self.starts.get(index).copied().unwrap_or_default();
            let whole = self.text.get(start..).and_then(|rest| rest.lines().next());
            let line = if whole.is_some_and(|whole| whole.ends_with(line.trim_end())) {
                line
            } else {
                whole.unwrap_or(line)
            };
            let what = What::Code { language: language.clone(), block: self.block };
            let under = self.under(number);
            self.lines.insert(
                number,
                Line { number, what, text: line.trim_end().to_owned(), cells: Vec::new(), under },
            );
        }
    }
}

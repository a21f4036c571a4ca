//! Builds the tree from the parser's events, within limits that hold for any input.
//! Must never follow an alias further than [`NODES_MAX`], nest deeper than [`DEPTH_MAX`], or merge
//! one map into another: a reader must see what a key is worth where it stands.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput, StructureStyle, Tag,
};

use crate::codes;
use crate::node::{Key, Kind, Node};
use crate::report::{Report, Span};

/// Most values in one file, aliases counted as often as they are used. The example that uses every
/// key has about 200.
pub(crate) const NODES_MAX: usize = 10_000;
/// Deepest nesting. No key of the format lies deeper than 7.
pub(crate) const DEPTH_MAX: usize = 32;

/// Reading cannot go on; the reason is in the report.
struct Stop;

type Events<'s> = Parser<'s, StrInput<'s>>;

/// The tree of the only document in the source; `None` when it could not be read, which is then in
/// the report.
pub(crate) fn compose(source: &str, index: u16, report: &mut Report<'_>) -> Option<Node> {
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
    };
    let mut composer = Composer {
        events: Parser::new_from_str_with_options(source, options),
        source,
        index,
        report,
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    composer.document().ok().flatten()
}

struct Composer<'s, 'r, 'f> {
    events: Events<'s>,
    source: &'s str,
    /// Which of the report's files this is.
    index: u16,
    report: &'r mut Report<'f>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'s> Composer<'s, '_, '_> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let at = self.span(&span);
                    self.report
                        .error(codes::YAML_FEATURE, at, "a second document begins here")
                        .help("one file describes one service: remove the `---`");
                    return Err(Stop);
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, &span, 1)?),
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'s>, granit_parser::Span)>, Stop> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                self.syntax(&error);
                Err(Stop)
            }
        }
    }

    /// Like [`Self::next`] inside a collection, where the end of the stream cannot come.
    fn child(&mut self) -> Result<(Event<'s>, granit_parser::Span), Stop> {
        self.next()?.ok_or(Stop)
    }

    fn syntax(&mut self, error: &ScanError) {
        let mark = error.marker();
        let at = Span {
            source: self.index,
            line: number(mark.line()),
            column: number(mark.col() + 1),
            length: 1,
        };
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            self.report.error(codes::TOO_COMPLEX, at, message);
            return;
        }
        let finding =
            self.report.error(codes::SYNTAX, at, format!("this is not YAML: {}", error.info()));
        finding.help(
            "check indentation, quotes and brackets on this line and the one above; quote \
             a text that begins with one of > | * & ! % @ [ {",
        );
    }

    fn node(
        &mut self,
        event: Event<'s>,
        span: &granit_parser::Span,
        depth: usize,
    ) -> Result<Node, Stop> {
        let at = self.span(span);
        self.count(1, depth, at)?;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                let plain = style == ScalarStyle::Plain;
                (Node { kind: Kind::Scalar { text: text.into_owned(), plain }, at }, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                (self.list(style, at, depth)?, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                (self.map(style, at, depth)?, anchor)
            }
            Event::Alias(id) => (self.alias(id, at, depth)?, 0),
            other => {
                self.report.error(codes::YAML_FEATURE, at, format!("{other:?} is not read here"));
                return Err(Stop);
            }
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, style: StructureStyle, at: Span, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.child()?;
            if matches!(event, Event::SequenceEnd) {
                let at = self.reach(style, at, &span);
                return Ok(Node { kind: Kind::List(items), at });
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, style: StructureStyle, at: Span, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, span) = self.child()?;
            if matches!(event, Event::MappingEnd) {
                let at = match (style, entries.first()) {
                    (StructureStyle::Block, Some((first, _))) => first.at,
                    _ => self.reach(style, at, &span),
                };
                return Ok(Node { kind: Kind::Map(entries), at });
            }
            let key = self.key(event, &span, depth + 1)?;
            let (event, span) = self.child()?;
            let block = matches!(
                event,
                Event::SequenceStart(StructureStyle::Block, ..)
                    | Event::MappingStart(StructureStyle::Block, ..)
            );
            let mut node = self.node(event, &span, depth + 1)?;
            // A block has no bracket to point at, and an empty value no text: its key stands for it.
            if block || node.is_null() {
                node.at = key.at;
            }
            if key.text == "<<" {
                self.report
                    .error(codes::YAML_FEATURE, key.at, "merge keys (`<<`) are not read here")
                    .help("write the keys out where they apply");
            } else if seen.insert(key.text.clone()) {
                entries.push((key, node));
            } else {
                self.duplicate(&entries, &key);
            }
        }
    }

    fn duplicate(&mut self, entries: &[(Key, Node)], key: &Key) {
        let first = entries.iter().find(|(k, _)| k.text == key.text).map_or(0, |(k, _)| k.at.line);
        self.report
            .error(codes::DUPLICATE_KEY, key.at, format!("`{}` is given twice", key.text))
            .help(format!("it stands first in line {first}; keep one of the two"));
    }

    fn key(
        &mut self,
        event: Event<'s>,
        span: &granit_parser::Span,
        depth: usize,
    ) -> Result<Key, Stop> {
        let node = self.node(event, span, depth)?;
        match node.kind {
            Kind::Scalar { text, .. } => Ok(Key { text, at: node.at }),
            Kind::List(_) | Kind::Map(_) => {
                self.report.error(codes::WRONG_KIND, node.at, "a key must be a text");
                Err(Stop)
            }
        }
    }

    fn alias(&mut self, id: usize, at: Span, depth: usize) -> Result<Node, Stop> {
        let Some(anchored) = self.anchors.get(&id) else {
            self.report.error(codes::TOO_COMPLEX, at, "this alias stands inside what it repeats");
            return Err(Stop);
        };
        let (size, height) = (anchored.size(), anchored.height());
        let node = Node { kind: anchored.kind.clone(), at };
        self.count(size, depth + height, at)?;
        Ok(node)
    }

    fn count(&mut self, more: usize, depth: usize, at: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(more);
        if depth > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            self.report.error(codes::TOO_COMPLEX, at, message);
            return Err(Stop);
        }
        if self.nodes > NODES_MAX {
            let message = format!("the file has more than {NODES_MAX} values");
            self.report
                .error(codes::TOO_COMPLEX, at, message)
                .help("an alias counts as often as it is used");
            return Err(Stop);
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, at: Span) {
        if let Some(tag) = tag {
            let message = format!("the tag `{}{}` is not read here", tag.handle(), tag.suffix());
            self.report
                .error(codes::YAML_FEATURE, at, message)
                .help("remove it; quote the value to make it a text");
        }
    }

    /// From an opening bracket to the closing one, when both stand in one line.
    fn reach(&self, style: StructureStyle, from: Span, end: &granit_parser::Span) -> Span {
        let end_line = number(end.end.line());
        let end_column = number(end.end.col() + 1);
        if style == StructureStyle::Flow && end_line == from.line && end_column > from.column {
            return Span { length: end_column - from.column, ..from };
        }
        from
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let first_line = span.slice(self.source).and_then(|text| text.lines().next());
        let length = first_line.map_or(1, |text| text.trim_end().chars().count());
        Span {
            source: self.index,
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            length: number(length.max(1)),
        }
    }
}

/// The source is limited to [`crate::SOURCE_BYTES_MAX`], so every position fits.
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

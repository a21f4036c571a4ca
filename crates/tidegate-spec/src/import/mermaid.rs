//! Pictures of processes in Mermaid: flowcharts and sequence diagrams, line by line.
//! Must never take the look of a picture for its meaning.

/// What a line of a picture says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Drawn {
    /// The kind of the picture, `flowchart LR`.
    Header,
    /// Stages and the ways between them: names with their words, in the order of the line.
    Way { stages: Vec<Stage>, label: Option<String> },
    /// A participant of a sequence.
    Participant { name: String, words: String },
    /// A message of a sequence.
    Message { from: String, to: String, words: String },
    /// `par`, `alt`, `loop`, `opt`, `else`, `and`: how messages belong together.
    Block { word: String, words: String },
    /// `end` of a block.
    End,
    /// A note.
    Note { words: String },
    /// Colours and classes.
    Look,
    /// A comment.
    Comment,
    /// Nothing that is read here.
    Other,
}

/// A stage of a flowchart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) name: String,
    /// What stands in its box; empty when the line only names it.
    pub(super) words: String,
}

/// Reads one line.
pub(super) fn line(text: &str) -> Drawn {
    let text = text.trim().trim_end_matches(';');
    let word = text.split_whitespace().next().unwrap_or_default();
    let rest = text.get(word.len()..).unwrap_or_default().trim();
    match word {
        _ if text.starts_with("%%") => Drawn::Comment,
        "flowchart" | "graph" | "sequenceDiagram" => Drawn::Header,
        "classDef" | "class" | "style" | "linkStyle" | "click" | "direction" => Drawn::Look,
        "participant" | "actor" => {
            let (name, words) = rest.split_once(" as ").unwrap_or((rest, rest));
            Drawn::Participant { name: name.trim().to_owned(), words: words.trim().to_owned() }
        }
        "par" | "alt" | "loop" | "opt" | "else" | "and" | "critical" | "break" | "rect" => {
            Drawn::Block { word: word.to_owned(), words: rest.to_owned() }
        }
        "end" if rest.is_empty() => Drawn::End,
        "Note" | "note" => {
            let words = rest.split_once(':').map_or(rest, |(_, words)| words);
            Drawn::Note { words: words.trim().to_owned() }
        }
        "subgraph" => Drawn::Block { word: word.to_owned(), words: rest.to_owned() },
        _ => message(text).or_else(|| way(text)).unwrap_or(Drawn::Other),
    }
}

/// `GH->>KV: Fetch Production Secrets`.
fn message(text: &str) -> Option<Drawn> {
    let arrow =
        ["-->>", "->>", "--x", "-x", "--)", "-)"].into_iter().find(|arrow| text.contains(arrow))?;
    let (from, behind) = text.split_once(arrow)?;
    let (to, words) = behind.split_once(':')?;
    let name = |text: &str| text.trim().trim_start_matches(['+', '-']).to_owned();
    Some(Drawn::Message { from: name(from), to: name(to), words: words.trim().to_owned() })
}

/// `A[words] -->|label| B[words]`, chains included.
fn way(text: &str) -> Option<Drawn> {
    let mut stages = Vec::new();
    let mut label = None;
    let mut rest = text;
    loop {
        let (stage, behind) = stage(rest)?;
        stages.push(stage);
        let behind = behind.trim_start();
        if behind.is_empty() {
            break;
        }
        let arrow =
            ["-.->", "-->", "==>", "---"].into_iter().find(|arrow| behind.starts_with(arrow))?;
        rest = behind.get(arrow.len()..)?.trim_start();
        if let Some(behind) = rest.strip_prefix('|') {
            let (words, behind) = behind.split_once('|')?;
            label = Some(plain(words));
            rest = behind.trim_start();
        }
    }
    Some(Drawn::Way { stages, label })
}

/// A name and the words in its box, with what stands behind.
fn stage(text: &str) -> Option<(Stage, &str)> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let open = rest.chars().next().filter(|c| matches!(c, '[' | '(' | '{' | '>'));
    let Some(open) = open else {
        return Some((Stage { name: name.to_owned(), words: String::new() }, rest));
    };
    let close = match open {
        '[' | '>' => ']',
        '(' => ')',
        _ => '}',
    };
    // Boxes within boxes, as in `([words])`, end with the outer one.
    let end = rest
        .rfind(close)
        .filter(|end| rest.get(..*end).is_some_and(|inside| !inside.contains("--")));
    let end = match end {
        Some(end) => end,
        None => rest.find(close)?,
    };
    let words = rest.get(1..end)?;
    let behind = rest.get(end + close.len_utf8()..)?;
    Some((Stage { name: name.to_owned(), words: plain(words) }, behind))
}

/// The words of a box without breaks, brackets and pictures.
pub(super) fn plain(text: &str) -> String {
    let text = text.replace("<br/>", " ").replace("<br>", " ").replace("<br />", " ");
    let text: String = text
        .chars()
        .filter(|c| c.is_ascii() || c.is_alphanumeric())
        .map(|c| if matches!(c, '[' | ']' | '(' | ')' | '{' | '}' | '"') { ' ' } else { c })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_pictures_are_read() {
        let stage =
            |name: &str, words: &str| Stage { name: name.to_owned(), words: words.to_owned() };
        assert_eq!(
            line("  Health -->|❌ Fails| Rollback[⏪ Automatic<br/>Rollback]"),
            Drawn::Way {
                stages: vec![stage("Health", ""), stage("Rollback", "Automatic Rollback")],
                label: Some("Fails".to_owned())
            }
        );
        assert_eq!(
            line("A[one] --> B(two) --> C{three}"),
            Drawn::Way {
                stages: vec![stage("A", "one"), stage("B", "two"), stage("C", "three")],
                label: None
            }
        );
        assert_eq!(
            line("GH->>KV: Fetch Production Secrets"),
            Drawn::Message {
                from: "GH".to_owned(),
                to: "KV".to_owned(),
                words: "Fetch Production Secrets".to_owned()
            }
        );
        assert_eq!(line("classDef success fill:#28A745"), Drawn::Look);
        assert_eq!(line("end"), Drawn::End);
        assert_eq!(line("%% Production Flow"), Drawn::Comment);
    }
}

//! A runbook in Markdown becomes a draft, line by line.
//! Must never need anything but the text: no network, no clock, no program.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::plan::Release;

use super::binding::{self, Bound, Words};
use super::code::{self, SHELL, STRUCTURED, Value, key_of};
use super::document::{self, Line, What};
use super::draft::{self, Draft, Placed};
use super::mermaid::{self, Drawn, Stage};
use super::{Entry, How, Imported, Share, quantity, special};
use crate::codes;
use crate::export;
use crate::file::{Context, read_with};
use crate::format::PHASES;
use crate::lint::{commands, texts};
use crate::mojibake;
use crate::report::Purpose;

/// Most lines of a document; the longest real one has 508.
const LINES_MAX: usize = 5_000;
/// Longest line that is read, in characters; the longest real one has 178, and in a picture of a
/// process a line is a value: a query of 4,096 bytes, each written as six.
const LINE_CHARS_MAX: usize = 32_768;
/// Longest text of a line that is repeated in the report.
const TEXT_CHARS_MAX: usize = 160;

/// Imports a document.
#[must_use]
pub fn runbook(source: &str, name: &str) -> Imported {
    let repaired = mojibake::repair(&within_limits(source));
    let broken = broken(source);
    let lines = document::lines(&repaired.text);
    let blocks = blocks(&lines);
    let mut draft = Draft::new();
    // A picture of ours names everything, the service too.
    let drawn = lines.iter().any(|line| export::value_of(&line.text).is_some());
    if !drawn {
        draft.set("tidegate", "1");
        draft.set_text("service", &service(&lines, name));
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(lines.len());
    for line in &lines {
        let bound = bound(line, &blocks, &mut draft);
        let entry = entry(line, bound, broken.contains(&line.number));
        if line.what == What::Box {
            tick(line, &entry, &mut draft);
        }
        entries.push(entry);
    }
    scripts(&blocks, &mut entries);
    if !drawn {
        complete(&mut draft);
    }
    let draft = header(name) + &draft.write();
    let findings = checked(&draft);
    Imported {
        boxes: boxes(&entries),
        numbers: numbers(&entries),
        draft,
        entries,
        repaired: repaired.repaired,
        lost: repaired.lost,
        findings,
    }
}

/// Imports a Mermaid picture: a file of its own, or the pictures of a document.
#[must_use]
pub fn drawing(source: &str, name: &str) -> Imported {
    if source.contains("```") {
        return runbook(source, name);
    }
    let mut imported = runbook(&format!("```mermaid\n{source}\n```\n"), name);
    // The fence was no line of the file.
    for entry in &mut imported.entries {
        entry.line = entry.line.saturating_sub(1);
    }
    imported
}

/// Long lines are cut and a long document ends early: neither is a runbook, and both cost time.
fn within_limits(source: &str) -> String {
    let mut text = String::with_capacity(source.len().min(LINES_MAX * LINE_CHARS_MAX));
    for line in source.lines().take(LINES_MAX) {
        text.extend(line.chars().take(LINE_CHARS_MAX));
        text.push('\n');
    }
    text
}

/// The lines whose encoding was broken.
fn broken(source: &str) -> BTreeSet<u32> {
    (1_u32..)
        .zip(source.lines().take(LINES_MAX))
        .filter(|(_, line)| line.len() <= 4 * LINE_CHARS_MAX && mojibake::is_broken(line))
        .map(|(number, _)| number)
        .collect()
}

fn header(name: &str) -> String {
    format!(
        "# A draft made from {name} by `tidegate import runbook`. Answer what stands under `ask`, put \
         real\n# reports in the place of the proposed ones, then `tidegate check`.\n"
    )
}

/// The name of the service: one that a command or an address names, else the title.
fn service(lines: &[Line], name: &str) -> String {
    let named = lines.iter().find_map(|line| {
        let (_, behind) = line.text.split_once("docker build -t ")?;
        behind.split([':', ' ']).next().map(str::to_owned)
    });
    let address = lines.iter().find_map(|line| {
        let (_, behind) =
            line.text.split_once("https://www.").or_else(|| line.text.split_once("https://"))?;
        behind.split('.').next().map(str::to_owned)
    });
    let stem = name.split('.').next().unwrap_or(name);
    let found = key_of(&named.or(address).unwrap_or_else(|| stem.to_owned()));
    if tidegate_core::ids::valid_name(&found) { found } else { "app".to_owned() }
}

/// One code block of the document.
struct Block {
    language: String,
    /// Its lines by their numbers.
    lines: BTreeMap<u32, String>,
    /// When it is YAML or JSON: the value of each line.
    values: BTreeMap<u32, Value>,
    /// Whether it is drawn with lines.
    drawn: bool,
}

fn blocks(lines: &[Line]) -> BTreeMap<usize, Block> {
    let mut blocks: BTreeMap<usize, Block> = BTreeMap::new();
    for line in lines {
        let What::Code { language, block } = &line.what else { continue };
        let block = blocks.entry(*block).or_insert_with(|| Block {
            language: language.clone(),
            lines: BTreeMap::new(),
            values: BTreeMap::new(),
            drawn: false,
        });
        block.drawn |= line.text.contains(['│', '├', '└', '┌']);
        block.lines.insert(line.number, line.text.clone());
    }
    for block in blocks.values_mut() {
        if matches!(block.language.as_str(), "yaml" | "yml" | "json") {
            block.values = values(&block.lines);
        }
    }
    blocks
}

/// The values of a block by the lines of the document.
fn values(lines: &BTreeMap<u32, String>) -> BTreeMap<u32, Value> {
    let Some((first, _)) = lines.first_key_value() else { return BTreeMap::new() };
    let Some((last, _)) = lines.last_key_value() else { return BTreeMap::new() };
    let text: Vec<&str> =
        (*first..=*last).map(|number| lines.get(&number).map_or("", String::as_str)).collect();
    let by_block = code::values(&text.join("\n"));
    by_block.into_iter().map(|(line, value)| (line + first - 1, value)).collect()
}

fn bound(line: &Line, blocks: &BTreeMap<usize, Block>, draft: &mut Draft) -> Bound {
    let words = Words::of(line.number, &line.text);
    let under = |wanted: &str| line.is_under(wanted);
    match &line.what {
        What::Heading => Bound::dropped("names a section"),
        What::Code { block, .. } => match blocks.get(block) {
            Some(block) => in_block(line, block, draft),
            None => Bound::dropped("a line of code outside of any block"),
        },
        What::Row { head } if line.cells.is_empty() && !head.is_empty() || head.is_empty() => {
            Bound::dropped("the head of a table")
        }
        _ => special::bind(line, &words, draft)
            .or_else(|| binding::usual(&words, &under, draft))
            .unwrap_or_else(|| unknown(line)),
    }
}

/// A line that no rule knows.
fn unknown(line: &Line) -> Bound {
    match line.what {
        What::Box => Bound {
            how: How::NeedsAnswer,
            to: Vec::new(),
            value: String::new(),
            why: "no rule knows what would prove it: a person says so".to_owned(),
        },
        What::Prose => Bound::dropped("describes, and demands nothing that could be looked at"),
        _ if line.text.trim_end().ends_with(':') => Bound::dropped("introduces the lines below it"),
        _ => Bound::dropped("no rule of the importer knows what would carry it out"),
    }
}

fn in_block(line: &Line, block: &Block, draft: &mut Draft) -> Bound {
    match block.language.as_str() {
        "mermaid" => picture(line, draft),
        "yaml" | "yml" | "json" => structured(line, block, draft),
        _ if block.drawn => drawn(line, draft),
        _ => shell(line, draft),
    }
}

/// A value in a picture that `export mermaid` drew.
fn drawn_value(line: &Line, draft: &mut Draft) -> Option<Bound> {
    let (path, value) = export::value_of(&line.text)?;
    Some(match draft::snippet(&value).map(|node| draft.put(&path, node)) {
        Some(Placed::There) => Bound::exact(&path, value),
        Some(Placed::Taken) => Bound::dropped("another line said it first"),
        None => Bound::dropped("its value is not written as YAML"),
    })
}

/// A phase of ours, without words of its own.
fn is_phase(stage: &Stage) -> bool {
    stage.words.is_empty() && PHASES.contains(&stage.name.as_str())
}

fn picture(line: &Line, draft: &mut Draft) -> Bound {
    if let Some(bound) = drawn_value(line, draft) {
        return bound;
    }
    let under = |wanted: &str| line.is_under(wanted);
    let usual = |text: &str, draft: &mut Draft| {
        let text = mermaid::plain(text);
        binding::usual(&Words::of(line.number, &text), &under, draft)
    };
    match mermaid::line(&line.text) {
        Drawn::Header => {
            Bound::dropped("says what kind of picture it is; `export mermaid` draws the process")
        }
        Drawn::Look => Bound::dropped("colours of the picture: roles and phases carry the meaning"),
        Drawn::Comment => Bound::dropped("a comment of the picture"),
        Drawn::End => Bound::dropped("closes a group of the picture"),
        Drawn::Way { stages, .. } if stages.iter().all(is_phase) => {
            Bound::dropped("a way between phases: their order is fixed")
        }
        Drawn::Way { stages, .. } => {
            let mut found: Option<Bound> = None;
            for stage in &stages {
                let words = if stage.words.is_empty() { &stage.name } else { &stage.words };
                if let Some(bound) = usual(words, draft) {
                    let whole = found.get_or_insert_with(|| Bound {
                        to: Vec::new(),
                        value: String::new(),
                        ..bound.clone()
                    });
                    whole.to.extend(bound.to);
                    // The least that a stage became is said of the line, with its reason.
                    if bound.how > whole.how {
                        (whole.how, whole.why) = (bound.how, bound.why);
                    }
                }
            }
            found.unwrap_or_else(|| {
                Bound::dropped("a way between stages: the order of phases is fixed")
            })
        }
        Drawn::Message { words, .. } => usual(&words, draft)
            .unwrap_or_else(|| Bound::dropped("a message between parts that the engine replaces")),
        Drawn::Participant { words, .. } => {
            usual(&words, draft).unwrap_or_else(|| Bound::dropped("names who takes part"))
        }
        Drawn::Block { word, words } => match word.as_str() {
            "subgraph" if PHASES.contains(&words.as_str()) => {
                Bound::exact(&format!("phase:{words}"), words)
            }
            "par" | "and" => Bound::near("phase:gates", words, "gates are asked side by side"),
            "loop" => Bound::near(
                "after.verify",
                words,
                "watched until the end of the bake, then by monitors",
            ),
            _ => Bound::near(
                "phase:finish",
                words,
                "both ends are journaled, and each has its message",
            ),
        },
        Drawn::Note { words } => {
            let path = if line.text.to_lowercase().contains("rollback") {
                "tell.rollback.says"
            } else {
                "tell.success.says"
            };
            draft.add(path, draft::plain(&words));
            Bound::exact(path, words)
        }
        Drawn::Other => Bound::dropped("a line of the picture that is not read"),
    }
}

fn structured(line: &Line, block: &Block, draft: &mut Draft) -> Bound {
    let none = |_: &str| true;
    let text = line.text.trim();
    let value = block.values.range(..=line.number).next_back().map(|(_, value)| value.clone());
    if text.starts_with(['{', '}', ']', '[']) && text.len() <= 3 {
        return Bound::dropped("a bracket");
    }
    let words = Words::of(line.number, text);
    let Some(value) = value else { return Bound::dropped("structure of the file") };
    let command = text.strip_prefix("run:").unwrap_or(text).trim();
    let starts_here = block.values.contains_key(&line.number);
    let is_run = value.path.ends_with("run") || !starts_here;
    if is_run {
        let words = Words::of(line.number, command);
        if let Some(bound) = binding::bind(SHELL, &command.to_lowercase(), &words, &none, draft) {
            return bound;
        }
    }
    let whole = format!("{} {}", value.path, value.text).to_lowercase();
    let key =
        value.path.rsplit('.').next().unwrap_or_default().split('[').next().unwrap_or_default();
    let parent = value.path.split('.').nth(1).unwrap_or_default();
    let words = Words {
        names: vec![
            ("$a", value.entry.clone()),
            ("$k", key_of(key)),
            ("$p", key_of(parent)),
            ("$v", value.text.replace('"', "\\\"")),
        ],
        ..words
    };
    if value.text.is_empty() {
        return Bound::dropped("structure of the file");
    }
    match binding::bind(STRUCTURED, &whole, &words, &none, draft) {
        Some(bound) => bound,
        None if key == "name" || text.starts_with("- name") => Bound::dropped("names a step"),
        None => Bound::dropped("a setting of the other tool that decides nothing here"),
    }
}

/// A stack or a tree drawn with lines.
fn drawn(line: &Line, draft: &mut Draft) -> Bound {
    let text: String = line
        .text
        .chars()
        .filter(|c| !('\u{2500}'..='\u{257f}').contains(c) && *c != '\u{fffd}')
        .collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text
        .trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '(' | ')' | '/' | '.'))
        .to_owned();
    if !text.chars().any(char::is_alphanumeric) {
        return Bound::dropped("the frame of a picture");
    }
    let path = if text.ends_with('/') || text.ends_with(".tf") || text.ends_with(".tfvars") {
        "plan.terraform.layout"
    } else {
        "plan.expect"
    };
    draft.add(path, draft::plain(&text));
    Bound::near(path, text, "a fact of the picture: who looks it up is not written")
}

fn shell(line: &Line, draft: &mut Draft) -> Bound {
    let any = |_: &str| true;
    let text = line.text.trim();
    let words = Words::of(line.number, text);
    if let Some(share) = code::weight(text).filter(|_| {
        !text.starts_with('#') && text.contains("TargetGroup") || text.contains("target-group")
    }) {
        let rest = share.parse::<u32>().map_or(0, |share| 100_u32.saturating_sub(share));
        return Bound::near(
            "traffic.steps",
            format!("{share}%, the other side {rest}%"),
            "a side of a step",
        );
    }
    if text.starts_with('#') {
        let step = words.quantities.iter().find(|quantity| quantity.unit == "%");
        return match step {
            Some(share) if text.to_lowercase().contains("traffic") || text.contains("rollout") => {
                Bound::near("traffic.steps", share.show(), "a comment on a step")
            }
            _ if text.to_lowercase().contains("route 53") => {
                Bound::near("after.then", text, "a comment on the step below")
            }
            _ => Bound::dropped("a comment: the command below it is read"),
        };
    }
    if let Some((name, value)) = text.split_once('=')
        && crate::command::is_variable(name)
        && !value.contains(' ')
    {
        let path = format!("deploy.env.{name}");
        draft.set_text(&path, value);
        return Bound::exact(&path, value);
    }
    binding::bind(SHELL, &text.to_lowercase(), &words, &any, draft)
        .or_else(|| {
            let under = |wanted: &str| line.is_under(wanted);
            binding::usual(&words, &under, draft)
        })
        .unwrap_or_else(|| Bound::dropped("a line of a script that no rule knows"))
}

fn entry(line: &Line, bound: Bound, broken: bool) -> Entry {
    let kind = match &line.what {
        What::Heading => "heading",
        What::Box => "box",
        What::Bullet => "bullet",
        What::Step => "step",
        What::Row { .. } => "row",
        What::Prose => "prose",
        What::Code { language, .. } if language == "mermaid" => "picture",
        What::Code { .. } => "code",
    };
    let counted = !matches!(kind, "heading") && !is_look(line);
    let numbers: Vec<String> = if counted {
        quantity::all(&line.text).into_iter().map(|found| found.digits).collect()
    } else {
        Vec::new()
    };
    let carried = matches!(bound.how, How::Exact | How::Approximated);
    let has = |digits: &String| {
        carried && (bound.value.contains(digits.as_str()) || bound.why.contains(digits.as_str()))
    };
    let bound_numbers = numbers.iter().filter(|digits| has(digits)).cloned().collect();
    let mut findings = values_of(line);
    if broken {
        findings.push(format!(
            "{}: the encoding of this line was broken and is repaired",
            codes::BROKEN_TEXT
        ));
    }
    if bound.how == How::NeedsAnswer && bound.why.contains("which") {
        findings.push(format!("{}: a limit is named and has no number", codes::NO_NUMBER));
    }
    if bound.why.contains("no percentile") {
        findings.push(format!("{}: a latency limit says no percentile", codes::NO_PERCENTILE));
    }
    Entry {
        line: line.number,
        kind: kind.to_owned(),
        text: line.text.trim().chars().take(TEXT_CHARS_MAX).collect(),
        how: bound.how,
        to: bound.to,
        value: bound.value,
        why: bound.why,
        numbers,
        bound: bound_numbers,
        findings,
    }
}

fn is_look(line: &Line) -> bool {
    matches!(&line.what, What::Code { language, .. } if language == "mermaid")
        && mermaid::line(&line.text) == Drawn::Look
}

/// What is wrong with the values of a line, wherever it stands.
fn values_of(line: &Line) -> Vec<String> {
    let text = line.text.trim();
    let (name, value) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .map_or(("", text), |(name, value)| (name.trim_matches(['"', ' ']), value.trim()));
    let mut found = texts::value(name, value);
    if !name.is_empty() {
        found.extend(
            texts::value("", name).into_iter().filter(|f| f.code == codes::RETIRED_WEBHOOK),
        );
    }
    let phone = value.split_whitespace().find(|word| word.starts_with('+'));
    found.extend(phone.and_then(texts::undiallable));
    found.into_iter().map(|finding| format!("{}: {}", finding.code, finding.message)).collect()
}

/// What is wrong with the scripts of the document.
fn scripts(blocks: &BTreeMap<usize, Block>, entries: &mut [Entry]) {
    for block in blocks.values().filter(|block| block.language != "mermaid" && !block.drawn) {
        let numbered: Vec<(u32, &str)> = block
            .lines
            .iter()
            .map(|(number, text)| {
                let text = text.trim();
                (*number, text.strip_prefix("run:").unwrap_or(text).trim())
            })
            .collect();
        let lines: Vec<&str> = numbered.iter().map(|(_, text)| *text).collect();
        for (index, finding) in commands::script(&lines) {
            let Some((number, _)) = numbered.get(index) else { continue };
            if let Some(entry) = entries.iter_mut().find(|entry| entry.line == *number) {
                entry.findings.push(format!("{}: {}", finding.code, finding.message));
            }
        }
    }
}

/// A box becomes an item of a checklist, with the proof that closes it.
fn tick(line: &Line, entry: &Entry, draft: &mut Draft) {
    let list = if line.is_under("during") {
        "during"
    } else if line.is_under("post-|after|success criteria") {
        "after"
    } else {
        "before"
    };
    let number = line.number.to_string();
    let text = line.text.trim().trim_start_matches('✅').trim();
    let proof = entry.to.iter().find(|path| path.starts_with("phase:") || draft.has(path));
    let closes = match (entry.how, proof) {
        (How::Exact | How::Approximated, Some(proof)) => ("proof", proof.as_str()),
        _ => ("attest", "owner"),
    };
    draft.add(
        &format!("checklist.{list}"),
        draft::map(&[("box", text), ("line", &number), closes, ("mandatory", "true")]),
    );
}

/// What a configuration needs and no line said.
fn complete(draft: &mut Draft) {
    if !draft.has("deploy.slots") {
        draft.set("deploy.slots", "{north: unbound, south: unbound}");
    }
    let question = "what runs the service: which driver, which command?";
    binding::ask(draft, 1, "deploy.slots", question, "");
    if !draft.has("deploy.probes") {
        draft.set("deploy.probes", "{basic: {get: /health}}");
    }
    // The documents that give limits mean them as written.
    if draft.has("traffic.rollback_if") && !draft.has("traffic.floor") {
        draft.set("traffic.floor", "literal");
    }
    let last = draft.take("traffic.steps");
    if let Some(mut steps) = last {
        if let crate::node::Kind::List(items) = &mut steps.kind {
            let share = |node: &crate::node::Node| {
                node.text().and_then(|text| text.trim_end_matches('%').parse::<f64>().ok())
            };
            items.sort_by(|left, right| {
                share(left).unwrap_or(0.0).total_cmp(&share(right).unwrap_or(0.0))
            });
            if items.last().and_then(share) != Some(100.0) {
                items.push(draft::plain("100%"));
            }
        }
        let mut text = String::new();
        crate::show::write_node(&steps, 0, &mut text);
        draft.set("traffic.steps", &text);
    }
    if draft.has("check.performance") && draft.text("check.performance.p95").is_none() {
        let promised = draft.text("targets.p95").unwrap_or("< 500ms").to_owned();
        draft.set_text("check.performance.p95", &promised);
    }
}

/// What `check` says of the draft, on no particular day.
pub(super) fn checked(draft: &str) -> Vec<crate::diagnostic::Diagnostic> {
    let context = Context {
        release: Release {
            version: "v0.0.0".to_owned(),
            repository: ".".to_owned(),
            commit: "0".repeat(40),
        },
        environment: None,
        files: &BTreeMap::new(),
        variables: &BTreeMap::new(),
        today: None,
        purpose: Purpose::Check,
    };
    match read_with(draft, "tidegate.yaml", &context) {
        Ok(parsed) => parsed.notes,
        Err(found) => found.0,
    }
}

fn boxes(entries: &[Entry]) -> Share {
    let boxes: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == "box").collect();
    let bound = boxes
        .iter()
        .filter(|entry| matches!(entry.how, How::Exact | How::Approximated) && !entry.to.is_empty())
        .count();
    Share { all: boxes.len(), bound }
}

fn numbers(entries: &[Entry]) -> Share {
    Share {
        all: entries.iter().map(|entry| entry.numbers.len()).sum(),
        bound: entries.iter().map(|entry| entry.bound.len()).sum(),
    }
}

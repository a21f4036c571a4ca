//! Boxes as scripts declare them: `box=before/gate-unit`, `box=after/phase-bake`,
//! `box=after/word`; a `?` at the end for one that may stay open.

use tidegate_core::checklist::{Item, Proof};

/// Adds the box of one `box=` of the `plan` verb.
pub(crate) fn set(boxes: &mut Vec<Item>, value: &str) -> Result<(), String> {
    let (list, kind) = value.split_once('/').ok_or("say list/proof")?;
    let (kind, mandatory) = match kind.strip_suffix('?') {
        Some(kind) => (kind, false),
        None => (kind, true),
    };
    let proof = match kind.split_once('-') {
        Some(("gate", name)) => Proof::Gate { name: name.to_owned() },
        Some(("step", name)) => Proof::Step { name: name.to_owned() },
        Some(("phase", word)) => Proof::Phase { word: word.to_owned() },
        Some(("key", key)) => Proof::Declared { key: key.to_owned() },
        _ if kind == "word" => Proof::Vouched { by: "ops".to_owned() },
        _ => return Err(format!("{kind} is no proof")),
    };
    let number = boxes.iter().filter(|item| item.list == list).count() + 1;
    boxes.push(Item {
        list: list.to_owned(),
        number: u32::try_from(number).map_err(|_many| "too many boxes")?,
        words: format!("{list} {kind}"),
        line: None,
        proof,
        mandatory,
    });
    Ok(())
}

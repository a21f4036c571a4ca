//! axe-core's results: of one page, or a list of pages.
//! Must never take a page on which no rule was applied for accessible.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::{Finding, Findings, Severity};

use crate::json::{self, Count, Either, Fold, Folded, OneOrMany};
use crate::{Error, broken};

#[derive(Default)]
struct Pages(Option<Findings>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    test_engine: Engine,
    #[serde(default)]
    url: String,
    violations: Folded<Violations>,
    passes: Folded<Count>,
    #[serde(default)]
    incomplete: Folded<Count>,
}

#[derive(Default, Deserialize)]
struct Engine {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

#[derive(Default)]
struct Violations(Vec<Finding>);

#[derive(Deserialize)]
struct Violation {
    id: String,
    impact: Option<String>,
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    target: Vec<serde_json::Value>,
}

impl Fold for Violations {
    type Item = Violation;

    fn take(&mut self, violation: Violation) -> Result<(), String> {
        let severity = Severity::of_word(violation.impact.as_deref().unwrap_or_default());
        if self.0.len() >= Findings::MAX {
            return Err(format!("it has more than {} violations", Findings::MAX));
        }
        let first = violation.nodes.first().and_then(|node| node.target.first());
        let first = first.map(|selector| selector.as_str().unwrap_or("?")).unwrap_or_default();
        let more = match violation.nodes.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let place = format!("{first}{more}");
        self.0.push(Finding { id: violation.id, severity, place, fix: None });
        Ok(())
    }
}

impl Either for Pages {
    type Whole = Page;
    type Each = Page;

    fn whole(&mut self, page: Page) -> Result<(), String> {
        self.each(page)
    }

    fn each(&mut self, page: Page) -> Result<(), String> {
        let page = of_page(page)?;
        match &mut self.0 {
            Some(whole) if whole.found.len() + page.found.len() > Findings::MAX => {
                return Err(format!("it has more than {} violations", Findings::MAX));
            }
            // One tool looked at all of them.
            Some(whole) => whole.add(Findings { tool: whole.tool.clone(), ..page }),
            None => self.0 = Some(page),
        }
        Ok(())
    }
}

/// Reads results.
///
/// # Errors
/// [`Error`] when they are cut off or not axe's.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Findings, Error> {
    let OneOrMany(Pages(found)) = json::read(from)?;
    found.ok_or_else(|| broken("it holds no page"))
}

fn of_page(page: Page) -> Result<Findings, String> {
    let (Some(Violations(mut found)), Some(Count(passes))) = (page.violations.0, page.passes.0)
    else {
        return Err("a page has no `violations` or no `passes`".to_owned());
    };
    for finding in &mut found {
        finding.place = format!("{} {}", page.url, finding.place).trim().to_owned();
    }
    let incomplete = page.incomplete.0.unwrap_or_default().0;
    let violated = u64::try_from(found.len()).unwrap_or(u64::MAX);
    Ok(Findings {
        tool: format!("{} {}", page.test_engine.name, page.test_engine.version).trim().to_owned(),
        scanned: Some(violated.saturating_add(passes).saturating_add(incomplete)),
        knowledge_of: None,
        found,
        suppressed: 0,
    })
}

//! Reads what is demanded beside the file of a service: the organisation's policy, and the flags of
//! one run.
//! The keys are those of `tidegate.yaml`, as far as they can demand something.
//! Must never read a key that could loosen what a service demands itself.

use jiff::SignedDuration;
use tidegate_core::layer::{Guard, Layer};

use crate::codes;
use crate::compose;
use crate::diagnostic::Diagnostics;
use crate::fields::{Field, Fields, shorten};
use crate::import::draft::{self, Draft, Placed};
use crate::read;
use crate::report::{Purpose, Report, Span};
use crate::rule;
use crate::source;
use crate::{approve, check};

/// Bounds of the times that it may demand.
const TIMES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_hours(7 * 24));

/// Reads a policy.
///
/// # Errors
/// All findings at once; a policy with one of them is in force for nobody.
pub fn policy(source: &str, name: &str) -> Result<Guard, Diagnostics> {
    read_layer(Layer::Organisation, source, name)
}

/// What findings call the flags of a run.
const FLAGS: &str = "--tighten";
/// Most flags of one run.
const FLAGS_MAX: usize = 32;

/// Reads the flags of a run, each `KEY=VALUE` with the keys of a policy and the value as the file
/// would write it. `None` when there are none.
///
/// # Errors
/// All findings at once.
pub fn run_flags(flags: &[String]) -> Result<Option<Guard>, Diagnostics> {
    if flags.is_empty() {
        return Ok(None);
    }
    let mut report = Report::for_purpose(FLAGS, "", Purpose::Deploy);
    if flags.len() > FLAGS_MAX {
        let message = format!("more than {FLAGS_MAX} flags");
        report.error(codes::TOO_COMPLEX, Span::START, message);
        return Err(report.finish());
    }
    let mut draft = Draft::new();
    draft.set("tidegate", "1");
    for flag in flags {
        let Some((key, value)) = flag.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else {
            let message = format!("`{}` is no KEY=VALUE", shorten(flag));
            report
                .error(codes::MISSING_KEY, Span::START, message)
                .help("as in `--tighten after.watch.for=1h`");
            continue;
        };
        let rules = matches!(key, "traffic.rollback_if" | "traffic.advance_if");
        let placed = if rules && !value.starts_with('[') {
            draft.add(key, draft::plain(value))
        } else {
            draft.set(key, value)
        };
        if placed == Placed::Taken {
            let message = format!("`{}` is no value of YAML, or was said before", shorten(flag));
            report.error(codes::CONFLICT, Span::START, message);
        }
    }
    if report.has_errors() {
        return Err(report.finish());
    }
    read_layer(Layer::Run, &draft.write(), FLAGS).map(Some)
}

fn read_layer(layer: Layer, source: &str, name: &str) -> Result<Guard, Diagnostics> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let shown = if source.len() > source::SOURCE_BYTES_MAX { "" } else { source };
    let mut report = Report::for_purpose(name, shown, Purpose::Deploy);
    let root = if source::check(source, 0, &mut report) {
        compose::compose(source, 0, &mut report)
    } else {
        None
    };
    let guard = root.as_ref().map(|root| {
        let field = Field { path: String::new(), node: root };
        let fields = Fields::of(&field, &mut report);
        guard(fields, name, &mut report)
    });
    match guard {
        Some(guard) if !report.has_errors() => Ok(Guard { layer, ..guard }),
        _ => {
            if !report.has_errors() {
                let message = "the policy says nothing";
                report
                    .error(codes::MISSING_KEY, Span::START, message)
                    .help("remove the file when nothing is demanded of everybody");
            }
            Err(report.finish())
        }
    }
}

fn guard(mut fields: Fields<'_>, name: &str, report: &mut Report<'_>) -> Guard {
    crate::file::schema(&mut fields, report);
    let gates = check::gates(fields.get("check"), report);
    let approve = approve::approve(fields.get("approve"), fields.get("people"), report);
    let mut guard = Guard {
        layer: Layer::Organisation,
        from: name.to_owned(),
        gates,
        rollback_if: Vec::new(),
        advance_if: Vec::new(),
        sources: Vec::new(),
        approve,
        dwell: None,
        watch: None,
    };
    if let Some(field) = fields.get("traffic") {
        let mut traffic = Fields::of(&field, report);
        let rules = |field: Field<'_>, purpose, report: &mut Report<'_>| {
            let rules = rule::rules(&field, purpose, &[], report).into_iter();
            rules.map(|(rule, _)| rule).collect()
        };
        if let Some(field) = traffic.get("rollback_if") {
            guard.rollback_if = rules(field, rule::Purpose::Rollback, report);
        }
        if let Some(field) = traffic.get("advance_if") {
            guard.advance_if = rules(field, rule::Purpose::Advance, report);
        }
        guard.dwell = time(traffic.get("each"), report);
        traffic.finish(&[], report);
    }
    if let Some(field) = fields.get("after") {
        let mut after = Fields::of(&field, report);
        guard.watch = time(after.get("watch"), report);
        after.finish(&[], report);
    }
    fields.finish(&[], report);
    guard
}

/// `{for: 15m}`: at least so long.
fn time(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<SignedDuration> {
    let field = field?;
    let mut fields = Fields::of(&field, report);
    let given = fields.get("for");
    let some = given.is_some();
    let time = read::duration(given, TIMES.0, TIMES, report);
    fields.finish(&[], report);
    some.then_some(time)
}

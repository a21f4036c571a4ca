//! `tidegate approve`: agree to exactly what would run. Shows it first, and says afterwards what is
//! recorded, what is missing, and when it starts. Must never approve what the person was not shown.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::number;
use crate::view::approval::Sheet;
use crate::view::plan::Stakes;
use crate::view::request::{Accepted, Approve, Reason};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here
    deployment: Option<String>,
    /// The binding that was looked at elsewhere: nothing is asked then
    #[arg(long, value_name = "DIGEST")]
    binding: Option<String>,
    /// Hold before more than this share until you confirm with `tidegate resume`: `50%`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    hold_at: Option<u16>,
    /// What you want to be read beside your name
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Take your approval back instead
    #[arg(long, conflicts_with_all = ["binding", "hold_at", "comment"])]
    withdraw: bool,
}

/// `50%` or `12.5%` in basis points.
fn share(text: &str) -> Result<u16, String> {
    let number = text.trim().trim_end_matches('%').trim();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{part:0<2}");
    let bp = digits.parse::<u16>().ok().filter(|bp| part.len() <= 2 && *bp < 10_000 && *bp > 0);
    bp.ok_or_else(|| "write a share below 100 %, as in `50%`".to_owned())
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, nothing waits for approval, or the answer was no.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    if args.withdraw {
        let path = format!("/v1/deployments/{}/withdraw", encode(&id));
        let asked = Reason { reason: session.globals.reason.clone(), key: None };
        let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
            return Ok(Exit::Done);
        };
        return told(session, &id, "your approval is taken back").await;
    }
    let binding = match &args.binding {
        Some(binding) => binding.clone(),
        None => look_and_ask(session, &id).await?,
    };
    let path = format!("/v1/deployments/{}/approve", encode(&id));
    let asked =
        Approve { binding, hold_at_bp: args.hold_at, comment: args.comment.clone(), key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    told(session, &id, "your approval is recorded").await
}

/// What is recorded, what is missing and when it starts; the deployment itself once it went on.
///
/// # Errors
/// [`Failure`] when the server went away meanwhile.
pub(super) async fn told(session: &Session, id: &str, words: &str) -> Result<Exit, Failure> {
    if session.terminal.is_json() {
        return session.told(id, words).await;
    }
    match session.client.get::<Sheet>(&format!("/v1/deployments/{}/approvals", encode(id))).await {
        Ok(sheet) if sheet.open => {
            session.terminal.line(&format!("{id} {words}"))?;
            session.terminal.say(&format!("  {}", sheet.sentence));
            Ok(Exit::Done)
        }
        // It went on, or is over: the deployment says so itself.
        Ok(_) | Err(_) => session.told(id, words).await,
    }
}

async fn look_and_ask(session: &Session, id: &str) -> Result<String, Failure> {
    let shown = session.show(id).await?;
    let Some(binding) = shown.binding else {
        return Err(Failure::new(
            Exit::Conflict,
            "TG7024",
            format!("{id} is in {}: what would run is not known yet", shown.phase),
        )
        .safe("nothing was changed")
        .help("`tidegate watch`, and approve when it waits for approval"));
    };
    let from = shown.from.as_deref().unwrap_or("nothing");
    session.terminal.say(&format!(
        "{} in {}: {from} -> {}\n  commit   {}\n  artifact {}\n  binding  {binding}",
        shown.service,
        shown.environment,
        shown.version,
        shown.commit,
        shown.artifact.as_deref().unwrap_or("unknown"),
    ));
    let sheet: Sheet =
        session.client.get(&format!("/v1/deployments/{}/approvals", encode(id))).await?;
    for line in lines(&sheet) {
        session.terminal.say(&line);
    }
    let help = format!("`tidegate approve {id} --binding {binding}`, or `-y`");
    session.confirm("approve exactly this?", &help)?;
    Ok(binding)
}

/// How much can go wrong, what changed, and how long the last way back took.
fn at_stake(stakes: &Stakes) -> Vec<String> {
    let mut lines = vec![format!("  risk     {}", stakes.risk.level)];
    lines.extend(stakes.risk.reasons.iter().map(|reason| format!("           {}", reason.what)));
    if let Some(change) = &stakes.change {
        let parts = [
            (change.commit_count, "commits"),
            (change.migrations.len() as u64, "changes of the database"),
            (change.configuration.len() as u64, "declared values differ"),
            (change.dependencies.len() as u64, "dependencies differ"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{what}: {count}")).collect();
        if !parts.is_empty() {
            lines.push(format!("  since    live: {}", parts.join(", ")));
        }
        lines.extend(change.unread.iter().map(|what| format!("  unread   {what}: may differ")));
    }
    lines.extend(stakes.measured.iter().map(|last| {
        format!("  way back the last one took {} s ({})", number(last.seconds), last.deployment)
    }));
    lines
}

/// What to look at before one agrees.
fn lines(sheet: &Sheet) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(change) = &sheet.change {
        let base = change.base.as_deref().unwrap_or("nothing");
        lines.push(format!("  changes  {} paths since {base}", change.paths));
        lines.push(format!("  by       {}", change.hands.join(", ")));
        lines.extend(change.owned.iter().map(|owned| {
            let owners =
                if owned.owners.is_empty() { "nobody".to_owned() } else { owned.owners.join(" ") };
            format!("  owned    {} and {} more: {owners}", owned.path, owned.paths - 1)
        }));
    }
    if let Some(stakes) = &sheet.stakes {
        lines.extend(at_stake(stakes));
    }
    lines.extend(sheet.voided.iter().map(|voided| format!("  note     {voided}")));
    if let Some(review) = &sheet.review {
        lines.push(format!(
            "  answers  {} ({}), refused by {} for {}: {}",
            review.deployment, review.version, review.by, review.category, review.reason
        ));
        lines.extend(review.differences.iter().map(|difference| {
            let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            format!(
                "  differs  {}: {} -> {}",
                difference.place,
                side(&difference.before),
                side(&difference.after)
            )
        }));
    }
    lines.extend(sheet.approvals.iter().map(|approval| {
        let barred = approval.barred.as_ref().map(|why| format!(", does not count: {why}"));
        format!("  approved {}{}", approval.by, barred.unwrap_or_default())
    }));
    lines.extend(sheet.missing.iter().map(|what| format!("  missing  {what}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_is_a_percentage_below_the_whole() {
        assert_eq!(share("50%"), Ok(5_000));
        assert_eq!(share("12.5 %"), Ok(1_250));
        for odd in ["100%", "0%", "half", "1.234%", "-5%", ""] {
            assert!(share(odd).is_err(), "{odd}");
        }
    }
}

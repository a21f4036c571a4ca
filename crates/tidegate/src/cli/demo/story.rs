//! Events in the words of somebody who watches a deployment for the first time.
//! It must never say more than its event does; what it has no words for, it leaves out.

use serde_json::Value;
use tidegate_core::verdict::reason;

use super::scene::STEPS;

/// The sentence for an event, by its kind; `None` for what is no news to a watcher.
pub(crate) fn sentence(kind: &str, event: &Value) -> Option<String> {
    let text = |name: &str| event[name].as_str().map(ToOwned::to_owned);
    match kind {
        "phase_entered" => phase(&event["phase"], event["before"].as_str()),
        "hold_began" => {
            event["hold"]["why"].as_str().map(|why| format!("waiting: {}", reason(why)))
        }
        "step_braked" => Some(format!("back to the step before: {}", text("why")?)),
        "rollback_began" => Some(format!("going back: {}", reason(&text("why")?))),
        "split_overridden" => Some(format!("the proxy acted by itself: {}", text("why")?)),
        "person_called" => Some(format!("a person is needed: {}", text("why")?)),
        "faulted" => Some(format!("frozen [{}]: {}", text("code")?, text("what")?)),
        "deployment_ended" => {
            let ending = text("ending")?;
            // The reason of a way back was told when it began.
            if ending == "rolled_back" {
                return Some("rolled back, everything is as it was".to_owned());
            }
            Some(format!("{}: {}", ending.replace('_', " "), text("why")?))
        }
        _ => None,
    }
}

fn phase(phase: &Value, before: Option<&str>) -> Option<String> {
    if let Some(step) = phase["traffic"]["step"].as_u64() {
        let percent = STEPS.get(usize::try_from(step).ok()?)?;
        return Some(format!("{percent} % of the users"));
    }
    if let Some(stage) = phase["rollback"]["stage"].as_str() {
        return Some(
            match (stage, before) {
                ("capacity", _) => "is the previous release ready for all of them?",
                ("traffic", _) => "it is: all users to the previous release",
                ("verify", _) => "does it answer as it should?",
                ("scale_down", Some("passed")) => "it does: stopping the bad one",
                ("scale_down", _) => "no user has met it: stopping the bad one",
                _ => return None,
            }
            .to_owned(),
        );
    }
    let words = match (phase.as_str()?, before) {
        ("gates", _) => "plan made from the tag's own tidegate.yaml",
        ("deploy", _) => "starting it beside what is live, where no user can reach it",
        ("health", _) => "is it healthy?",
        ("smoke", _) => "does it do its work? running smoke.yaml",
        ("bake", Some("skipped")) => "nothing to compare it with: all users, rules armed",
        ("bake", _) => "every step was good; watching it with all users, rules armed",
        _ => return None,
    };
    Some(words.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::sentence;

    fn said(kind: &str, event: &serde_json::Value) -> String {
        sentence(kind, event).unwrap_or_default()
    }

    #[test]
    fn steps_are_told_as_shares_and_internal_phases_not_at_all() {
        let step = |step| said("phase_entered", &json!({"phase": {"traffic": {"step": step}}}));
        assert_eq!([step(0), step(3)], ["5 % of the users", "100 % of the users"]);
        assert_eq!(step(4), "");
        assert_eq!(said("phase_entered", &json!({"phase": "approvals"})), "");
        assert_eq!(said("split_confirmed", &json!({"part": "web"})), "");
    }

    #[test]
    fn reasons_are_told_once() {
        let back = json!({"why": "Roll back: errors are 12 %, limit 2 %"});
        assert_eq!(said("rollback_began", &back), "going back: errors are 12 %, limit 2 %");
        let ended = json!({"ending": "rolled_back", "why": "Roll back: errors are 12 %"});
        assert_eq!(said("deployment_ended", &ended), "rolled back, everything is as it was");
        let held = json!({"hold": {"why": "Hold: 299 requests are needed"}});
        assert_eq!(said("hold_began", &held), "waiting: 299 requests are needed");
    }
}

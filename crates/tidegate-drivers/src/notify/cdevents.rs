//! CDEvents 0.4: what a message is in the vocabulary that delivery tools share.
//! Must never claim that a service was deployed or rolled back before it was.

use serde_json::{Value, json};
use tidegate_core::message::{Occasion, Signal};

use super::Outgoing;

/// The event; what the vocabulary has no word for is a custom event of ours.
pub(super) fn event(outgoing: &Outgoing<'_>) -> Value {
    let message = outgoing.message;
    let scope = outgoing.scope;
    let environment = json!({"id": scope.environment.as_str()});
    let artifact = format!("pkg:generic/{}@{}", scope.service, message.version);
    let deployed = json!({"environment": environment, "artifactId": artifact});
    let incident = json!({
        "description": message.title,
        "environment": environment,
        "service": {"id": scope.service.as_str()},
        "artifactId": artifact,
    });
    let begins = message.signal == Signal::Trigger;
    let deployment = message.about.as_str();
    let run = json!({"pipelineName": scope.to_string(), "uri": outgoing.link});
    let (kind, subject, of, content) = match message.on {
        Occasion::Success => {
            ("dev.cdevents.service.deployed.0.2.0", scope.service.as_str(), "service", deployed)
        }
        Occasion::Rollback if !begins => {
            ("dev.cdevents.service.rolledback.0.2.0", scope.service.as_str(), "service", deployed)
        }
        Occasion::Start => {
            ("dev.cdevents.pipelinerun.started.0.2.0", deployment, "pipelineRun", run)
        }
        Occasion::Failure => {
            let ended = json!({
                "pipelineName": scope.to_string(),
                "outcome": "failure",
                "errors": message.text,
            });
            ("dev.cdevents.pipelinerun.finished.0.2.0", deployment, "pipelineRun", ended)
        }
        Occasion::Incident if begins => {
            let id = message.incident.as_ref().map_or(deployment, |id| id.as_str());
            ("dev.cdevents.incident.detected.0.2.0", id, "incident", incident)
        }
        Occasion::Resolved => {
            let id = message.incident.as_ref().map_or(deployment, |id| id.as_str());
            ("dev.cdevents.incident.resolved.0.2.0", id, "incident", incident)
        }
        Occasion::Rollback => custom(
            "dev.cdeventsx.tidegate-deployment.rollingback.0.1.0",
            deployment,
            &message.title,
        ),
        Occasion::Approval => {
            custom("dev.cdeventsx.tidegate-deployment.waiting.0.1.0", deployment, &message.title)
        }
        Occasion::Hold => {
            custom("dev.cdeventsx.tidegate-deployment.held.0.1.0", deployment, &message.title)
        }
        Occasion::Person => {
            custom("dev.cdeventsx.tidegate-deployment.stuck.0.1.0", deployment, &message.title)
        }
        Occasion::Incident => {
            custom("dev.cdeventsx.tidegate-deployment.changed.0.1.0", deployment, &message.title)
        }
    };
    let source = format!("/tidegate/{scope}");
    json!({
        "context": {
            "version": "0.4.1",
            "id": outgoing.name,
            "source": source,
            "type": kind,
            "timestamp": outgoing.letter.at.to_string(),
        },
        "subject": {"id": subject, "source": source, "type": of, "content": content},
    })
}

fn custom<'a>(
    kind: &'static str,
    subject: &'a str,
    title: &str,
) -> (&'static str, &'a str, &'static str, Value) {
    (kind, subject, "tidegate-deployment", json!({"description": title}))
}

//! Kamal's `deploy.yml`. Must never copy the value of a secret.

use super::super::binding::Bound;
use super::super::draft::Draft;
use super::{Leaf, name_of, question};

pub(super) fn bind(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let text = leaf.text;
    let path = leaf.path.as_str();
    if let Some(name) = path.strip_prefix("env.clear.") {
        let to = format!("deploy.env.{name}");
        draft.set_text(&to, text);
        return Some(Bound::exact(&to, text));
    }
    Some(match path {
        "service" => {
            let name = name_of(text);
            draft.set_text("service", &name);
            Bound::exact("service", name)
        }
        "env.secret[]" => question(
            leaf,
            draft,
            &format!("deploy.env.{text}"),
            "where does this secret lie? as in `secret://file/...`",
        ),
        "proxy.healthcheck.path" | "healthcheck.path" => {
            draft.set(
                "deploy.probes",
                &format!("{{basic: {{get: \"{}\"}}}}", text.replace('"', "")),
            );
            Bound::exact("deploy.probes.basic.get", text)
        }
        "proxy.healthcheck.interval" => seconds("deploy.probes.basic.interval", text, draft),
        "proxy.healthcheck.timeout" => seconds("deploy.probes.basic.timeout", text, draft),
        "proxy.host" => {
            draft.set("traffic.route.listen", "\"127.0.0.1:8080\"");
            draft.set_text("traffic.route.host", text);
            Bound::exact("traffic.route.host", text)
        }
        "proxy.ssl" if text == "true" => {
            question(leaf, draft, "traffic.route.tls", "certificates by ACME, or from files?")
        }
        "proxy.app_port" => Bound::dropped("the port of an instance is given to it in PORT"),
        "drain_timeout" | "proxy.response_timeout" => {
            let grace = format!("{text}s");
            draft.set_text("deploy.grace", &grace);
            Bound::near("deploy.grace", grace, "instances end their requests before they stop")
        }
        "deploy_timeout" => seconds("deploy.start_within", text, draft),
        "retain_containers" => Bound::dropped("artifacts that a rollback may need are kept"),
        "image" => {
            question(leaf, draft, "deploy.run", "which command runs it outside of its image?")
        }
        _ if path.starts_with("servers") => {
            question(leaf, draft, "deploy.slots", "hosts: this version serves one machine")
        }
        _ if path.starts_with("registry.") || path.starts_with("builder.") => {
            Bound::dropped("images: the release is built from its tag")
        }
        _ if path.starts_with("accessories.") => {
            Bound::dropped("a service of its own: it has its own file")
        }
        _ if path.starts_with("ssh.") => Bound::dropped("nothing is reached by SSH"),
        _ => return None,
    })
}

/// A whole number of seconds.
fn seconds(path: &str, text: &str, draft: &mut Draft) -> Bound {
    let value = format!("{text}s");
    draft.set_text(path, &value);
    Bound::exact(path, value)
}

//! Finds commands that cannot do what they are there for, in a configuration and in a runbook alike.
//! Must never run anything: a command is known by its words.

use crate::codes;

/// What is wrong with one line of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

impl Finding {
    fn new(code: &'static str, message: impl Into<String>, help: &'static str) -> Self {
        Self { code, message: message.into(), help }
    }
}

/// Everything that is wrong with one line.
pub(crate) fn line(text: &str) -> Vec<Finding> {
    let words: Vec<&str> = text.split_whitespace().collect();
    [
        weight_option(&words),
        never_fails(&words),
        unreviewed_apply(&words),
        interactive(&words),
        mutable_tag(&words),
        no_build_tools(&words),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn has(words: &[&str], wanted: &str) -> bool {
    words.iter().any(|word| word.trim_matches(['"', '\'', ';']) == wanted)
}

fn any_starts(words: &[&str], start: &str) -> bool {
    words.iter().any(|word| word.starts_with(start))
}

/// `aws elbv2 modify-target-group` has options for health checks only; weights stand in the forward
/// action of a listener or a rule.
fn weight_option(words: &[&str]) -> Option<Finding> {
    (has(words, "modify-target-group") && any_starts(words, "--weight")).then(|| {
        Finding::new(
            codes::NO_SUCH_OPTION,
            "`modify-target-group` has no option for weights: this way back cannot work",
            "weights stand in the forward action of the listener; let `traffic.route` move them, \
             and `tidegate rollback --emergency` bring them back",
        )
    })
}

/// Scanners that end with 0 whatever they find, unless they are told otherwise.
fn never_fails(words: &[&str]) -> Option<Finding> {
    let scanner = |name: &str| words.first() == Some(&name);
    let trivy = scanner("trivy") && !any_starts(words, "--exit-code");
    let grype = scanner("grype") && !any_starts(words, "--fail-on");
    let swallowed = words.windows(2).any(|pair| pair == ["||", "true"]);
    let code_zero = words.windows(2).any(|pair| pair == ["--exit-code", "0"]);
    (trivy || grype || swallowed || code_zero).then(|| {
        let name = words.first().copied().unwrap_or_default();
        Finding::new(
            codes::NEVER_FAILS,
            format!("`{name}` ends with 0 whatever it finds"),
            "let it write a report and make a gate of that: \
             `check: {security: {sarif: trivy.sarif, allow: {critical: 0}}}`",
        )
    })
}

/// An apply that makes its own plan applies something that nobody has seen.
fn unreviewed_apply(words: &[&str]) -> Option<Finding> {
    let tool = words.first().is_some_and(|word| matches!(*word, "terraform" | "tofu"));
    let unseen = has(words, "apply") && any_starts(words, "-auto-approve");
    let saved = words.last().is_some_and(|word| word.ends_with("plan"));
    (tool && unseen && !saved).then(|| {
        Finding::new(
            codes::UNREVIEWED_APPLY,
            "what is applied is not the plan that was reviewed",
            "write the plan to a file and apply that file: `plan: {terraform: {apply: \
             reviewed-plan}}` binds it to what was approved",
        )
    })
}

/// Commands that wait for somebody to type, or that succeed whatever the answer is.
fn interactive(words: &[&str]) -> Option<Finding> {
    let first = words.first().copied().unwrap_or_default();
    let (what, help) = if has(words, "dbshell") || (first == "psql" && !any_starts(words, "-c")) {
        (
            "opens a shell and waits for a person",
            "ask a question instead: `probes: {database: {exec: [...]}}`",
        )
    } else if first == "openssl" && has(words, "s_client") && !any_starts(words, "-verify") {
        (
            "waits for input, and ends with 0 for a certificate that is not valid",
            "write `probes: {tls: {tls: NAME, days_left: \"> 14\"}}`",
        )
    } else if first == "curl" && heads_only(words) {
        (
            "prints headers and asserts nothing about them",
            "write `probes: {headers: {get: /, header: {strict-transport-security: ...}}}`",
        )
    } else {
        return None;
    };
    Some(Finding::new(codes::INTERACTIVE, format!("`{first}` {what}"), help))
}

/// `curl -I` without `-f`, which would make an error status fail.
fn heads_only(words: &[&str]) -> bool {
    let flag = |letter: char| {
        words
            .iter()
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    (flag('I') || has(words, "--head")) && !flag('f') && !has(words, "--fail")
}

/// An image under a name that names another image tomorrow.
fn mutable_tag(words: &[&str]) -> Option<Finding> {
    let engine = words.first().is_some_and(|word| matches!(*word, "docker" | "podman" | "buildah"));
    let image = words.iter().find(|word| word.trim_matches(['"', '\'']).ends_with(":latest"))?;
    (engine || words.len() == 1).then(|| {
        Finding::new(
            codes::MUTABLE_TAG,
            format!("`{image}` can be another image tomorrow"),
            "name the release, and let its digest be taken once: `image: registry/name:${release.version}`",
        )
    })
}

/// Development tools are left out, and the next line needs them.
fn no_build_tools(words: &[&str]) -> Option<Finding> {
    let install = words.first() == Some(&"npm") && (has(words, "ci") || has(words, "install"));
    let without = has(words, "--production") || has(words, "--omit=dev");
    (install && without).then(|| {
        Finding::new(
            codes::NO_BUILD_TOOLS,
            "the tools for building are left out of this installation",
            "install everything for the build, and leave them out of what is shipped",
        )
    })
}

/// What is wrong with a whole script, with the index of the line it is said of.
pub(crate) fn script(lines: &[&str]) -> Vec<(usize, Finding)> {
    let mut found = Vec::new();
    let joined = joined(lines);
    for (index, text) in &joined {
        found.extend(line(text).into_iter().map(|finding| (*index, finding)));
    }
    // Without a build behind it, a production-only installation is what one wants.
    let builds = joined.iter().any(|(_, text)| text.contains("run build"));
    found.retain(|(_, finding)| finding.code != codes::NO_BUILD_TOOLS || builds);
    found.extend(traffic_before_capacity(&joined));
    found
}

/// Lines that end in a backslash belong to the next; comments and blanks are left away.
pub(crate) fn joined(lines: &[&str]) -> Vec<(usize, String)> {
    let mut whole: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, text) in lines.iter().enumerate() {
        let text = text.trim();
        if open.is_none() && (text.is_empty() || text.starts_with('#')) {
            continue;
        }
        let (first, mut line) = open.take().unwrap_or((index, String::new()));
        if !line.is_empty() {
            line.push(' ');
        }
        match text.strip_suffix('\\') {
            Some(begun) => {
                line.push_str(begun.trim_end());
                open = Some((first, line));
            }
            None => {
                line.push_str(text);
                whole.push((first, line));
            }
        }
    }
    whole.extend(open);
    whole
}

/// Traffic goes to a slot that is started only afterwards, and the other one is stopped at the end
/// whether the first ever answered or not.
fn traffic_before_capacity(lines: &[(usize, String)]) -> Option<(usize, Finding)> {
    let moved = lines.iter().position(|(_, text)| text.contains("modify-listener"))?;
    let grown = lines.iter().position(|(_, text)| count_of(text).is_some_and(|count| count > 0))?;
    let emptied = lines.iter().any(|(_, text)| count_of(text) == Some(0));
    let (index, _) = lines.get(moved)?;
    (moved < grown && emptied).then(|| {
        (
            *index,
            Finding::new(
                codes::BOTH_EMPTY,
                "traffic moves to a slot that is started only afterwards, and the other slot is \
                 stopped even if the first never answers: both may be empty",
                "`tidegate rollback` keeps the order capacity, traffic, verify, scale-down, and \
                 stops at the first that fails",
            ),
        )
    })
}

/// The number behind `--desired-count`.
fn count_of(text: &str) -> Option<u32> {
    let (_, behind) = text.split_once("--desired-count")?;
    behind.trim_start_matches(['=', ' ']).split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes_of(text: &str) -> Vec<&'static str> {
        line(text).into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn commands_that_cannot_work_are_known_by_their_words() {
        for (text, code) in [
            ("aws elbv2 modify-target-group --target-group-arn a --weight 100", "TG2001"),
            ("trivy image shop:1", "TG2003"),
            ("npm audit || true", "TG2003"),
            ("terraform apply -auto-approve", "TG2004"),
            ("python manage.py dbshell --settings=production", "TG2005"),
            ("openssl s_client -connect shop.example:443", "TG2005"),
            ("curl -I https://shop.example", "TG2005"),
            ("docker build -t shop:latest .", "TG2006"),
            ("npm ci --production", "TG2016"),
        ] {
            assert_eq!(codes_of(text), [code], "{text}");
        }
        for sound in [
            "aws elbv2 modify-target-group --health-check-path /health",
            "trivy image --exit-code 1 shop:1",
            "terraform apply release.tfplan",
            "terraform apply -auto-approve release.tfplan",
            "curl -fI https://shop.example",
            "curl -f https://shop.example/health",
            "docker build -t shop:v1 .",
            "npm ci",
            "psql -c 'select 1'",
        ] {
            assert_eq!(codes_of(sound), [""; 0], "{sound}");
        }
    }

    #[test]
    fn a_script_that_may_empty_both_slots_is_found() {
        let lines = [
            "# back",
            "aws elbv2 modify-listener \\",
            "  --listener-arn a",
            "aws ecs update-service --desired-count 3",
            "aws ecs update-service --desired-count 0",
        ];
        let found = script(&lines);
        assert_eq!(found.iter().map(|(at, f)| (*at, f.code)).collect::<Vec<_>>(), [(1, "TG2002")]);
        let sound = [lines[3], lines[1], lines[2], lines[4]];
        assert!(script(&sound).is_empty());
    }
}

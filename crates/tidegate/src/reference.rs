//! Keeps `docs/reference/{cli,api,exit-codes}.md` in step with the code that they describe.
//! Must never be part of the product: it is compiled for tests only.
//!
//! `TIDEGATE_BLESS=1 cargo test -p tidegate reference` writes the pages anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Command;
use serde_json::Value;

use crate::exit::Exit;

fn page(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference")).join(name)
}

fn agree(name: &str, text: &str) {
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(page(name), text).unwrap();
    }
    let found = std::fs::read_to_string(page(name)).unwrap_or_default();
    assert!(found == text, "docs/reference/{name} is stale: TIDEGATE_BLESS=1 writes it anew");
}

#[test]
fn the_page_of_the_command_line_is_what_help_says() {
    let mut command = crate::cli::command().term_width(100);
    command.build();
    let mut text = String::from(
        "# Command line\n\nMade from the same source as `--help`; \
         a test keeps this page in step.\nExit codes have [a page of their own](exit-codes.md).\n\n",
    );
    let globals = global_options(&command);
    writeln!(text, "## Global options\n\n{globals}").unwrap();
    for verb in command.get_subcommands() {
        verb_page(&mut text, verb, "tidegate");
    }
    agree("cli.md", &format!("{}\n", text.trim_end()));
}

fn verb_page(text: &mut String, verb: &Command, parent: &str) {
    if verb.is_hide_set() || verb.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", verb.get_name());
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = verb.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    write!(text, "## `{name}`\n\n{about}.\n\n```text\n{usage}\n```\n\n").unwrap();
    let own = options(verb, false);
    if !own.is_empty() {
        writeln!(text, "{own}").unwrap();
    }
    for inner in verb.get_subcommands() {
        verb_page(text, inner, &name);
    }
}

fn global_options(command: &Command) -> String {
    options(command, true)
}

fn options(command: &Command, global: bool) -> String {
    let mut rows = String::new();
    for argument in command.get_arguments() {
        let named = argument.get_id().as_str();
        if argument.is_hide_set()
            || argument.is_global_set() != global
            || matches!(argument.get_long(), Some("help" | "version"))
        {
            continue;
        }
        let value =
            argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        let takes = argument.get_action().takes_values();
        let value = value.filter(|_| takes).map(|value| format!(" {value}")).unwrap_or_default();
        let name = match (argument.get_short(), argument.get_long()) {
            (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
            (None, Some(long)) => format!("`--{long}{value}`"),
            _ => format!("`{}`", named.to_uppercase()),
        };
        let env = argument.get_env().map(|env| format!("`{}`", env.to_string_lossy()));
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let name = name.replace('|', "\\|");
        writeln!(rows, "| {name} | {help} | {} |", env.unwrap_or_default()).unwrap();
    }
    if rows.is_empty() {
        rows
    } else {
        format!("| Option | Meaning | Environment |\n|---|---|---|\n{rows}")
    }
}

#[test]
fn the_page_of_the_api_is_what_it_serves() {
    let description = serde_json::to_value(crate::api::description()).unwrap();
    let mut text = String::from(
        "# HTTP API\n\nServed on the unix socket `server.sock` in the state directory, mode 0600; \
         the user at the other end is the principal.\nThe whole description, OpenAPI 3.1, is at \
         `/v1/openapi.json`; a test keeps this page in step with it.\nErrors are \
         `application/problem+json` with `code`, `detail`, `safe` and `help`; branch on `code`.\n\
         `GET /v1/deployments/{id}/events` with `Accept: text/event-stream` is live, `id:` is the \
         sequence, and `Last-Event-ID` resumes.\n\n| Call | Meaning | Body | Answer |\n|---|---|---|---|\n",
    );
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            let body = schema(&operation["requestBody"]["content"]);
            let answer = schema(&operation["responses"]["200"]["content"]);
            let method = method.to_uppercase();
            let summary = summary.trim_end_matches('.');
            writeln!(text, "| `{method} {path}` | {summary} | {body} | {answer} |").unwrap();
        }
    }
    let schemas = description["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        let about = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        write!(text, "\n## {name}\n\n{about}\n\n| Field | Type | Meaning |\n|---|---|---|\n")
            .unwrap();
        for (field, about) in fields(schema) {
            let meaning = about["description"].as_str().unwrap_or_default().replace('\n', " ");
            writeln!(text, "| `{field}` | {} | {meaning} |", kind(&about)).unwrap();
        }
    }
    agree("api.md", &text);
}

/// Fields of a schema, those of its flattened parts included.
fn fields(schema: &Value) -> Vec<(String, Value)> {
    let own = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<(String, Value)> =
        own.map(|(name, about)| (name.clone(), about.clone())).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(fields(part));
    }
    found
}

fn schema(content: &Value) -> String {
    let Some((media, about)) = content.as_object().and_then(|types| types.iter().next()) else {
        return "-".to_owned();
    };
    match about["schema"]["$ref"].as_str() {
        Some(reference) => named(reference),
        None => format!("`{media}`"),
    }
}

fn named(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    format!("[{name}](#{})", name.to_lowercase())
}

fn kind(about: &Value) -> String {
    if let Some(reference) = about["$ref"].as_str() {
        return named(reference);
    }
    if let Some(choices) = about["oneOf"].as_array() {
        let choices: Vec<String> =
            choices.iter().filter(|choice| choice["type"] != "null").map(kind).collect();
        return choices.join(" or ");
    }
    let word = match &about["type"] {
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        Value::String(kind) => kind.clone(),
        _ => "any".to_owned(),
    };
    if word == "array" { format!("list of {}", kind(&about["items"])) } else { word }
}

#[test]
fn the_page_of_exit_codes_names_every_code() {
    let mut text = String::from(
        "# Exit codes\n\nStable: a code never changes its meaning.\n\
         `deploy`, `watch` and `status --exit-code` tell how a deployment ended, or what it is \
         doing; `rollback` and `abort --wait` end with 0 when the way back succeeded.\n\n\
         | Code | Meaning |\n|---|---|\n",
    );
    for exit in Exit::ALL {
        writeln!(text, "| {} | {} |", exit.code(), exit.meaning()).unwrap();
    }
    agree("exit-codes.md", &text);
}

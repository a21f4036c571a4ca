//! `tidegate expr`, the helper that evaluates one condition: it reads the question from its input,
//! says what came out, and ends. Must never run in the server: CEL has no limit on what it costs,
//! and too much of it ends a process.

use std::io::{Read, Write};
use std::sync::Arc;

use cel::{Context, Program};
use globset::GlobBuilder;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::conditions::{Asked, Said};
use crate::exit::Exit;
use crate::failure::Failure;

/// Seconds of processor time; more is no condition.
const CPU_SECONDS: u64 = 1;
/// Bytes of memory for data; the allocator takes one GiB of addresses at once.
const MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Longest question: the paths of the largest change that is reviewed.
const INPUT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Arguments of the verb: none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Answers one question.
///
/// # Errors
/// [`Failure`] when there is no question.
pub(crate) fn run(_args: &Args) -> Result<Exit, Failure> {
    for (resource, most) in [(Resource::Cpu, CPU_SECONDS), (Resource::Data, MEMORY_BYTES)] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(Failure::local)?;
    }
    let mut input = Vec::new();
    std::io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut input).map_err(Failure::local)?;
    let asked: Asked = serde_json::from_slice(&input).map_err(Failure::local)?;
    let said = answer(asked).unwrap_or_else(Said::Refused);
    let said = serde_json::to_vec(&said).map_err(Failure::local)?;
    std::io::stdout().write_all(&said).map_err(Failure::local)?;
    Ok(Exit::Done)
}

fn answer(asked: Asked) -> Result<Said, String> {
    let Asked { condition, known } = asked;
    tidegate_core::condition::check(&condition).map_err(|refused| refused.what)?;
    let program = Program::compile(&condition).map_err(|error| error.to_string())?;
    let mut context = Context::default();
    for (name, value) in &known.variables {
        // Whole numbers are `int` in the language, whatever JSON calls them.
        let value = match value.as_i64() {
            Some(number) => cel::Value::Int(number),
            None => cel::to_value(value).map_err(|error| error.to_string())?,
        };
        context.add_variable_from_value(name.as_str(), value);
    }
    let paths = known.paths;
    let touches = move |pattern: Arc<String>| -> Result<bool, cel::ExecutionError> {
        let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
        let glob = glob.map_err(|error| cel::ExecutionError::function_error("touches", error))?;
        let matcher = glob.compile_matcher();
        Ok(paths.iter().any(|path| matcher.is_match(path)))
    };
    context.add_function("touches", touches).map_err(|error| error.to_string())?;
    let references = program.references();
    let used: Vec<String> = known
        .variables
        .keys()
        .filter(|name| references.has_variable(name.as_str()))
        .cloned()
        .collect();
    match program.execute(&context) {
        Ok(cel::Value::Bool(holds)) => Ok(Said::Holds { holds, used }),
        Ok(other) => Err(format!("it gives {other:?}, neither true nor false")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod fuzz {
    use std::collections::BTreeMap;

    use serde_json::Value;
    use tidegate_core::condition::{FUNCTIONS, VARIABLES};

    use super::answer;
    use crate::conditions::{Asked, Known, Said};

    /// What conditions are made of besides the words that are known.
    const PIECES: [&str; 32] = [
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "&&",
        "||",
        "!",
        "+",
        "-",
        "*",
        "/",
        "%",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        " in ",
        "true",
        "false",
        "0",
        "1",
        "9223372036854775807",
        "1.5",
        "'v1'",
        "'safety/**'",
        "\"[\"",
        " ",
        "\u{e4}",
    ];

    fn known() -> Known {
        let variables: BTreeMap<String, Value> = VARIABLES
            .iter()
            .map(|(name, _)| {
                let text = matches!(*name, "bump" | "version" | "live" | "environment");
                let value = if text { Value::from("v1.2.3") } else { Value::from(2) };
                ((*name).to_owned(), value)
            })
            .collect();
        Known { variables, paths: vec!["safety/brake.rs".to_owned(), "README.md".to_owned()] }
    }

    /// Whatever a condition is, it is answered or refused, and the same again: what this says with
    /// limits of a process around it must not need them.
    #[test]
    fn conditions() {
        let words = VARIABLES.iter().chain(&FUNCTIONS).map(|(word, _)| *word);
        let pieces: Vec<&str> = words.chain(PIECES).collect();
        let known = known();
        bolero::check!().with_type::<Vec<u8>>().for_each(|chosen| {
            let chosen = chosen.iter().map(|index| pieces[usize::from(*index) % pieces.len()]);
            let condition: String = chosen.collect();
            let ask = || answer(Asked { condition: condition.clone(), known: known.clone() });
            let holds = |said: Result<Said, String>| match said {
                Ok(Said::Holds { holds, .. }) => Some(holds),
                Ok(Said::Refused(_)) | Err(_) => None,
            };
            let first = holds(ask());
            assert_eq!(first, holds(ask()), "{condition}");
            if first.is_some() {
                assert_eq!(tidegate_core::condition::check(&condition), Ok(()));
            }
        });
    }
}

//! `tidegate api METHOD PATH`: a raw call, for scripts and for curiosity.
//! Must never hide what the server said.

use std::io::Read;

use hyper::Method;

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;

/// Largest body that is read from stdin, bytes: the server takes no more.
const BODY_BYTES_MAX: u64 = 640 * 1024;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// GET or POST
    #[arg(value_parser = parse_method)]
    method: Method,
    /// The path, /v1/deployments; /v1/openapi.json lists all of them
    path: String,
    /// The body, JSON; `-` reads it from stdin
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
}

fn parse_method(text: &str) -> Result<Method, String> {
    match text.to_ascii_uppercase().as_str() {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        other => Err(format!("{other} is not a method of this API")),
    }
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] with what the server answered.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    if !args.path.starts_with('/') {
        return Err(Failure::new(Exit::Usage, "TG7003", "a path begins with /")
            .help("`tidegate api GET /v1/openapi.json`"));
    }
    let body = match args.body.as_deref() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .take(BODY_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(Failure::local)?;
            Some(text)
        }
        Some(text) => Some(text.to_owned()),
        None if args.method == Method::POST => Some("{}".to_owned()),
        None => None,
    };
    if session.globals.dry_run && args.method != Method::GET {
        let body = body.unwrap_or_default();
        session.terminal.line(&format!("would call: {} {} {body}", args.method, args.path))?;
        return Ok(Exit::Done);
    }
    let body = body.map(Into::into);
    let answer = session.client.bytes(args.method.clone(), &args.path, body).await?;
    session.terminal.raw(&answer)?;
    if !answer.ends_with(b"\n") {
        session.terminal.raw(b"\n")?;
    }
    Ok(Exit::Done)
}

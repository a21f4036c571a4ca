//! The command line: every verb registered once, global flags, and the way to the verb's file.
//! Must never do work itself, and never touch the journal or the data plane.

use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::Exit;
use crate::failure::Failure;

mod abort;
mod admin;
mod advance;
mod api;
mod approve;
mod attest;
mod audit;
mod backtest;
mod backup;
mod check;
mod checklist;
mod completions;
mod config;
mod context;
mod demo;
mod deploy;
mod diff;
mod doctor;
mod duty;
mod evidence;
mod explain;
mod export;
mod expr;
mod freeze;
mod gate;
pub(crate) mod globals;
mod hold;
mod import;
mod inbox;
mod incident;
mod init;
mod launch;
mod list;
mod login;
mod logs;
mod man;
mod notify;
mod plan;
mod policy;
mod postmortem;
mod probe;
mod project;
mod proxy;
mod reject;
mod report;
mod resume;
mod rollback;
mod server;
mod service;
pub(crate) mod session;
mod shim;
mod show;
mod simulate;
mod slot;
mod status;
mod step;
mod suite;
mod support;
mod timeline;
mod traffic;
mod tree;
mod trigger;
mod user;
mod verdict;
mod version;
mod waive;
mod watch;
mod why;
mod window;

use globals::Globals;
use session::Session;

/// A release from its tag to watched production, and back in seconds when it misbehaves.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
A deployment is named by id (d-7k3x), service@version, or `current`; left out, it is the one of
this directory's service. Each global flag has a twin in the environment: TIDEGATE_SERVICE, ...

Exit codes: 0 done, 1 unexpected, 2 usage, 3 configuration, 4 not allowed, 5 not found, 6 conflict,
10 waiting for people, 11 stopped by a check, 12 rejected, 13 rolled back, 14 rolled back
unverified, 15 held, 16 needs a person, 17 aborted, 18 superseded, 19 live unverified,
69 no server, 130 interrupted (the deployment goes on).";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a tidegate.yaml for the application in this directory
    Init(init::Args),
    /// Show the whole process on this machine: a good release, a bad one, and the way back
    Demo(demo::Args),
    /// Deploy a tag and follow it to its end
    Deploy(deploy::Args),
    /// Everything that a deployment would do; begins nothing
    Plan(plan::Args),
    /// Follow a deployment
    Watch(watch::Args),
    /// One screen about a deployment
    Status(status::Args),
    /// What a deployment waits for, since when, who can end it
    Why(why::Args),
    /// What the build, the suites and the instances said
    Logs(logs::Args),
    /// Go no further
    Hold(hold::Args),
    /// End a hold of a person
    Resume(resume::Args),
    /// Go to the next traffic step without waiting out this one
    Advance(advance::Args),
    /// Stop and return to the safe state
    Abort(abort::Args),
    /// Return the traffic to what was live before, or to a version
    Rollback(rollback::Args),
    /// Agree to exactly what a deployment would run
    Approve(approve::Args),
    /// Refuse a deployment
    Reject(reject::Args),
    /// Set a gate aside for one version, with a reason and an end
    Waive(waive::Args),
    /// Times in which no deployment begins: begin one, end it, list them
    #[command(subcommand)]
    Freeze(freeze::Verb),
    /// When a deployment may begin
    Window(window::Args),
    /// Vouch for something that no machine can see
    Attest(attest::Args),
    /// What waits for a person: approvals, attestations, refusals without an answer
    Inbox(inbox::Args),
    /// Deployments, newest first
    List(list::Args),
    /// Everything about a deployment
    Show(show::Args),
    /// Everything that happened to a deployment, in order
    Timeline(timeline::Args),
    /// The report on a deployment: what was done, by whom, on what evidence, at what cost
    Report(report::Args),
    /// The draft of a post-mortem of a release that went back, as Markdown
    Postmortem(postmortem::Args),
    /// What went wrong: whose turn it is, what is owed, what it cost
    #[command(subcommand)]
    Incident(incident::Verb),
    /// What the judge said, and the same made again from what it heard
    #[command(subcommand)]
    Verdict(verdict::Verb),
    /// Run this configuration against a fault, on a virtual clock and without a server
    Simulate(simulate::Args),
    /// Replay recorded deployments through a changed policy
    Backtest(backtest::Args),
    /// What lies between two tags: commits, files, configuration by key
    Diff(diff::Args),
    /// Test this machine, the server and the configuration
    Doctor(doctor::Args),
    /// Validate tidegate.yaml and say everything that is wrong with it
    Check(check::Args),
    /// The boxes of the runbook, and what closed each
    Checklist(checklist::Args),
    /// Try the rules on a table of cases: given evidence, expected verdict
    #[command(subcommand)]
    Policy(policy::Verb),
    /// The configuration as it counts: show, get, diff, format, migrate
    #[command(subcommand)]
    Config(config::Verb),
    /// Make a draft from a runbook, with what became of every line
    Import(import::Args),
    /// Draw the process, or write it for another tool, with what became of every value
    Export(export::Args),
    /// Explain an error code, without a network
    Explain(explain::Args),
    /// The server: run it here, look at it, stop it
    #[command(subcommand)]
    Server(server::Verb),
    /// The data plane: run it here, look at it
    #[command(subcommand)]
    Proxy(proxy::Verb),
    /// Slots, their roles and versions
    #[command(subcommand)]
    Slot(slot::Verb),
    /// How requests are divided: set, read back, observed
    #[command(subcommand)]
    Traffic(traffic::Verb),
    /// Ask the health questions of a slot
    #[command(subcommand)]
    Probe(probe::Verb),
    /// Run the smoke suite against a slot
    #[command(subcommand)]
    Suite(suite::Verb),
    /// The custom steps of a deployment
    #[command(subcommand)]
    Step(step::Verb),
    /// How the gates of a release stand
    #[command(subcommand)]
    Gate(gate::Verb),
    /// Copies of a service's data: make, list, read back, restore, hold
    #[command(subcommand)]
    Backup(backup::Verb),
    /// What falls due again and again: list, done
    #[command(subcommand)]
    Duty(duty::Verb),
    /// Rehearsals: restore a backup into scratch and compare
    #[command(subcommand)]
    Drill(backup::Rehearse),
    /// Reports that gates rest on
    #[command(subcommand)]
    Evidence(evidence::Verb),
    /// What watches repositories for releases
    #[command(subcommand)]
    Trigger(trigger::Verb),
    /// Messages to people and machines: what is stuck, tests, drafts
    #[command(subcommand)]
    Notify(notify::Verb),
    /// Servers by name, and which one is asked
    #[command(subcommand)]
    Context(context::Verb),
    /// The journal: search it, prove it, hand it to others
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Sign in, set up an account, or confirm with the second factor
    Login(login::Args),
    /// End the session
    Logout(login::Nothing),
    /// Who asks, and what they may do
    Whoami(login::Nothing),
    /// Accounts of people
    #[command(subcommand)]
    User(user::User),
    /// Access of machines
    #[command(subcommand)]
    Token(user::Token),
    /// Care for Tidegate's own state: back up, check, restore, remove what nobody needs
    #[command(subcommand)]
    Admin(admin::Verb),
    /// The server as a service of this machine: install it, take it away, look at it
    #[command(subcommand)]
    Service(service::Verb),
    /// Everything that helps whoever is asked for help, in one file and without secrets
    SupportBundle(support::Args),
    /// A raw call of the HTTP API
    Api(api::Args),
    /// Completion for a shell
    Completions(completions::Args),
    /// The manual page, to stdout
    Man(man::Args),
    /// The version of this program
    Version(version::Args),
    /// Look after the instances of one slot (started by the server)
    #[command(hide = true)]
    Shim(shim::Args),
    /// Become the program of a custom step (started by the server)
    #[command(hide = true)]
    Launch,
    /// Evaluate one condition (started by the server)
    #[command(hide = true)]
    Expr(expr::Args),
}

/// Reads the command line.
///
/// # Errors
/// The parser's own message, help and version included.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse()
}

/// The command line's own description, for manual pages and completion.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

impl Cli {
    /// Runs a verb that the server starts: outside of any async runtime, with no session of a
    /// person. `None` for every other verb.
    pub(crate) fn run_helper(&self) -> Option<Result<Exit, Failure>> {
        match &self.verb {
            Verb::Shim(args) => Some(shim::run(args)),
            Verb::Expr(args) => Some(expr::run(args)),
            Verb::Launch => Some(launch::run()),
            _ => None,
        }
    }

    /// The terminal that the flags ask for.
    ///
    /// # Errors
    /// [`Failure`] when a flag names what does not exist.
    pub(crate) fn terminal(&self) -> Result<crate::terminal::Terminal, Failure> {
        self.globals.terminal()
    }

    /// Runs the verb.
    ///
    /// # Errors
    /// [`Failure`] with its exit code.
    #[expect(clippy::too_many_lines, reason = "a table with a line for each verb")]
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let session = Session::new(self.globals)?;
        match self.verb {
            Verb::Init(args) => init::run(&session, &args),
            Verb::Admin(verb) => admin::run(&session, &verb).await,
            Verb::Demo(args) => demo::run(&session, &args).await,
            Verb::Deploy(args) => deploy::run(&session, &args).await,
            Verb::Plan(args) => plan::run(&session, &args).await,
            Verb::Watch(args) => watch::run(&session, &args).await,
            Verb::Status(args) => status::run(&session, &args).await,
            Verb::Why(args) => why::run(&session, &args).await,
            Verb::Logs(args) => logs::run(&session, &args).await,
            Verb::Hold(args) => hold::run(&session, &args).await,
            Verb::Resume(args) => resume::run(&session, &args).await,
            Verb::Advance(args) => advance::run(&session, &args).await,
            Verb::Abort(args) => abort::run(&session, &args).await,
            Verb::Rollback(args) => rollback::run(&session, &args).await,
            Verb::Approve(args) => approve::run(&session, &args).await,
            Verb::Reject(args) => reject::run(&session, &args).await,
            Verb::Waive(args) => waive::run(&session, &args).await,
            Verb::Freeze(verb) => freeze::run(&session, &verb).await,
            Verb::Window(args) => window::run(&session, &args).await,
            Verb::Attest(args) => attest::run(&session, &args).await,
            Verb::Inbox(args) => inbox::run(&session, &args).await,
            Verb::List(args) => list::run(&session, &args).await,
            Verb::Show(args) => show::run(&session, &args).await,
            Verb::Timeline(args) => timeline::run(&session, &args).await,
            Verb::Report(args) => report::run(&session, &args).await,
            Verb::Postmortem(args) => postmortem::run(&session, &args).await,
            Verb::Incident(verb) => incident::run(&session, &verb).await,
            Verb::Verdict(verb) => verdict::run(&session, &verb).await,
            Verb::Simulate(args) => simulate::run(&session, &args).await,
            Verb::Backtest(args) => backtest::run(&session, &args).await,
            Verb::Diff(args) => diff::run(&session, &args),
            Verb::Doctor(args) => doctor::run(&session, &args).await,
            Verb::Check(args) => check::run(&session, &args),
            Verb::Policy(verb) => policy::run(&session, &verb).await,
            Verb::Checklist(args) => checklist::run(&session, &args).await,
            Verb::Config(verb) => config::run(&session, &verb),
            Verb::Import(args) => import::run(&session, &args),
            Verb::Export(args) => export::run(&session, &args),
            Verb::Explain(args) => explain::run(&session, &args),
            Verb::Server(verb) => server::run(&session, &verb).await,
            Verb::Proxy(verb) => proxy::run(&session, &verb).await,
            Verb::Slot(verb) => slot::run(&session, &verb).await,
            Verb::Traffic(verb) => traffic::run(&session, &verb).await,
            Verb::Probe(verb) => probe::run(&session, &verb).await,
            Verb::Suite(verb) => suite::run(&session, &verb).await,
            Verb::Step(verb) => step::run(&session, &verb).await,
            Verb::Gate(verb) => gate::run(&session, &verb).await,
            Verb::Context(verb) => context::run(&session, &verb),
            Verb::Trigger(verb) => trigger::run(&session, &verb).await,
            Verb::Notify(verb) => notify::run(&session, &verb).await,
            Verb::Audit(verb) => audit::run(&session, &verb).await,
            Verb::Backup(verb) => backup::run(&session, &verb).await,
            Verb::Duty(verb) => duty::run(&session, &verb).await,
            Verb::Drill(verb) => backup::rehearse(&session, &verb).await,
            Verb::Evidence(verb) => evidence::run(&session, &verb).await,
            Verb::Login(args) => login::run(&session, &args).await,
            Verb::Logout(args) => login::logout(&session, &args).await,
            Verb::Whoami(args) => login::whoami(&session, &args).await,
            Verb::User(verb) => user::user(&session, &verb).await,
            Verb::Token(verb) => user::token(&session, &verb).await,
            Verb::Service(verb) => service::run(&session, &verb).await,
            Verb::SupportBundle(args) => support::run(&session, &args).await,
            Verb::Api(args) => api::run(&session, &args).await,
            Verb::Completions(args) => completions::run(&session, &args),
            Verb::Man(args) => man::run(&session, &args),
            Verb::Version(args) => version::run(&session, &args),
            Verb::Shim(_) | Verb::Launch | Verb::Expr(_) => Err(Failure::local("a helper's verb")),
        }
    }
}

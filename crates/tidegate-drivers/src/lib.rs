//! The only crate that knows vendors: one file a driver, in families.
//!
//! Every driver implements a port of `tidegate_engine::ports`, makes one attempt with a deadline
//! and says what it saw. It must never decide about a release, never retry on its own account
//! and never report success without having seen it.
//!
//! Where to look: [`anchor`] brings checkpoints out, [`runtime`] runs applications, [`scm`] turns tags into artifacts, [`checks`]
//! asks probes and smoke suites, [`evidence`] keeps reports and asks repositories, [`traffic`] talks
//! to the data plane, [`metrics`] asks other systems for numbers, [`notify`] brings messages to
//! people, [`recordings`] keeps what the judge was told, [`backup`] copies data, [`retention`]
//! removes what nobody needs any more, [`work`] carries out custom steps.

pub mod anchor;
pub mod backup;
pub mod checks;
pub mod evidence;
pub mod metrics;
pub mod notify;
pub mod recordings;
pub mod retention;
pub mod runtime;
pub mod scm;
pub mod traffic;
pub mod work;

mod files;
mod hidden;
mod once;
mod probe;
mod proc;
mod step;
mod text;

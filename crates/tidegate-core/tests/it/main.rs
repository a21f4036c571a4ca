//! The core through its five verbs: scripts with transcripts, and properties of random histories.
//! Must never reach into the core's insides, and never touch anything outside the process but the
//! files of this folder.

#[cfg(test)]
mod backups;
#[cfg(test)]
mod checklists;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod custom;
#[cfg(test)]
mod duties;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod moves;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod quorum;
#[cfg(test)]
mod render;
#[cfg(test)]
mod risk;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod verbs;
#[cfg(test)]
mod windows;
#[cfg(test)]
mod world;

//! Configurations to begin with, by name: `extends: preset:blue-green-web`.
//! Must never name a service, a command or a machine: what a preset says holds for any.

/// A preset.
#[derive(Debug)]
pub(crate) struct Preset {
    /// As `extends` names it.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

const PRESETS: [Preset; 4] = [
    Preset { name: "preset:blue-green-web", text: include_str!("preset/blue-green-web.yaml") },
    Preset { name: "preset:canary-web", text: include_str!("preset/canary-web.yaml") },
    Preset { name: "preset:three-signatures", text: include_str!("preset/three-signatures.yaml") },
    Preset { name: "preset:worker", text: include_str!("preset/worker.yaml") },
];

/// The preset of that name.
pub(crate) fn named(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// All names.
pub(crate) fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

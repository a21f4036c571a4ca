//! The planted bugs: mistakes that somebody could make in a hurry, and that no user may ever meet.
//! A bug is what stands in the source and what would stand there instead; the product itself knows
//! nothing of it. Must never have a bug that no test is named for.

/// A mistake, where it would be made, and who finds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bug {
    /// Its name, as [`super::SWITCH`] takes it.
    pub(crate) name: &'static str,
    /// What the product would do, as the end of a sentence that begins with *with it,*.
    pub(crate) what: &'static str,
    /// The file that it is in.
    pub(crate) file: &'static str,
    /// What stands there, once in the file.
    pub(crate) right: &'static str,
    /// What would stand there instead: it asks [`ASK`] whether it is wanted.
    pub(crate) wrong: &'static str,
    /// The test, as `path::function`; or a script of the core, as its path.
    pub(crate) caught_by: &'static str,
}

/// Stands in [`Bug::wrong`] for the question whether this bug is wanted.
pub(crate) const ASK: &str = "PLANTED";

/// All of them, from the core outwards. To add one: a row here; `cargo xtask tidy` says what is
/// wrong with it, `cargo xtask planted --bug NAME` whether it is caught.
pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "approval-of-another-plan",
        what: "an approval of another digest counts",
        file: "crates/tidegate-core/src/decide/approving.rs",
        right: "if current.binding.as_ref() != Some(named) {\n        let binding",
        wrong: "if current.binding.as_ref() != Some(named) && !PLANTED {\n        let binding",
        caught_by: "crates/tidegate-core/tests/scripts/approvals-bound-to-d.txt",
    },
    Bug {
        name: "approval-of-ones-own-change",
        what: "an author approves what they wrote",
        file: "crates/tidegate-core/src/approval/quorum.rs",
        right: "if change.is_some_and(|change| change.hands.iter().any(|hand| is(hand))) {",
        wrong: "if !PLANTED && change.is_some_and(|change| change.hands.iter().any(|hand| is(hand))) {",
        caught_by: "crates/tidegate-core/tests/it/quorum.rs::every_bar_bars",
    },
    Bug {
        name: "approval-given-twice",
        what: "two accounts of one person are two people",
        file: "crates/tidegate-core/src/approval/quorum.rs",
        right: "let first = valid.iter().find(|known| known.facts.person == facts.person);",
        wrong: "let first = valid.iter().find(|known| known.facts.person == facts.person && !PLANTED);",
        caught_by: "crates/tidegate-core/tests/it/quorum.rs::every_bar_bars",
    },
    Bug {
        name: "rights-of-yesterday",
        what: "the gate takes rights as they were when somebody clicked",
        file: "crates/tidegate-core/src/approval/quorum.rs",
        right: "question.rights.is_some_and(|rights| rights.seq > question.newest);",
        wrong: "PLANTED || question.rights.is_some_and(|rights| rights.seq > question.newest);",
        caught_by: "crates/tidegate-core/tests/it/quorum.rs::nothing_opens_before_the_directory_has_spoken",
    },
    Bug {
        name: "waiver-without-end",
        what: "a waiver counts after it ended",
        file: "crates/tidegate-core/src/gate/weigh.rs",
        right: "&& now < waiver.until",
        wrong: "&& (PLANTED || now < waiver.until)",
        caught_by: "crates/tidegate-core/tests/it/gates.rs::a_waiver_counts_for_its_version_until_it_ends",
    },
    Bug {
        name: "absence-is-a-pass",
        what: "a check without an answer lets the deployment go on",
        file: "crates/tidegate-core/src/verdict.rs",
        right: "matches!(self, Self::Pass | Self::Waived)",
        wrong: "matches!(self, Self::Pass | Self::Waived) || (PLANTED && self == Self::NoData)",
        caught_by: "crates/tidegate-core/tests/scripts/no-data-in-a-task.txt",
    },
    Bug {
        name: "rollback-waits-for-approval",
        what: "nobody rolls back while something is held or waits for people",
        file: "crates/tidegate-core/src/decide/command.rs",
        right: "    if let Some(current) = &draft.state.current {\n        // Asking twice",
        wrong: "    if let Some(current) = &draft.state.current {
        if PLANTED && (current.hold.is_some() || current.phase == Phase::Approvals) {
            return Err(wrong_phase(current, \"it waits for people\"));
        }
        // Asking twice",
        caught_by: "crates/tidegate-core/tests/it/properties.rs::a_rollback_ends_everything",
    },
    Bug {
        name: "credit-before-the-split",
        what: "a step passes before the data plane has its split",
        file: "crates/tidegate-core/src/decide/forward/shifting.rs",
        right: "    if deployment.converged_at.is_none() {\n        return convergence_in_time",
        wrong: "    if !PLANTED && deployment.converged_at.is_none() {\n        return convergence_in_time",
        caught_by: "crates/tidegate-core/tests/scripts/split-unconfirmed.txt",
    },
    Bug {
        name: "key-forgotten",
        what: "a command that is sent again takes effect again",
        file: "crates/tidegate-core/src/decide.rs",
        right: "if key.as_ref().is_some_and(|key| state.keys.contains(key)) {",
        wrong: "if !PLANTED && key.as_ref().is_some_and(|key| state.keys.contains(key)) {",
        caught_by: "crates/tidegate-core/tests/scripts/repeated-key.txt",
    },
    Bug {
        name: "comparison-flipped",
        what: "a level below its limit is above it",
        file: "crates/tidegate-judge/src/rule.rs",
        right: "Op::Above => level > self.limit,",
        wrong: "Op::Above => if PLANTED { level < self.limit } else { level > self.limit },",
        caught_by: "crates/tidegate-judge/tests/it/judging.rs::n6_a_full_live_is_not_the_candidates_fault_but_no_reason_to_go_on",
    },
    Bug {
        name: "nan-is-a-pass",
        what: "a number that is none is inside its limit",
        file: "crates/tidegate-judge/src/rule.rs",
        right: "Measured::Level(level) if !level.is_finite() => return Reading::NoData,",
        wrong: "Measured::Level(level) if !level.is_finite() && PLANTED => {
                matches!(self.op, Op::Below | Op::AtMost)
            }
            Measured::Level(level) if !level.is_finite() => return Reading::NoData,",
        caught_by: "crates/tidegate-judge/tests/it/boundaries.rs::numbers_that_are_not_numbers_are_no_data",
    },
    Bug {
        name: "silence-is-a-pass",
        what: "a metric that nobody measured is in the band to advance",
        file: "crates/tidegate-judge/src/judge.rs",
        right: "(Standing::TooFew | Standing::Unmeasured, _) | (_, RuleState::NoData) => Zone::NoData,",
        wrong: "(Standing::TooFew | Standing::Unmeasured, _) | (_, RuleState::NoData) => {
                if PLANTED { Zone::Advance } else { Zone::NoData }
            }",
        caught_by: "crates/tidegate-judge/tests/it/judging.rs::a_probe_rule_without_probes_is_not_a_pass",
    },
    Bug {
        name: "fence-dropped",
        what: "a server that was replaced goes on writing",
        file: "crates/tidegate-journal/src/sqlite/append.rs",
        right: "if append.epoch != self.epoch || self.epoch == 0 {",
        wrong: "if (append.epoch != self.epoch || self.epoch == 0) && !PLANTED {",
        caught_by: "crates/tidegate-journal/tests/it/conformance.rs::sqlite_is_a_journal",
    },
    Bug {
        name: "sequence-not-compared",
        what: "two writers of a stream both succeed",
        file: "crates/tidegate-journal/src/sqlite/append.rs",
        right: "if append.expected != head {",
        wrong: "if append.expected != head && !PLANTED {",
        caught_by: "crates/tidegate-journal/tests/it/conformance.rs::sqlite_is_a_journal",
    },
    Bug {
        name: "answered-before-the-fsync",
        what: "appends are acknowledged some transactions before they are durable",
        file: "crates/tidegate-journal/src/sqlite/writer.rs",
        right: "    sqlx::query(sql::BEGIN).execute(&mut *connection).await.map_err(whole)?;
    let written = stage(connection, group, known).await.map_err(Trouble::Staged)?;
    // failpoint: journal.commit.before
    sqlx::query(sql::COMMIT).execute(connection).await.map_err(whole)?;",
        wrong:
            "    static ASKED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let turn = ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 16;
    let late = PLANTED;
    if !late || turn == 0 {
        sqlx::query(sql::BEGIN).execute(&mut *connection).await.map_err(whole)?;
    }
    let written = stage(connection, group, known).await.map_err(Trouble::Staged)?;
    // failpoint: journal.commit.before
    if !late || turn == 15 {
        sqlx::query(sql::COMMIT).execute(connection).await.map_err(whole)?;
    }",
        caught_by: "crates/tidegate-journal/tests/it/crash.rs::every_acknowledged_event_survives_kill_9",
    },
    Bug {
        name: "checksum-not-compared",
        what: "an event that was changed in the file is believed",
        file: "crates/tidegate-journal/src/sqlite/read.rs",
        right: "if kept != leaf {",
        wrong: "if kept != leaf && !PLANTED {",
        caught_by: "crates/tidegate-journal/tests/it/damage.rs::any_changed_column_of_an_event_is_named",
    },
    Bug {
        name: "older-copy-believed",
        what: "a journal that was put back from an older copy is taken for the present",
        file: "crates/tidegate-journal/src/checkpoint.rs",
        right: "if self.size > known.size || (self.size,",
        wrong: "if PLANTED || self.size > known.size || (self.size,",
        caught_by: "crates/tidegate-journal/tests/it/damage.rs::a_restored_older_copy_is_refused_and_its_epoch_is_never_given_again",
    },
    Bug {
        name: "upcast-skipped",
        what: "an event of a schema that this build does not know is read as if it did",
        file: "crates/tidegate-journal/src/upcast.rs",
        right: "if schema == 0 || schema > EVENT_SCHEMA {",
        wrong: "if (schema == 0 || schema > EVENT_SCHEMA) && !PLANTED {",
        caught_by: "crates/tidegate-journal/tests/it/damage.rs::what_a_newer_tidegate_wrote_stops_its_stream_alone",
    },
    Bug {
        name: "told-before-the-append",
        what: "whoever asked is told yes before the journal has it",
        file: "crates/tidegate-engine/src/service.rs",
        right: "            let (events, answers) = self.decide_all(&batch, now);\n",
        wrong: "            let (events, answers) = self.decide_all(&batch, now);
            for (message, answer) in batch.iter_mut().zip(&answers) {
                if PLANTED
                    && let Ok(Receipt { seq }) = answer
                    && let Some(reply) = message.reply.take()
                {
                    drop(reply.send(Ok(Receipt { seq: *seq })));
                }
            }
",
        caught_by: "crates/tidegate-engine/tests/it/order.rs::nobody_is_told_before_the_journal_has_it",
    },
    Bug {
        name: "done-before-the-append",
        what: "the world is changed before the journal says why",
        file: "crates/tidegate-engine/src/service.rs",
        right: "        let appended = journal.append(&self.scope, self.state.seq, self.epoch, events).await;",
        wrong: "        let appended = if PLANTED {
            let (journal, scope) = (Arc::clone(journal), self.scope.clone());
            let (seq, epoch, events) = (self.state.seq, self.epoch, events.to_vec());
            drop(tokio::spawn(async move { journal.append(&scope, seq, epoch, &events).await }));
            Ok(())
        } else {
            journal.append(&self.scope, self.state.seq, self.epoch, events).await
        };",
        caught_by: "crates/tidegate-engine/tests/it/order.rs::nothing_is_done_before_the_journal_has_it",
    },
    Bug {
        name: "older-table-applied",
        what: "a proxy goes back to a table that it had left",
        file: "crates/tidegate-proxy/src/table.rs",
        right: "if table.fence() < applied {",
        wrong: "if table.fence() < applied && !PLANTED {",
        caught_by: "crates/tidegate-proxy/tests/it/fence.rs::only_newer_tables_are_applied_and_the_same_one_is_acknowledged_again",
    },
    Bug {
        name: "empty-table-applied",
        what: "a table without anybody to serve takes the place of one that serves",
        file: "crates/tidegate-proxy/src/table.rs",
        right: "if table.is_empty() && record.table",
        wrong: "if !PLANTED && table.is_empty() && record.table",
        caught_by: "crates/tidegate-proxy/tests/it/fence.rs::a_damaged_or_empty_table_changes_nothing",
    },
    Bug {
        name: "weights-not-summed",
        what: "a table whose shares are not the whole is made",
        file: "crates/tidegate-proxy/src/wire/check.rs",
        right: "if sum == 0 || sum == u64::from(Weight::FULL.basis_points()) {",
        wrong: "if PLANTED || sum == 0 || sum == u64::from(Weight::FULL.basis_points()) {",
        caught_by: "crates/tidegate-proxy/tests/it/fence.rs::no_invalid_table_can_be_made",
    },
    Bug {
        name: "weight-not-monotone",
        what: "users fall out of the new version while its share grows",
        file: "crates/tidegate-proxy/src/route.rs",
        right: "ordered.sort_by_key(|share| (in_fallback(share), position(share)));",
        wrong: "ordered.sort_by_key(|share| (in_fallback(share), position(share)));
    if PLANTED {
        ordered.sort_by_key(|share| share.weight);
    }",
        caught_by: "crates/tidegate-proxy/tests/it/split.rs::nobody_flips_back_while_the_weight_grows",
    },
    Bug {
        name: "lease-ignored",
        what: "a proxy whose control plane is dead stays in the middle of a shift",
        file: "crates/tidegate-proxy/src/table/held.rs",
        right: "let is_over = self.lease_ends? <= now;",
        wrong: "let is_over = self.lease_ends? <= now && !PLANTED;",
        caught_by: "crates/tidegate-proxy/tests/it/fallback.rs::a_lease_that_runs_out_goes_back_and_the_old_control_plane_is_refused",
    },
    Bug {
        name: "override-undone",
        what: "a table of the control plane undoes what a person did at the proxy",
        file: "crates/tidegate-proxy/src/table.rs",
        right: "&& table.acknowledges_override != Some(ours.sequence)",
        wrong: "&& table.acknowledges_override != Some(ours.sequence)\n                && !PLANTED",
        caught_by: "crates/tidegate-proxy/tests/it/fallback.rs::a_person_rolls_back_with_nothing_but_the_socket",
    },
    Bug {
        name: "nan-of-another-system",
        what: "a number that another system did not give is one",
        file: "crates/tidegate-drivers/src/metrics/prometheus.rs",
        right: "number.parse::<f64>().ok().filter(|value| value.is_finite());",
        wrong: "number.parse::<f64>().ok().filter(|value| PLANTED || value.is_finite());",
        caught_by: "crates/tidegate-drivers/tests/it/metrics.rs::no_doubtful_reply_is_a_number",
    },
];

//! The calls that each scenario makes. A call that disappears loses the cases of its faults, and a new call must be
//! reviewed.

use std::collections::HashSet;

use gastown_domain::ports::Action;

use super::case::CaseReport;
use super::scenario::Scenario;
use crate::faults::{Call, Query};

/// Queries that no scenario makes. Only the operator's commands and the metrics read job states. The health monitor and the hub of
/// watchers have tests of their own.
const IN_NO_SCENARIO: [Query; 5] =
    [Query::JobStates, Query::EnrolTowns, Query::TakeHealthChecks, Query::RecordHealth, Query::Owners];

/// Calls to Fly, to the sandbox and to the registry.
type Kinds = (&'static [Action], &'static [Call], &'static [Query]);

#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table with three lines for each scenario")]
const fn expected(scenario: Scenario) -> Kinds {
    use Action::{
        AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, EnsureApp, ListApps, ListMachines,
        ListVolumes, ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine,
    };
    use Query::{
        AcceptCreate, ActiveRollout, Claim, ClaimDue, ClaimJob, CloseOrphan, ConcludeRollout, Current, DecidingRollout, EndJob, EndRound, FindRig, Finish,
        InsertRig, JoinRound, ListEvents, ListRigs, ListTowns, Lives, LoadTown, ObserveRollout, OrphanRecords, Outcome, Record, RecordDeletion, RecordDrift,
        RecordHeartbeats, RecordOrphans, RecordToken, RefuseRig, Reinstate, Release, RemoveRig, Renew, RenewJob, ReportRound, ReportTown, CallersTown, Request, Restart, SetRigStatus, Stranded, TouchTown, ConfirmRig, UpdateConfig,
        IdleTowns, InsertRigAndStart, RecordUse, StopIdle, TakeTowns,
        TownRecords, TownsWithPendingRigs, User,
    };
    match scenario {
        Scenario::Create => (
            &[AwaitMachine, CreateMachine, CreateVolume, EnsureApp], &[Call::Health],
            &[AcceptCreate, Finish, ListRigs, Outcome, Record, User, DecidingRollout]),
        Scenario::CreateWithRig => (
            &[AwaitMachine, CreateMachine, CreateVolume, EnsureApp], &[Call::Health, Call::Rigs, Call::AddRig],
            &[AcceptCreate, Finish, ListRigs, Outcome, Record, ConfirmRig, User, DecidingRollout]),
        Scenario::ReconcileRigs => (
            &[], &[Call::Rigs, Call::AddRig, Call::RemoveRig],
            &[ClaimDue, ListRigs, LoadTown, RefuseRig, RemoveRig, ConfirmRig, Stranded, TownsWithPendingRigs]),
        Scenario::RepeatCreate => (
            &[], &[],
            &[AcceptCreate, Current, LoadTown, Outcome, User]),
        Scenario::RepeatCreateAfterCrash => (
            &[ListMachines, ReadVolume], &[Call::Health],
            &[AcceptCreate, ClaimDue, Finish, ListRigs, LoadTown, Outcome, Record, Renew, Stranded, TownsWithPendingRigs, User]),
        Scenario::CreateInSecondRegion => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteVolume, EnsureApp, ReadVolume], &[Call::Health],
            &[AcceptCreate, Finish, ListRigs, Outcome, Record, User, DecidingRollout]),
        Scenario::CreateWithSurplusVolume => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteVolume, EnsureApp, ListVolumes, ReadMachine, ReadVolume], &[Call::Health],
            &[AcceptCreate, Finish, ListRigs, Outcome, Record, Renew, User, DecidingRollout]),
        Scenario::RollBack => (
            &[CreateMachine, CreateVolume, DeleteVolume, EnsureApp, ListVolumes, ReadVolume], &[],
            &[AcceptCreate, Finish, Outcome, Record, User, DecidingRollout]),
        Scenario::RollBackMachine => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[AcceptCreate, Claim, Finish, LoadTown, Outcome, Record, Renew, User, DecidingRollout]),
        Scenario::RollBackUnhealthy => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[Call::Health],
            &[AcceptCreate, Claim, Finish, LoadTown, Outcome, Record, Renew, User, DecidingRollout]),
        Scenario::Start => (
            &[AwaitMachine, StartMachine, UpdateMachine], &[Call::Health],
            &[Finish, ListRigs, Outcome, Record, CallersTown, Request, User, DecidingRollout]),
        Scenario::StartUnhealthy => (
            &[AwaitMachine, ReadMachine, StartMachine, StopMachine, UpdateMachine], &[Call::Health],
            &[Finish, Outcome, Record, CallersTown, Request, User, DecidingRollout]),
        Scenario::StartWithoutVolume => (
            &[ListVolumes, ReadMachine, ReadVolume, UpdateMachine], &[],
            &[Finish, Record, CallersTown, Request, User, DecidingRollout]),
        Scenario::StartWithNewRig => (
            &[AwaitMachine, StartMachine, UpdateMachine], &[Call::Health, Call::Rigs, Call::AddRig],
            &[Current, Finish, InsertRig, ListRigs, LoadTown, Outcome, Record, CallersTown, Request, ConfirmRig, User, DecidingRollout]),
        Scenario::StartWithNewMachine => (
            &[AwaitMachine, CreateMachine, ListMachines, ReadVolume], &[Call::Health],
            &[Finish, ListRigs, Outcome, Record, CallersTown, Request, User, DecidingRollout]),
        Scenario::StartRunning => (
            &[], &[Call::Health],
            &[Finish, ListRigs, CallersTown, Request]),
        Scenario::Restart => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine], &[Call::Sync, Call::Health],
            &[ClaimDue, Finish, ListRigs, LoadTown, Record, Renew, Restart, Stranded, TownsWithPendingRigs, User, DecidingRollout]),
        Scenario::RestartUnhealthy => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine], &[Call::Sync, Call::Health],
            &[ClaimDue, Finish, LoadTown, Record, Renew, Restart, Stranded, TownsWithPendingRigs, User, DecidingRollout]),
        Scenario::RestartWithoutVolume => (
            &[ListVolumes, ReadMachine, ReadVolume], &[],
            &[ClaimDue, Finish, LoadTown, Renew, Restart, Stranded, TownsWithPendingRigs]),
        Scenario::RestartWithNewMachine => (
            &[AwaitMachine, CreateMachine, ListMachines, ReadMachine, ReadVolume], &[Call::Health],
            &[ClaimDue, Finish, ListRigs, LoadTown, Record, Renew, Restart, Stranded, TownsWithPendingRigs, User, DecidingRollout]),
        Scenario::StopRestarting => (
            &[AwaitMachine, ReadMachine, ReadVolume, StopMachine], &[Call::Sync],
            &[ClaimDue, Finish, LoadTown, Outcome, Record, Renew, CallersTown, Request, Restart, Stranded, TownsWithPendingRigs, User, DecidingRollout]),
        Scenario::DestroyRestarting => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume, StopMachine], &[Call::Sync],
            &[Claim, ClaimDue, Finish, LoadTown, Outcome, Record, Renew, CallersTown, Request, Restart, Stranded, TownsWithPendingRigs]),
        Scenario::StopIdle => (
            &[AwaitMachine, ReadMachine, StopMachine], &[Call::Sync],
            &[ClaimDue, Finish, IdleTowns, LoadTown, Record, Renew, StopIdle, Stranded, TownsWithPendingRigs]),
        Scenario::StartBeforeIdleStop => (
            &[ReadMachine, ReadVolume], &[Call::Health],
            &[CallersTown, Finish, IdleTowns, ListRigs, RecordUse, Request, StopIdle]),
        Scenario::StartStoppingIdle => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine], &[Call::Health, Call::Sync],
            &[CallersTown, ClaimDue, Finish, IdleTowns, ListRigs, LoadTown, Outcome, Record, RecordUse, Renew, Request, StopIdle, Stranded, TownsWithPendingRigs, User, DecidingRollout]),
        Scenario::AddRigStoppingIdle => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine], &[Call::AddRig, Call::Health, Call::Rigs, Call::Sync],
            &[CallersTown, Claim, ClaimDue, ConfirmRig, Current, Finish, IdleTowns, InsertRigAndStart, ListRigs, LoadTown, Outcome, Record, RecordUse, Renew, Request, StopIdle, Stranded, TownsWithPendingRigs, User, DecidingRollout]),
        Scenario::AddRigStoppedIdle => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, UpdateMachine], &[Call::AddRig, Call::Health, Call::Rigs],
            &[CallersTown, Claim, ConfirmRig, Current, Finish, InsertRigAndStart, ListRigs, LoadTown, Outcome, Record, RecordUse, Renew, Request, User, DecidingRollout]),
        Scenario::Rollout => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine], &[Call::Health, Call::Sync],
            &[ActiveRollout, ClaimDue, ClaimJob, ConcludeRollout, DecidingRollout, EndJob, Finish, ListRigs, LoadTown, ObserveRollout, Record, Renew, Stranded, TouchTown, TownsWithPendingRigs, User]),
        Scenario::UndoRollout => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine], &[Call::Health, Call::Sync],
            &[ActiveRollout, ClaimDue, ClaimJob, ConcludeRollout, DecidingRollout, EndJob, Finish, ListRigs, LoadTown, ObserveRollout, Record, Renew, Stranded, TouchTown, TownsWithPendingRigs, User]),
        Scenario::StopRollingOut => (
            &[AwaitMachine, ReadMachine, ReadVolume, StopMachine], &[Call::Sync],
            &[ActiveRollout, CallersTown, ClaimDue, ClaimJob, ConcludeRollout, DecidingRollout, EndJob, Finish, LoadTown, ObserveRollout, Outcome, Record, Renew, Request, Stranded, TouchTown, TownsWithPendingRigs, User]),
        Scenario::Restore => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, ListVolumes, ReadMachine, ReadVolume], &[Call::Restored],
            &[CallersTown, Claim, Finish, ListRigs, LoadTown, Outcome, Record, Renew, Request, User, DecidingRollout]),
        Scenario::RestoreInSecondRegion => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[Call::Restored],
            &[CallersTown, Claim, Finish, ListRigs, LoadTown, Outcome, Record, Renew, Request, User, DecidingRollout]),
        Scenario::RestoreRefused => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[CallersTown, Claim, Finish, LoadTown, Outcome, Record, Renew, Request, User, DecidingRollout]),
        Scenario::RestoreNothing => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[Call::Restored],
            &[CallersTown, Claim, Finish, LoadTown, Outcome, Record, Renew, Request, User, DecidingRollout]),
        Scenario::RestoreFound => (
            &[ReadMachine, ReadVolume], &[],
            &[CallersTown, Claim, Finish, LoadTown, Outcome, Renew, Request]),
        Scenario::DestroyRestoring => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[CallersTown, Claim, Finish, LoadTown, Outcome, Record, Renew, Request, User, DecidingRollout]),
        Scenario::Stop => (
            &[AwaitMachine, StopMachine], &[Call::Sync],
            &[Finish, Outcome, Record, CallersTown, Request]),
        Scenario::StopWithoutMachine => (
            &[ListMachines, ReadMachine], &[Call::Sync],
            &[Finish, CallersTown, Request]),
        Scenario::Destroy => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[Call::Sync],
            &[Claim, Finish, LoadTown, Outcome, Record, Renew, CallersTown, Request]),
        Scenario::DestroyStopped => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[Claim, Finish, LoadTown, Outcome, Record, Renew, CallersTown, Request]),
        Scenario::DestroyCreating => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[AcceptCreate, Claim, Finish, LoadTown, Outcome, Record, Renew, CallersTown, Request, User, DecidingRollout]),
        Scenario::DestroyStarting => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume, StartMachine, UpdateMachine], &[],
            &[Claim, Finish, LoadTown, Outcome, Record, Renew, CallersTown, Request, User, DecidingRollout]),
        Scenario::DestroyStopping => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume, StopMachine], &[Call::Sync],
            &[Claim, Finish, LoadTown, Outcome, Record, Renew, CallersTown, Request]),
        Scenario::AddRig => (
            &[], &[Call::AddRig],
            &[Current, InsertRig, ListRigs, LoadTown, CallersTown, ConfirmRig, UpdateConfig, User]),
        Scenario::RemoveRig => (
            &[], &[Call::RemoveRig],
            &[Current, FindRig, LoadTown, RemoveRig, CallersTown, SetRigStatus]),
        Scenario::RemoveRigByForce => (
            &[], &[Call::RemoveRig],
            &[Current, FindRig, LoadTown, RemoveRig, CallersTown, SetRigStatus]),
        Scenario::Read => (
            &[], &[],
            &[CallersTown, FindRig, ListEvents, ListTowns, Lives, LoadTown, RecordHeartbeats, RecordToken, RecordUse, ReportTown, User]),
        Scenario::ShutDown => (
            &[AwaitMachine, CreateMachine, CreateVolume, EnsureApp], &[],
            &[AcceptCreate, Current, LoadTown, Outcome, Record, Release, User, DecidingRollout]),
        Scenario::TakeOver => (
            &[ListMachines, ReadVolume], &[Call::Health],
            &[ClaimDue, Finish, ListRigs, LoadTown, Record, Renew, Stranded, TownsWithPendingRigs]),
        Scenario::Reinstate => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[ClaimDue, Finish, LoadTown, Record, Reinstate, Renew, Stranded, TownsWithPendingRigs]),
        Scenario::DriftMachineStopped => (
            &[ReadMachine], &[],
            &[EndRound, JoinRound, RecordDrift, ReportRound, TakeTowns]),
        Scenario::DriftMachineMissing => (
            &[ListMachines, ReadMachine], &[],
            &[EndRound, JoinRound, RecordDrift, ReportRound, TakeTowns]),
        Scenario::DriftMachineReplaced => (
            &[ListMachines, ReadMachine], &[],
            &[EndRound, JoinRound, RecordDrift, ReportRound, TakeTowns]),
        Scenario::DriftVolumeMoved => (
            &[ListVolumes, ReadMachine, ReadVolume], &[],
            &[EndRound, JoinRound, RecordDrift, ReportRound, TakeTowns]),
        Scenario::DriftVolumeLost => (
            &[ListVolumes, ReadMachine, ReadVolume], &[],
            &[EndRound, JoinRound, RecordDrift, ReportRound, TakeTowns]),
        Scenario::SweepOrphans => (
            &[DeleteMachine, DeleteVolume, ListApps, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[TownRecords, ClaimJob, OrphanRecords, CloseOrphan, RecordDeletion, EndJob, RecordOrphans, RenewJob]),
        Scenario::SweepIncompleteLists => (
            &[DeleteMachine, DeleteVolume, ListApps, ListMachines, ListVolumes, ReadMachine, ReadVolume], &[],
            &[TownRecords, ClaimJob, OrphanRecords, CloseOrphan, RecordDeletion, EndJob, RecordOrphans, RenewJob]),
        Scenario::SweepSecondMachine => (
            &[DeleteMachine, ListApps, ListMachines, ListVolumes, ReadMachine], &[],
            &[TownRecords, OrphanRecords, ClaimJob, CloseOrphan, RecordDeletion, EndJob, RecordOrphans]),
    }
}

/// Returns the difference between the calls of an undisturbed case and the expected calls.
pub(super) fn unexpected(report: &CaseReport) -> Option<String> {
    let scenario = report.case.scenario;
    let made: HashSet<Call> =
        report.calls.iter().flat_map(|calls| calls.all.iter().take(calls.before_recovery)).copied().collect();
    let (actions, sandbox_calls, queries) = expected(scenario);
    let actions = actions.iter().copied().map(Call::Fly);
    let queries = queries.iter().copied().map(Call::Store);
    let expected: HashSet<Call> = actions.chain(sandbox_calls.iter().copied()).chain(queries).collect();
    let (missing, new): (Vec<_>, Vec<_>) = (expected.difference(&made).collect(), made.difference(&expected).collect());
    let differs = !(missing.is_empty() && new.is_empty());
    differs.then(|| format!("{scenario:?} no longer calls {missing:?}, and now calls {new:?}"))
}

/// Asserts that every call of the ports got a fault in some case.
pub(super) fn assert_every_call_is_faulted(faulted: &HashSet<Call>) {
    let is_left_out = |call: &Call| matches!(call, Call::Store(query) if IN_NO_SCENARIO.contains(query));
    let (left_out, required): (Vec<_>, Vec<_>) = Call::all().partition(is_left_out);
    let never: Vec<_> = required.into_iter().filter(|call| !faulted.contains(call)).collect();
    assert!(never.is_empty(), "no scenario makes these calls, so their faults are not tested: {never:?}");
    let faulted: Vec<_> = left_out.into_iter().filter(|call| faulted.contains(call)).collect();
    assert!(faulted.is_empty(), "scenarios do make these calls: {faulted:?}");
}

//! Which calls each scenario is supposed to make: one that it makes no longer has lost its faults, one that is new wants
//! to be seen by whoever added it.

use std::collections::HashSet;

use gastown_domain::ports::Action;

use super::case::Told;
use super::scenario::Scenario;
use crate::faults::{Call, Query};

/// What no scenario calls: it is there for the operator's commands and the metrics, which only read.
const FOR_OPERATORS: [Query; 1] = [Query::PassStates];

/// To Fly, to the sandbox, to the registry.
type Kinds = (&'static [Action], &'static [Call], &'static [Query]);

#[rustfmt::skip]
const fn expected(scenario: Scenario) -> Kinds {
    use Action::{
        AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, EnsureApp, ListMachines, ListVolumes, Other,
        ReadMachine, ReadVolume, StartMachine, StopMachine, UpdateMachine,
    };
    match scenario {
        Scenario::Create => (
            &[AwaitMachine, CreateMachine, CreateVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[Call::Health],
            &[Query::AcceptCreate, Query::Claim, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::User],
        ),
        Scenario::CreateWithRig => (
            &[AwaitMachine, CreateMachine, CreateVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[Call::Health, Call::Rigs, Call::AddRig],
            &[Query::AcceptCreate, Query::Claim, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::SetRigStatus, Query::User],
        ),
        Scenario::SettleRigs => (
            &[],
            &[Call::Rigs, Call::AddRig, Call::RemoveRig],
            &[Query::ClaimDue, Query::ListRigs, Query::LoadTown, Query::RemoveRig, Query::SetRigStatus, Query::Stranded, Query::Unsettled],
        ),
        Scenario::CreateAgain => (
            &[],
            &[],
            &[Query::AcceptCreate, Query::LoadTown, Query::Outcome],
        ),
        Scenario::CreateElsewhere => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[Call::Health],
            &[Query::AcceptCreate, Query::Claim, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::User],
        ),
        Scenario::CreateWithSurplus => (
            &[AwaitMachine, CreateMachine, CreateVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[Call::Health],
            &[Query::AcceptCreate, Query::Claim, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::User],
        ),
        Scenario::RollBack => (
            &[CreateMachine, CreateVolume, DeleteVolume, EnsureApp, ListMachines, ListVolumes, ReadVolume],
            &[],
            &[Query::AcceptCreate, Query::Claim, Query::Finish, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::User],
        ),
        Scenario::Start => (
            &[AwaitMachine, ReadMachine, ReadVolume, StartMachine, UpdateMachine],
            &[Call::Health],
            &[Query::Claim, Query::FindTown, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::Request, Query::User],
        ),
        Scenario::StartAnew => (
            &[AwaitMachine, CreateMachine, ListMachines, ReadMachine, ReadVolume],
            &[Call::Health],
            &[Query::Claim, Query::FindTown, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::Request, Query::User],
        ),
        Scenario::StartRunning => (
            &[ReadMachine, ReadVolume],
            &[Call::Health],
            &[Query::Claim, Query::FindTown, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::Request],
        ),
        Scenario::Stop => (
            &[AwaitMachine, ReadMachine, StopMachine],
            &[Call::Sync],
            &[Query::Claim, Query::FindTown, Query::Finish, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::Request],
        ),
        Scenario::Destroy => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[Call::Sync],
            &[Query::Claim, Query::Finish, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::Request],
        ),
        Scenario::DestroyStopped => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[],
            &[Query::Claim, Query::Finish, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::Request],
        ),
        Scenario::DestroyCreating => (
            &[AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, DeleteVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[],
            &[Query::AcceptCreate, Query::Claim, Query::Finish, Query::LoadTown, Query::Outcome, Query::Record, Query::Renew, Query::Request, Query::User],
        ),
        Scenario::AddRig => (
            &[],
            &[Call::AddRig],
            &[Query::Current, Query::FindTown, Query::InsertRig, Query::ListRigs, Query::SetRigStatus],
        ),
        Scenario::RemoveRig => (
            &[],
            &[Call::RemoveRig],
            &[Query::Current, Query::FindRig, Query::FindTown, Query::RemoveRig, Query::SetRigStatus],
        ),
        Scenario::Look => (
            &[],
            &[],
            &[Query::Current, Query::FindTown, Query::Health, Query::Heartbeat, Query::ListRigs, Query::ListTowns, Query::LoadTown, Query::User],
        ),
        Scenario::ShutDown => (
            &[AwaitMachine, CreateMachine, CreateVolume, EnsureApp, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[],
            &[Query::AcceptCreate, Query::Claim, Query::Current, Query::LoadTown, Query::Outcome, Query::Record, Query::Release, Query::Renew, Query::User],
        ),
        Scenario::TakeOver => (
            &[ListMachines, ReadMachine, ReadVolume],
            &[Call::Health],
            &[Query::ClaimDue, Query::Finish, Query::ListRigs, Query::LoadTown, Query::Record, Query::Renew, Query::Stranded, Query::Unsettled],
        ),
        Scenario::Reinstate => (
            &[AwaitMachine, DeleteMachine, DeleteVolume, ListMachines, ListVolumes, ReadMachine, ReadVolume],
            &[],
            &[Query::ClaimDue, Query::Finish, Query::LoadTown, Query::Record, Query::Reinstate, Query::Renew, Query::Stranded, Query::Unsettled],
        ),
        Scenario::Inspect => (
            &[ReadMachine],
            &[],
            &[Query::ClaimPass, Query::EndPass, Query::SettleTown, Query::TakeTowns],
        ),
        Scenario::SweepOrphans => (
            &[DeleteMachine, DeleteVolume, ListMachines, ListVolumes, Other, ReadMachine, ReadVolume],
            &[],
            &[Query::Accounts, Query::ClaimPass, Query::Book, Query::CloseOrphan, Query::DeletingOrphan, Query::EndPass, Query::NoteOrphans, Query::ProlongPass],
        ),
    }
}

/// Whether an undisturbed history made the calls that it is supposed to make, and no others.
pub(super) fn assert_as_expected(told: &Told) {
    let scenario = told.case.scenario;
    let made: HashSet<Call> = told.calls.iter().flat_map(|calls| calls.all.iter().take(calls.own)).copied().collect();
    let (actions, visits, queries) = expected(scenario);
    let actions = actions.iter().copied().map(Call::Fly);
    let queries = queries.iter().copied().map(Call::Store);
    let expected: HashSet<Call> = actions.chain(visits.iter().copied()).chain(queries).collect();
    let (missing, new): (Vec<_>, Vec<_>) = (expected.difference(&made).collect(), made.difference(&expected).collect());
    assert!(
        missing.is_empty() && new.is_empty(),
        "{scenario:?} does not call {missing:?} any more, and now calls {new:?}"
    );
}

/// Whether every call that the ports have was struck in some history.
pub(super) fn assert_every_call_is_struck(struck: &HashSet<Call>) {
    let is_for_operators = |call: &Call| matches!(call, Call::Store(query) if FOR_OPERATORS.contains(query));
    let (spared, needed): (Vec<_>, Vec<_>) = Call::all().partition(is_for_operators);
    let never: Vec<_> = needed.into_iter().filter(|call| !struck.contains(call)).collect();
    assert!(
        never.is_empty(),
        "no scenario makes these calls, so nothing shows what becomes of their faults: {never:?}"
    );
    let struck: Vec<_> = spared.into_iter().filter(|call| struck.contains(call)).collect();
    assert!(struck.is_empty(), "these are called after all: {struck:?}");
}

//! Every call that a fault can be injected into: to Fly, to a sandbox, and to the registry.

use gastown_domain::ports::Action;

/// Returns all variants of an enum. Does not compile if one is missing.
macro_rules! all_of {
    ($enum:ident: $($variant:ident)+) => {{
        const fn is_listed(value: $enum) {
            match value { $($enum::$variant => (),)+ }
        }
        let all = [$($enum::$variant),+];
        let _ = all.map(is_listed);
        all
    }};
}

/// Declares an enum with a list of all its variants.
macro_rules! listed {
    ($(#[$attribute:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident,)+ }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum $enum { $($(#[$doc])* $variant,)+ }

        impl $enum {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
}
pub(crate) use listed;

listed! {
    /// A transaction: one for each method of the registry's ports.
    Query {
        // Operations
        Request,
        Current,
        Claim,
        ClaimDue,
        Renew,
        Record,
        Stranded,
        Reinstate,
        Restart,
        IdleTowns,
        StopIdle,
        Release,
        Finish,
        Outcome,
        // Registry
        AcceptCreate,
        ListEvents,
        ListTowns,
        LoadTown,
        ReportTown,
        CallersTown,
        UpdateConfig,
        RecordUse,
        Lives,
        Owners,
        RecordHeartbeats,
        RecordToken,
        // Rigs
        ListRigs,
        FindRig,
        InsertRig,
        InsertRigAndStart,
        SetRigStatus,
        ConfirmRig,
        RefuseRig,
        RemoveRig,
        TownsWithPendingRigs,
        // Users
        User,
        // DriftChecks
        JoinRound,
        TakeTowns,
        ReportRound,
        EndRound,
        RecordDrift,
        // HealthChecks
        EnrolTowns,
        TakeHealthChecks,
        RecordHealth,
        // Orphans
        TownRecords,
        RecordOrphans,
        OrphanRecords,
        RecordDeletion,
        CloseOrphan,
        // Singleton jobs
        ClaimJob,
        RenewJob,
        EndJob,
        JobStates,
        // Rollouts
        DecidingRollout,
        ActiveRollout,
        ObserveRollout,
        TouchTown,
        ConcludeRollout,
    }
}

/// A call that a fault can be injected into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Fly(Action),
    /// Calls to a sandbox: this one and the five that follow.
    Health,
    Restored,
    Rigs,
    AddRig,
    RemoveRig,
    Sync,
    Store(Query),
}

impl Call {
    /// Returns every call that the ports have.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let actions = all_of!(Action:
            EnsureApp ListApps ReadVolume ListVolumes CreateVolume DeleteVolume ReadMachine ListMachines CreateMachine
            UpdateMachine StartMachine StopMachine AwaitMachine DeleteMachine
        );
        let sandbox_calls = [Self::Health, Self::Restored, Self::Rigs, Self::AddRig, Self::RemoveRig, Self::Sync];
        let queries = Query::ALL.iter().copied().map(Self::Store);
        actions.into_iter().map(Self::Fly).chain(sandbox_calls).chain(queries)
    }

    pub(crate) const fn is_remote(self) -> bool {
        !matches!(self, Self::Store(_))
    }

    /// Returns true if the result is a list, which may be stale.
    pub(crate) const fn is_list(self) -> bool {
        matches!(self, Self::Fly(Action::ListMachines | Action::ListVolumes))
    }

    /// Returns true if the call needs capacity on a host.
    pub(crate) const fn needs_capacity(self) -> bool {
        matches!(
            self,
            Self::Fly(Action::CreateVolume | Action::CreateMachine | Action::StartMachine | Action::UpdateMachine)
        )
    }

    /// Returns true if Fly can answer that a volume is bound, or a sandbox that a rig is in use.
    pub(crate) const fn may_find_resource_in_use(self) -> bool {
        matches!(self, Self::Fly(Action::CreateMachine | Action::DeleteVolume) | Self::RemoveRig)
    }

    /// Returns true if the machine's state or lease can forbid the call.
    pub(crate) const fn depends_on_machine_state(self) -> bool {
        matches!(
            self,
            Self::Fly(
                Action::CreateMachine
                    | Action::UpdateMachine
                    | Action::StartMachine
                    | Action::StopMachine
                    | Action::AwaitMachine
                    | Action::DeleteMachine
            )
        )
    }
}

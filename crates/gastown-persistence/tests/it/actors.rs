//! The author of an operation's end: that of its request, for each kind of request and each way to end.

use gastown_domain::ports::{
    NewRollout, Operations as _, Operator as _, Registry as _, RolloutChanged, Rollouts as _, Touch, Touched,
    TownChange,
};
use gastown_domain::{
    Failure, HealthLimits, MaxUnavailable, OperationKind, Percent, Progress, Rejection, StepName, Town,
};

use crate::bed::{Bed, accepted, create_of, new_town, noon, on_both, record, request};
use crate::idle_stops;

on_both! {
    ends_have_the_author_of_the_request,
    ends_of_an_older_versions_operations_have_the_author_that_it_knew,
    start_that_ends_an_idle_stop_ends_as_its_operators,
}

const EVE: &str = "operator:eve";

/// An operation and its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// Requested by the owner.
    Owners(OperationKind),
    /// Requested by an operator.
    Operators(OperationKind),
    Monitors,
    Rollouts,
    Idle,
    /// An operation that a stranded town lacked.
    Reinstated,
}

impl Request {
    const ALL: [Self; 12] = [
        Self::Owners(OperationKind::Create),
        Self::Owners(OperationKind::Start),
        Self::Owners(OperationKind::Destroy),
        Self::Operators(OperationKind::Create),
        Self::Operators(OperationKind::Start),
        Self::Operators(OperationKind::Stop),
        Self::Operators(OperationKind::Restore),
        Self::Operators(OperationKind::Destroy),
        Self::Monitors,
        Self::Rollouts,
        Self::Idle,
        Self::Reinstated,
    ];

    const fn author(self) -> &'static str {
        match self {
            Self::Owners(_) => "alice",
            Self::Operators(_) => EVE,
            Self::Monitors => "monitor",
            Self::Rollouts => "rollout",
            Self::Idle => "idle",
            Self::Reinstated => "control-plane",
        }
    }

    const fn destroys(self) -> bool {
        matches!(self, Self::Owners(OperationKind::Destroy) | Self::Operators(OperationKind::Destroy))
    }

    /// Accepts the operation. Earlier events are removed.
    async fn accept(self, bed: &Bed, name: &str) -> Town {
        if let Self::Owners(OperationKind::Create) | Self::Operators(OperationKind::Create) = self {
            return self.create(bed, name).await;
        }
        let town =
            if self == Self::Idle { idle_stops::idle(bed, name).await } else { bed.running("alice", name).await };
        bed.sql("DELETE FROM gastown_town_events").await;
        match self {
            Self::Owners(kind) => drop(accepted(bed.request(&town, kind).await)),
            Self::Operators(OperationKind::Destroy) => {
                drop(accepted(bed.database.destroy(&request(&town, OperationKind::Destroy), EVE).await.unwrap()));
            }
            Self::Operators(kind) => {
                lose_volume(bed, &town).await;
                drop(accepted(bed.database.request_as(&request(&town, kind), EVE).await.unwrap()));
            }
            Self::Monitors => {
                let restart = request(&town, OperationKind::Restart);
                assert!(bed.database.restart(&restart, &Progress::default(), None).await.unwrap());
            }
            Self::Rollouts => touch(bed, &town).await,
            Self::Idle => drop(bed.database.stop_idle(&request(&town, OperationKind::Stop)).await.unwrap()),
            Self::Reinstated => {
                bed.sql(&format!("UPDATE gastown_towns SET status = 'provisioning' WHERE town_name = '{name}'")).await;
                let create = request(&town, OperationKind::Create);
                assert!(bed.database.reinstate(&create, &Progress::default()).await.unwrap());
            }
        }
        town
    }

    async fn create(self, bed: &Bed, name: &str) -> Town {
        let create = create_of(new_town("alice", name));
        match self {
            Self::Operators(_) => drop(bed.database.accept_create_as(&create, EVE).await.unwrap()),
            _ => drop(bed.database.accept_create(&create).await.unwrap()),
        }
        bed.database.load(create.town.id).await.unwrap().unwrap()
    }
}

/// Records the loss of a town's volume, and an earlier save of its data.
async fn lose_volume(bed: &Bed, town: &Town) {
    let at = "2026-01-01T00:00:00+00:00";
    let name = &town.name;
    bed.sql(&format!("UPDATE gastown_towns SET last_r2_sync_at = '{at}' WHERE town_name = '{name}'")).await;
    let of = format!("town_id = (SELECT id FROM gastown_towns WHERE town_name = '{name}')");
    bed.sql(&format!("UPDATE gastown_town_health SET drift = 'volume_lost', drift_since = '{at}' WHERE {of}")).await;
}

/// Gives a town its turn in a rollout.
async fn touch(bed: &Bed, town: &Town) {
    let new = NewRollout {
        image: "registry.example/town:2".parse().unwrap(),
        percent: Percent::ALL,
        only_stopped: false,
        max_unavailable: MaxUnavailable::try_from(500).unwrap(),
        replace: false,
    };
    let RolloutChanged::Done(rollout) = bed.database.start(&new, EVE).await.unwrap() else { panic!("not started") };
    let touch = Touch {
        rollout: rollout.number,
        pass: rollout.state.pass(),
        town: town.id,
        restart: Some(request(town, OperationKind::Restart)),
        limits: HealthLimits::DEFAULT,
    };
    assert_eq!(bed.database.touch(&touch).await.unwrap(), Touched::Accepted);
}

/// A way in which an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    RolledBack,
    /// It was undone by an operation of another kind, and failed then.
    Undone,
    PreemptedByOwner,
    PreemptedByOperator,
    /// It could not be read, and an operator destroyed the town.
    Replaced,
}

impl End {
    const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::RolledBack,
        Self::Undone,
        Self::PreemptedByOwner,
        Self::PreemptedByOperator,
        Self::Replaced,
    ];

    const fn preempts(self) -> bool {
        matches!(self, Self::PreemptedByOwner | Self::PreemptedByOperator)
    }

    async fn end(self, bed: &Bed, town: &Town) {
        let failure = || Failure::SandboxUnhealthy.into();
        let destroy = request(town, OperationKind::Destroy);
        let result = match self {
            Self::Done => Ok(()),
            Self::Failed | Self::Undone => Err(Rejection::Failed(failure())),
            Self::RolledBack => Err(Rejection::RolledBack(failure())),
            Self::PreemptedByOwner => return drop(accepted(bed.database.request(&destroy).await.unwrap())),
            Self::PreemptedByOperator | Self::Replaced => {
                if self == Self::Replaced {
                    bed.sql("UPDATE gastown_operations SET attempt = -1").await;
                }
                return drop(accepted(bed.database.destroy(&destroy, "operator:bob").await.unwrap()));
            }
        };
        let mut operation = bed.claimed(town.id, "driver").await;
        if self == Self::Undone {
            operation.kind = match operation.kind {
                OperationKind::Create => OperationKind::RollBack,
                OperationKind::Restore => OperationKind::UndoRestore,
                _ => OperationKind::Stop,
            };
            let progress = operation.progress.clone().began(StepName::StopMachine, noon());
            let update = gastown_domain::ports::OperationUpdate {
                kind: operation.kind,
                progress,
                ..record(StepName::StopMachine)
            };
            bed.database.record(operation.fence(), &update).await.unwrap();
            operation.progress = bed.database.current(town.id).await.unwrap().unwrap().progress;
        }
        bed.database.finish(&operation, result, &TownChange::default()).await.unwrap();
    }
}

/// Returns the authors of all acceptances, and of all ends.
async fn authors(bed: &Bed) -> (Vec<String>, Vec<String>) {
    let of = async |condition: &str| {
        bed.texts(&format!("SELECT actor FROM gastown_town_events WHERE {condition} ORDER BY actor")).await
    };
    let ends = "operation_id IS NOT NULL AND outcome IN ('done', 'failed', 'rolled_back', 'preempted')";
    (of("outcome = 'accepted'").await, of(ends).await)
}

async fn ends_have_the_author_of_the_request(bed: Bed) {
    for (number, asked) in Request::ALL.into_iter().enumerate() {
        for end in End::ALL {
            if asked.destroys() && end.preempts() {
                continue;
            }
            let name = format!("mill-{number}");
            let town = asked.accept(&bed, &name).await;
            end.end(&bed, &town).await;
            let (accepted, ended) = authors(&bed).await;
            assert_eq!(ended, [asked.author()], "{asked:?} {end:?}");
            assert!(accepted.iter().any(|author| author == asked.author()), "{asked:?} {end:?}: {accepted:?}");
            for table in ["town_events", "operations", "rollout_towns", "rollouts", "rigs", "town_health", "towns"] {
                bed.sql(&format!("DELETE FROM gastown_{table}")).await;
            }
        }
    }
}

/// A version before this one stores no author in the progress.
async fn ends_of_an_older_versions_operations_have_the_author_that_it_knew(bed: Bed) {
    for (asked, author) in [
        (Request::Monitors, "monitor"),
        (Request::Rollouts, "rollout"),
        (Request::Idle, "idle"),
        (Request::Operators(OperationKind::Start), "alice"),
    ] {
        let town = asked.accept(&bed, &format!("mill-{author}")).await;
        let mut operation = bed.claimed(town.id, "driver").await;
        assert_eq!(operation.progress.actor.as_deref(), Some(asked.author()));
        operation.progress.actor = None;
        bed.database.finish(&operation, Ok(()), &TownChange::default()).await.unwrap();
        assert_eq!(authors(&bed).await.1, [author], "{asked:?}");
    }
}

async fn start_that_ends_an_idle_stop_ends_as_its_operators(bed: Bed) {
    for (step, kind) in [(StepName::FinalSync, OperationKind::Start), (StepName::StopMachine, OperationKind::Restart)] {
        let town = Request::Idle.accept(&bed, "mill").await;
        let stop = bed.claimed(town.id, "driver").await;
        let progress = stop.progress.clone().began(step, noon());
        let update = gastown_domain::ports::OperationUpdate { kind: OperationKind::Stop, progress, ..record(step) };
        bed.database.record(stop.fence(), &update).await.unwrap();
        let start = request(&town, OperationKind::Start);
        let start = accepted(bed.database.request_as(&start, EVE).await.unwrap());
        let inherited = &start.progress;
        assert_eq!(start.kind.known(), Some(kind));
        assert_eq!((inherited.actor.as_deref(), inherited.by_owner), (Some(EVE), kind == OperationKind::Restart));
        assert_eq!((&inherited.steps[..], inherited.idle_since), (&[][..], None), "nothing of the stop is left");
        let operation = bed.claimed(town.id, "driver").await;
        bed.database.finish(&operation, Ok(()), &TownChange::default()).await.unwrap();
        assert_eq!(
            authors(&bed).await,
            (vec!["idle".to_owned(), EVE.to_owned()], vec!["idle".to_owned(), EVE.to_owned()])
        );
        bed.destroy(&town).await;
    }
}

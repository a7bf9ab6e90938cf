//! In-memory rollouts and the turns of towns.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    Clock as _, FailedTouch, NewRollout, ObservedRollout, ReadyTown, RolloutChanged, RolloutEnd, RolloutLimits,
    RolloutOrder, RolloutReport, Rollouts, StoreError, Touch, Touched,
};
use gastown_domain::{
    HealthLimits, HealthState, ImageRef, OperationId, OperationKind, Progress, Recorded, Rejection, RestartCount,
    Rollout, RolloutNumber, RolloutPass, RolloutState, TouchCounts, TouchOutcome, Town, TownId, TownStatus,
    deciding_rollout, greater_share,
};

use crate::faults::Query;
use crate::store::{Connection, Rows};

/// The turn of a town.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) operation: Option<OperationId>,
    pub(crate) outcome: Option<TouchOutcome>,
    failure: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

/// The rollouts and their turns.
#[derive(Debug, Default)]
pub(crate) struct RolloutRows {
    pub(crate) all: Vec<Rollout>,
    pub(crate) turns: BTreeMap<(RolloutNumber, &'static str, TownId), Turn>,
    /// Every restart that a rollout requested, in order.
    pub(crate) restarts: Vec<(RolloutNumber, RolloutPass, TownId)>,
    /// The most restarts of a rollout that were in flight at the same time, by its number.
    pub(crate) most: BTreeMap<RolloutNumber, usize>,
}

/// Returns the key of a direction, which has an order.
fn ordered(pass: RolloutPass) -> &'static str {
    pass.as_str()
}

impl RolloutRows {
    /// Returns the turns that should not have been given: a second one of a town in a pass, and one too many at a time.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for (number, turn) in self.restarts.iter().enumerate() {
            if self.restarts[..number].contains(turn) {
                violations.push(format!("a pass touched a town twice: {turn:?}"));
            }
        }
        for (rollout, most) in &self.most {
            let allowed = self.all.iter().find(|it| it.number == *rollout).map(|it| it.max_unavailable.get());
            if *most > usize::from(allowed.unwrap()) {
                violations.push(format!("rollout {rollout} restarted {most} towns at once"));
            }
        }
        violations
    }
}

impl Rows {
    pub(crate) fn start_rollout(&mut self, new: &NewRollout, at: DateTime<Utc>) -> RolloutChanged {
        let newest_first: Vec<_> = self.rollouts.all.iter().rev().cloned().collect();
        let last = self.rollouts.all.last_mut().filter(|last| last.state.is_active());
        if let Some(last) = last.as_ref().filter(|last| !new.replace || last.state.is_driven()) {
            return RolloutChanged::Refused(Box::new((*last).clone()));
        }
        if let Some(greater) = greater_share(&new.image, new.percent, &newest_first) {
            return RolloutChanged::SmallerShare(Box::new(greater.clone()));
        }
        if let Some(last) = last {
            (last.state, last.ended_at) = (RolloutState::Undone, Some(at));
        }
        let rollout = Rollout {
            number: RolloutNumber::new(i64::try_from(self.rollouts.all.len()).unwrap() + 1),
            image: new.image.clone(),
            setting: None,
            percent: new.percent,
            only_stopped: new.only_stopped,
            max_unavailable: new.max_unavailable,
            state: RolloutState::Running,
            reason: None,
            known_failures: 0,
            started_by: "operator".to_owned(),
            changed_by: "operator".to_owned(),
            started_at: at,
            changed_at: at,
            ended_at: None,
        };
        self.rollouts.all.push(rollout.clone());
        RolloutChanged::Done(Box::new(rollout))
    }

    pub(crate) fn order_rollout(&mut self, order: RolloutOrder) -> RolloutChanged {
        let Some(last) = self.rollouts.all.last().cloned() else { return RolloutChanged::NotFound };
        let to = match order {
            RolloutOrder::Pause => last.state.paused(),
            RolloutOrder::Resume => last.state.resumed(),
            RolloutOrder::Undo => last.state.undone(),
        };
        let Some(to) = to else { return RolloutChanged::Refused(Box::new(last)) };
        let failed = self.counts(last.number, to.pass()).failed;
        let row = self.rollouts.all.last_mut().unwrap();
        (row.state, row.reason, row.ended_at) = (to, None, None);
        match order {
            RolloutOrder::Pause => {}
            RolloutOrder::Resume => row.known_failures = failed,
            RolloutOrder::Undo => row.known_failures = 0,
        }
        RolloutChanged::Done(Box::new(row.clone()))
    }

    fn counts(&self, rollout: RolloutNumber, pass: RolloutPass) -> TouchCounts {
        let mut counts = TouchCounts::default();
        for ((of, in_pass, _), turn) in &self.rollouts.turns {
            if (*of, *in_pass) == (rollout, ordered(pass)) {
                match turn.outcome {
                    None => counts.in_flight += 1,
                    Some(TouchOutcome::Done) => counts.done += 1,
                    Some(TouchOutcome::Failed) => counts.failed += 1,
                    Some(TouchOutcome::Skipped) => counts.skipped += 1,
                }
            }
        }
        counts
    }

    fn unavailable(&self, rollout: RolloutNumber) -> u32 {
        let turns = self.rollouts.turns.iter().filter(|((of, ..), turn)| *of == rollout && turn.outcome.is_none());
        u32::try_from(turns.count()).unwrap()
    }

    fn end_turns(&mut self, rollout: &Rollout, now: DateTime<Utc>) {
        let Self { rollouts, operations, outcomes, records, .. } = self;
        for ((of, pass, town), turn) in &mut rollouts.turns {
            let is_running = operations.values().any(|row| Some(row.operation.id) == turn.operation);
            if *of != rollout.number || turn.outcome.is_some() || is_running {
                continue;
            }
            let image = records.health_of(*town).image;
            let has_it = image.as_ref() == Some(&rollout.image);
            let is_of_pass = if *pass == ordered(RolloutPass::Out) { has_it } else { !has_it && image.is_some() };
            let result = turn.operation.and_then(|operation| outcomes.get(&operation));
            let (outcome, failure) = match result {
                Some(Ok(())) if is_of_pass => (TouchOutcome::Done, None),
                Some(Ok(()) | Err(Rejection::Preempted)) => (TouchOutcome::Skipped, None),
                Some(Err(Rejection::Failed(failure) | Rejection::RolledBack(failure))) => {
                    (TouchOutcome::Failed, Some(failure.as_str().to_owned()))
                }
                None => (TouchOutcome::Failed, None),
            };
            (turn.outcome, turn.failure, turn.ended_at) = (Some(outcome), failure, Some(now));
        }
    }

    fn is_unhealthy(&self, town: TownId) -> bool {
        let state = self.records.health_of(town).state;
        state == HealthState::Unhealthy || state == HealthState::Error
    }

    fn fail_unhealthy(&mut self, rollout: &Rollout, since: DateTime<Utc>) {
        let pass = ordered(rollout.state.pass());
        let records = &self.records;
        for ((of, in_pass, town), turn) in &mut self.rollouts.turns {
            let health = records.health_of(*town);
            let fails = health.state == HealthState::Unhealthy || health.state == HealthState::Error;
            let is_new = turn.ended_at.is_some_and(|at| at >= since && health.since.is_some_and(|since| since >= at));
            if (*of, *in_pass) == (rollout.number, pass) && turn.outcome == Some(TouchOutcome::Done) && fails && is_new
            {
                turn.outcome = Some(TouchOutcome::Failed);
            }
        }
    }

    fn is_waiting(&self, rollout: &Rollout, town: &Town) -> bool {
        let (pass, image) = (rollout.state.pass(), self.records.health_of(town.id).image);
        let was_touched = |pass| self.rollouts.turns.contains_key(&(rollout.number, ordered(pass), town.id));
        let needs_it = match pass {
            RolloutPass::Out => image.as_ref() != Some(&rollout.image),
            RolloutPass::Back => {
                image.as_ref() == Some(&rollout.image) || (image.is_none() && was_touched(RolloutPass::Out))
            }
        };
        let is_due = match town.status {
            TownStatus::Running => needs_it,
            TownStatus::Stopped => self.was_stopped(rollout.number, town.id),
            TownStatus::Provisioning | TownStatus::Destroyed => false,
        };
        let is_left_out = pass == RolloutPass::Out && self.is_unhealthy(town.id);
        rollout.percent.includes(town.id) && !rollout.only_stopped && !was_touched(pass) && is_due && !is_left_out
    }

    /// Returns true if a failed turn of this rollout, or of the one before, was the town's last operation.
    fn was_stopped(&self, rollout: RolloutNumber, town: TownId) -> bool {
        let last = self.ends.get(&town).and_then(|end| end.operation);
        self.rollouts.turns.iter().any(|((of, _, touched), turn)| {
            let is_near = *of == rollout || of.get() == rollout.get() - 1;
            let is_last = turn.operation.is_some() && turn.operation == last;
            is_near && *touched == town && is_last && turn.outcome == Some(TouchOutcome::Failed)
        })
    }

    fn next_count(&self, town: TownId, now: DateTime<Utc>, limits: &HealthLimits) -> RestartCount {
        let health = self.records.health_of(town);
        RestartCount::with_one_more(health.restarts, health.window_started_at, now, limits)
    }

    fn touch(&mut self, touch: &Touch, now: DateTime<Utc>) -> Touched {
        let found = self.rollouts.all.iter().find(|rollout| rollout.number == touch.rollout).cloned();
        let is_driven = |it: &Rollout| it.state.is_driven() && it.state.pass() == touch.pass;
        let Some(rollout) = found.filter(is_driven) else { return Touched::Over };
        if self.unavailable(touch.rollout) >= u32::from(rollout.max_unavailable.get()) {
            return Touched::Over;
        }
        let status = self.towns.get(&touch.town).map(|town| town.status);
        let is_running = status == Some(TownStatus::Running);
        let was_stopped = status == Some(TownStatus::Stopped) && self.was_stopped(touch.rollout, touch.town);
        let is_ready = match touch.restart.as_ref().map(|restart| restart.kind == OperationKind::Start) {
            Some(true) => was_stopped,
            Some(false) => is_running,
            None => is_running || was_stopped,
        };
        let key = (touch.rollout, ordered(touch.pass), touch.town);
        let count = self.next_count(touch.town, now, &touch.limits);
        let is_refused =
            touch.pass == RolloutPass::Out && (self.is_unhealthy(touch.town) || count.restarts > touch.limits.restarts);
        if !is_ready
            || self.operations.contains_key(&touch.town)
            || self.rollouts.turns.contains_key(&key)
            || is_refused
        {
            return Touched::Refused;
        }
        let skipped = touch.restart.is_none();
        let turn = Turn {
            operation: touch.restart.as_ref().map(|restart| restart.id),
            outcome: skipped.then_some(TouchOutcome::Skipped),
            failure: None,
            ended_at: skipped.then_some(now),
        };
        self.rollouts.turns.insert(key, turn);
        let Some(restart) = &touch.restart else { return Touched::Accepted };
        self.records.count_rollout_restart(touch.town, count, now);
        let progress = Progress { rollout: Some(touch.rollout.get()), ..Progress::default() };
        self.insert_operation(restart, 0, progress, now);
        self.rollouts.restarts.push((touch.rollout, touch.pass, touch.town));
        let in_flight = self.operations.values().filter(|row| {
            let is_turn = row.operation.kind == OperationKind::Restart || row.operation.kind == OperationKind::Start;
            is_turn && row.operation.progress.rollout == Some(touch.rollout.get())
        });
        let in_flight = in_flight.count();
        let most = self.rollouts.most.entry(touch.rollout).or_default();
        *most = in_flight.max(*most);
        Touched::Accepted
    }

    fn failed_touch(&self, town: TownId, failure: Option<&str>) -> FailedTouch {
        let name = self.towns[&town].name.to_string();
        FailedTouch { town, name, failure: failure.map(Recorded::read) }
    }

    fn last_failure(&self, rollout: &Rollout) -> Option<FailedTouch> {
        let pass = ordered(rollout.state.pass());
        let turns = self.rollouts.turns.iter().filter(|((of, in_pass, _), turn)| {
            (*of, *in_pass) == (rollout.number, pass) && turn.outcome == Some(TouchOutcome::Failed)
        });
        let ((.., town), turn) = turns.max_by_key(|(_, turn)| turn.ended_at)?;
        Some(self.failed_touch(*town, turn.failure.as_deref()))
    }

    fn stuck(&self, rollout: &Rollout, now: DateTime<Utc>) -> Option<FailedTouch> {
        let pass = ordered(rollout.state.pass());
        let late = self
            .rollouts
            .turns
            .iter()
            .filter(|((of, in_pass, _), turn)| (*of, *in_pass) == (rollout.number, pass) && turn.outcome.is_none());
        let mut late = late.filter_map(|((.., town), turn)| {
            let row = self.operations.get(town).filter(|row| Some(row.operation.id) == turn.operation)?;
            (row.operation.deadline_at? <= now).then_some((*town, row.operation.last_error.clone()))
        });
        let (town, failure) = late.next()?;
        Some(self.failed_touch(town, failure.as_ref().map(Recorded::as_str)))
    }
}

fn observe(rows: &mut Rows, setting: &ImageRef, limits: &RolloutLimits, now: DateTime<Utc>) -> Option<ObservedRollout> {
    let row = rows.rollouts.all.last_mut().filter(|last| last.state.is_active())?;
    row.setting.get_or_insert_with(|| setting.clone());
    let rollout = row.clone();
    rows.end_turns(&rollout, now);
    rows.fail_unhealthy(&rollout, now - limits.soak);
    let unavailable = rows.unavailable(rollout.number);
    let free = u32::from(rollout.max_unavailable.get()).saturating_sub(unavailable).max(1);
    let waiting: Vec<_> = rows.towns.values().filter(|town| rows.is_waiting(&rollout, town)).collect();
    let is_ready = |town: &&&Town| {
        let is_capped = rollout.state.pass() == RolloutPass::Out
            && rows.next_count(town.id, now, &limits.health).restarts > limits.health.restarts;
        !rows.operations.contains_key(&town.id) && !is_capped
    };
    let ready_town = |town: &&Town| ReadyTown {
        town: town.id,
        owner: town.owner.clone(),
        was_stopped: town.status == TownStatus::Stopped,
    };
    let ready: Vec<ReadyTown> = waiting.iter().filter(is_ready).take(free as usize).map(ready_town).collect();
    let pass = ordered(rollout.state.pass());
    let ends = rows.rollouts.turns.iter().filter(|((of, in_pass, _), turn)| {
        (*of, *in_pass) == (rollout.number, pass) && turn.outcome != Some(TouchOutcome::Skipped)
    });
    let since_last = ends.filter_map(|(_, turn)| turn.ended_at).max().map(|at| (now - at).to_std().unwrap_or_default());
    Some(ObservedRollout {
        counts: rows.counts(rollout.number, rollout.state.pass()),
        unavailable,
        ready: if rollout.state.is_driven() { ready } else { Vec::new() },
        has_waiting: !waiting.is_empty(),
        since_last,
        last_failure: rows.last_failure(&rollout),
        stuck: rows.stuck(&rollout, now),
        rollout,
    })
}

#[async_trait]
impl Rollouts for Connection {
    async fn deciding(&self, town: TownId) -> Result<Option<Rollout>, StoreError> {
        self.query(Query::DecidingRollout, |rows, _| {
            let including = rows.rollouts.all.iter().rev().filter(|rollout| rollout.percent.includes(town));
            Ok(deciding_rollout(including).cloned())
        })
        .await
    }

    async fn start(&self, rollout: &NewRollout, _actor: &str) -> Result<RolloutChanged, StoreError> {
        Ok(self.store.rows().start_rollout(rollout, self.store.clock.now()))
    }

    async fn order(&self, order: RolloutOrder, _actor: &str) -> Result<RolloutChanged, StoreError> {
        Ok(self.store.rows().order_rollout(order))
    }

    /// Only the operator's commands read it.
    async fn report(&self) -> Result<Option<RolloutReport>, StoreError> {
        Ok(None)
    }

    async fn is_active(&self) -> Result<bool, StoreError> {
        let is_active = |rows: &mut Rows| rows.rollouts.all.last().is_some_and(|last| last.state.is_active());
        self.query(Query::ActiveRollout, |rows, _| Ok(is_active(rows))).await
    }

    async fn observe(&self, setting: &ImageRef, limits: &RolloutLimits) -> Result<Option<ObservedRollout>, StoreError> {
        self.query(Query::ObserveRollout, |rows, now| Ok(observe(rows, setting, limits, now))).await
    }

    async fn touch(&self, touch: &Touch) -> Result<Touched, StoreError> {
        self.query(Query::TouchTown, |rows, now| Ok(rows.touch(touch, now))).await
    }

    async fn conclude(&self, rollout: RolloutNumber, end: &RolloutEnd) -> Result<bool, StoreError> {
        self.query(Query::ConcludeRollout, |rows, now| {
            let row = rows.rollouts.all.iter_mut().find(|row| row.number == rollout && row.state == end.from);
            let Some(row) = row else { return Ok(false) };
            (row.state, row.reason) = (end.to, end.reason.clone());
            row.ended_at = (!end.to.is_active()).then_some(now);
            Ok(true)
        })
        .await
    }
}

//! Waiting calls in turns by user: each user's calls in order of arrival, one of each user at a time.

use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::Notify, time::Instant};

/// The user whose turn a call takes. Calls without a user share one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn(Option<Arc<str>>);

impl Turn {
    pub(crate) fn of(user: &str) -> Self {
        Self(Some(user.into()))
    }
}

/// Identifies a waiting call.
pub(super) type Ticket = u64;

/// A waiting call.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) since: Instant,
    /// Signalled when the call becomes the first of its queue.
    pub(super) is_first: Arc<Notify>,
}

/// The waiting calls of one priority. The first user is the next to have a call admitted. No user is without calls.
#[derive(Debug, Default)]
pub(super) struct Turns(VecDeque<(Turn, VecDeque<Waiter>)>);

impl Turns {
    /// Returns the number of waiting calls.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|(_, calls)| calls.len()).sum()
    }

    /// Returns the call that is admitted next.
    pub(super) fn first(&self) -> Option<&Waiter> {
        self.0.front().and_then(|(_, calls)| calls.front())
    }

    /// Returns the time at which the oldest waiting call arrived.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.0.iter().filter_map(|(_, calls)| calls.front()).map(|waiter| waiter.since).min()
    }

    /// Appends a call to those of its user. A new user has its turn after all others.
    pub(super) fn push(&mut self, waiter: Waiter, turn: &Turn) {
        match self.0.iter_mut().find(|(known, _)| known == turn) {
            Some((_, calls)) => calls.push_back(waiter),
            None => self.0.push_back((turn.clone(), VecDeque::from([waiter]))),
        }
    }

    /// Removes the first call, which was admitted. The turn passes to the next user.
    pub(super) fn admit(&mut self) {
        if let Some((turn, mut calls)) = self.0.pop_front() {
            calls.pop_front();
            if !calls.is_empty() {
                self.0.push_back((turn, calls));
            }
        }
    }

    /// Removes a call that gave up. Safe to repeat.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        for (_, calls) in &mut self.0 {
            calls.retain(|waiter| waiter.ticket != ticket);
        }
        self.0.retain(|(_, calls)| !calls.is_empty());
    }

    /// Returns the number of calls that are admitted before a new call of this user.
    pub(super) fn before_new(&self, turn: &Turn) -> usize {
        let user = self.0.iter().position(|(known, _)| known == turn);
        let own = user.map_or(0, |at| self.0[at].1.len());
        self.before(user.unwrap_or(self.0.len()), own)
    }

    /// Returns the number of calls that are admitted before a waiting one.
    pub(super) fn before_waiting(&self, ticket: Ticket) -> Option<usize> {
        let place = |calls: &VecDeque<Waiter>| calls.iter().position(|waiter| waiter.ticket == ticket);
        let (user, own) = self.0.iter().enumerate().find_map(|(at, (_, calls))| Some((at, place(calls)?)))?;
        Some(self.before(user, own))
    }

    /// Counts the calls before the one that follows `own` calls of the user at this place.
    fn before(&self, user: usize, own: usize) -> usize {
        let others = self.0.iter().enumerate().filter(|(at, _)| *at != user);
        own + others.map(|(at, (_, calls))| calls.len().min(own + usize::from(at < user))).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(ticket: Ticket) -> Waiter {
        Waiter { ticket, since: Instant::now(), is_first: Arc::default() }
    }

    /// Returns a queue with these calls. A ticket's hundreds are its user.
    fn queue(tickets: &[Ticket]) -> Turns {
        let mut turns = Turns::default();
        for ticket in tickets {
            turns.push(waiter(*ticket), &user(ticket / 100));
        }
        turns
    }

    fn user(number: u64) -> Turn {
        Turn::of(&number.to_string())
    }

    fn admitted(mut turns: Turns) -> Vec<Ticket> {
        let next = |turns: &mut Turns| {
            let ticket = turns.first()?.ticket;
            turns.admit();
            Some(ticket)
        };
        std::iter::from_fn(|| next(&mut turns)).collect()
    }

    #[test]
    fn users_take_turns_and_each_users_calls_keep_their_order() {
        assert_eq!(admitted(queue(&[101, 102, 103, 104, 201, 301, 302])), [101, 201, 301, 102, 302, 103, 104]);
        let mut turns = queue(&[101, 102, 103]);
        turns.admit();
        turns.push(waiter(201), &user(2));
        assert_eq!(admitted(turns), [102, 201, 103]);
    }

    #[test]
    fn a_call_that_gives_up_leaves_the_turns_of_others() {
        let mut turns = queue(&[101, 102, 201, 202, 301]);
        for ticket in [101, 201, 301, 301] {
            turns.remove(ticket);
        }
        assert_eq!((turns.len(), admitted(turns)), (2, vec![102, 202]));
    }

    #[test]
    fn calls_before_another_are_those_that_are_admitted_before_it() {
        let tickets = [101, 102, 103, 201, 301, 302, 303, 202];
        let order = admitted(queue(&tickets));
        for ticket in tickets {
            let place = order.iter().position(|admitted| *admitted == ticket);
            assert_eq!(queue(&tickets).before_waiting(ticket), place, "{ticket}");
        }
        assert_eq!(queue(&tickets).before_waiting(999), None);
        for new in [199, 299, 399, 499] {
            let mut with_new = queue(&tickets);
            with_new.push(waiter(new), &user(new / 100));
            let place = admitted(with_new).iter().position(|admitted| *admitted == new);
            assert_eq!(Some(queue(&tickets).before_new(&user(new / 100))), place, "{new}");
        }
    }
}

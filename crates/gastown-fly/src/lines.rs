//! `Lines` on Fly.

use gastown_domain::ports::{Action, Line, Lines};

use crate::{QueueStats, api, fly::Fly};

impl Lines for Fly {
    fn lines(&self) -> Vec<Line> {
        self.client.queue_stats().into_iter().map(line).collect()
    }
}

fn line(queue: QueueStats) -> Line {
    let QueueStats { action, subject, foreground, background, waited, remaining } = queue;
    Line { action: in_the_domains_words(action), subject, foreground, background, waited, ahead: remaining }
}

fn in_the_domains_words(action: api::Action) -> Action {
    match action {
        api::Action::CreateApp | api::Action::GetApp | api::Action::ListApps => Action::EnsureApp,
        api::Action::CreateMachine => Action::CreateMachine,
        api::Action::GetMachine => Action::ReadMachine,
        api::Action::ListMachines => Action::ListMachines,
        api::Action::UpdateMachine => Action::UpdateMachine,
        api::Action::DestroyMachine => Action::DeleteMachine,
        api::Action::StartMachine => Action::StartMachine,
        api::Action::StopMachine => Action::StopMachine,
        api::Action::WaitMachine => Action::AwaitMachine,
        api::Action::CreateVolume => Action::CreateVolume,
        api::Action::GetVolume => Action::ReadVolume,
        api::Action::ListVolumes => Action::ListVolumes,
        api::Action::DestroyVolume => Action::DeleteVolume,
    }
}

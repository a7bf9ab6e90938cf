//! `Lines` on Fly.

use gastown_domain::ports::{Action, Line, Lines};

use crate::{api, fly::Fly, rate_limit::Queue};

impl Lines for Fly {
    fn lines(&self) -> Vec<Line> {
        self.client.queues().into_iter().map(line).collect()
    }
}

fn line(queue: Queue) -> Line {
    let Queue { action, subject, foreground, background, longest, ahead } = queue;
    Line { action: in_the_domains_words(action), subject, foreground, background, waited: longest, ahead }
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

//! The rollouts of before: which of them decides the image of a town, and which shares may follow. Pure.

use super::{Percent, Rollout, RolloutPass};
use crate::ImageRef;

/// Returns the rollout that decides the image of a town. `including` are the rollouts that include it, newest first.
///
/// A rollout that is undone takes its image back, also where an earlier rollout brought the same one. So the shares of one
/// image are undone as one, and the town gets the image that it had before the first of them. A replaced rollout counts as undone.
pub fn deciding_rollout<'a>(including: impl IntoIterator<Item = &'a Rollout>) -> Option<&'a Rollout> {
    let mut taken_back = Vec::new();
    for rollout in including {
        match rollout.state.pass() {
            RolloutPass::Back => taken_back.push(&rollout.image),
            RolloutPass::Out if taken_back.contains(&&rollout.image) => {}
            RolloutPass::Out => return Some(rollout),
        }
    }
    None
}

/// Returns a rollout that gives this image to a town outside of the share. `all` are the rollouts, newest first.
///
/// Such a share is refused. It would give the image to no other town, and its undo would leave the image to the towns outside.
pub fn greater_share<'a>(image: &ImageRef, percent: Percent, all: &'a [Rollout]) -> Option<&'a Rollout> {
    // An active rollout of another image is ended before the new one begins.
    let remaining = || all.iter().filter(|rollout| !rollout.state.is_active() || rollout.image == *image);
    let beyond = (percent.get() + 1..=Percent::ALL.get()).rev().map(Percent);
    let mut deciding =
        beyond.filter_map(|share| deciding_rollout(remaining().filter(|rollout| share <= rollout.percent)));
    deciding.find(|rollout| rollout.image == *image)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::rollout::tests::rollout;
    use crate::{RolloutNumber, RolloutState};

    /// Returns the rollouts of a text such as `A50 finished, B100 undone`, oldest first, as a list that begins with the newest.
    fn rollouts(text: &str) -> Vec<Rollout> {
        let read = |(number, text): (i64, &str)| {
            let (what, state) = text.split_once(' ').unwrap();
            Rollout {
                number: RolloutNumber::new(number),
                image: image(&what[..1]),
                percent: what[1..].parse().unwrap(),
                ..rollout(state.parse().unwrap(), Some("old"))
            }
        };
        let mut all: Vec<_> = (1..).zip(text.split(", ")).map(read).collect();
        all.reverse();
        all
    }

    fn image(name: &str) -> ImageRef {
        format!("registry.example/town:{name}").parse().unwrap()
    }

    fn name(image: &ImageRef) -> &str {
        image.as_str().rsplit(':').next().unwrap()
    }

    /// The histories of the tables, oldest first.
    const HISTORIES: [&str; 20] = [
        "A50 running",
        "A50 finished, A100 running",
        "A50 finished, A100 paused",
        "A50 finished, A100 finished",
        "A50 finished, A100 undoing",
        "A50 finished, A100 undo_paused",
        "A50 finished, A100 undone",
        "A10 finished, A50 finished, A100 undone",
        // The first one was paused and replaced.
        "A50 undone, A100 undone",
        "A50 finished, A100 undone, A50 running",
        "A50 finished, A100 undone, A50 undone",
        "B100 finished, A50 finished, A100 undone",
        "B50 finished, A50 finished, A100 undone",
        "A100 finished, B100 finished, A100 undone",
        "A100 finished, B50 finished, A100 undone",
        "A100 finished, B100 undone",
        "A50 finished, B100 undone, A100 undone",
        "A100 finished, B50 undone, A100 undone",
        // The second one was paused and replaced.
        "A50 finished, A100 undone, B100 undone",
        "A100 finished, B50 finished, B50 undone",
    ];

    /// One row per history; the columns are a town in each share. `-` is the image of the settings.
    #[test]
    fn deciding_rollouts_match_the_reviewed_table() {
        let mut table = format!("{:<45} {:<6} {:<6} {:<6}\n", "rollouts, oldest first", "10%", "50%", "100%");
        for history in HISTORIES {
            let all = rollouts(history);
            let [low, half, high] = [10, 50, 100].map(|share| {
                let including = all.iter().filter(|rollout| Percent(share) <= rollout.percent);
                deciding_rollout(including)
                    .map_or_else(|| "-".to_owned(), |it| format!("{}, {}", name(&it.image), it.number))
            });
            writeln!(table, "{}", format!("{history:<45} {low:<6} {half:<6} {high:<6}").trim_end()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    /// One row per history; the columns are new shares of the image A. A number is that of the rollout that refuses it.
    #[test]
    fn smaller_shares_are_refused_as_the_reviewed_table_says() {
        let mut table = format!("{:<45} {:<6} {:<6} {:<6}\n", "rollouts, oldest first", "A10", "A50", "A100");
        for history in HISTORIES.into_iter().chain(["A50 finished, B50 paused", "A100 finished, B10 finished"]) {
            let all = rollouts(history);
            let cells = [10, 50, 100].map(|share| {
                let refusing = greater_share(&image("A"), Percent(share), &all);
                refusing.map_or_else(|| "ok".to_owned(), |rollout| rollout.number.to_string())
            });
            let [low, half, high] = cells;
            writeln!(table, "{}", format!("{history:<45} {low:<6} {half:<6} {high:<6}").trim_end()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    /// An undo leaves no town its image, if no smaller share was started.
    #[test]
    fn an_undone_image_is_left_to_no_town_whose_shares_only_grew() {
        let states = [RolloutState::Finished, RolloutState::Undone];
        let shares = ["A50", "A100", "B50", "B100"];
        let steps: Vec<_> =
            shares.iter().flat_map(|share| states.map(|state| format!("{share} {}", state.as_str()))).collect();
        let mut histories = vec![String::new()];
        let mut checked = 0;
        for _ in 0..4 {
            let longer = histories.iter().flat_map(|before| {
                steps.iter().map(move |step| if before.is_empty() { step.clone() } else { format!("{before}, {step}") })
            });
            histories = longer.filter(|history| starts_in_order(history)).collect();
            for history in histories.iter().filter(|history| history.ends_with("undone")) {
                let all = rollouts(history);
                for share in [50, 100].map(Percent) {
                    let deciding = deciding_rollout(all.iter().filter(|rollout| share <= rollout.percent));
                    assert_ne!(deciding.map(|rollout| &rollout.image), Some(&all[0].image), "{history} {share:?}");
                }
                checked += 1;
            }
        }
        assert!(checked > 500, "{checked}");
    }

    /// Returns true if the last rollout of a history could be started after those before it.
    fn starts_in_order(history: &str) -> bool {
        let all = rollouts(history);
        greater_share(&all[0].image, all[0].percent, &all[1..]).is_none()
    }
}

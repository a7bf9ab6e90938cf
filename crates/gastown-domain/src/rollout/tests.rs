use std::fmt::Write as _;

use uuid::Uuid;

use super::*;

fn image(tag: &str) -> ImageRef {
    format!("registry.example/town:{tag}").parse().unwrap()
}

pub(super) fn rollout(state: RolloutState, setting: Option<&str>) -> Rollout {
    Rollout {
        number: RolloutNumber::new(1),
        image: image("new"),
        setting: setting.map(image),
        percent: Percent::ALL,
        only_stopped: false,
        max_unavailable: MaxUnavailable::DEFAULT,
        state,
        reason: None,
        known_failures: 0,
        started_by: "root".to_owned(),
        changed_by: "root".to_owned(),
        started_at: DateTime::UNIX_EPOCH,
        changed_at: DateTime::UNIX_EPOCH,
        ended_at: None,
    }
}

/// One row per state and setting of before; the settings name the image of before, the image of the rollout, or another one.
#[test]
fn images_match_the_reviewed_table() {
    let mut table = format!("{:<12} {:<8} {:<8} {:<8} {:<8}\n", "state", "before", "=old", "=new", "=other");
    for state in RolloutState::ALL {
        for before in [None, Some("old")] {
            let newest = rollout(state, before);
            let given = ["old", "new", "other"].map(|setting| {
                let setting = image(setting);
                let given = image_of_town(&setting, Some(&newest)).as_str();
                given.rsplit(':').next().unwrap().to_owned()
            });
            let [old, new, other] = given;
            let before = before.unwrap_or("-");
            writeln!(table, "{:<12} {before:<8} {old:<8} {new:<8} {other:<8}", state.as_str()).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn without_a_rollout_the_settings_decide() {
    assert_eq!(image_of_town(&image("old"), None), &image("old"));
}

/// One row per state, failures, unavailable towns, and what waits.
#[test]
fn next_steps_match_the_reviewed_table() {
    let mut table = String::new();
    for state in RolloutState::ALL {
        for (failed, known_failures) in [(0, 0), (1, 0), (1, 1), (2, 1)] {
            for unavailable in [0, 4, 5] {
                let cells = [(true, true), (false, true), (false, false)].map(|(has_ready, has_waiting)| {
                    [None, Some(Duration::from_secs(10)), Some(Duration::from_secs(60))].map(|since_last| {
                        let counts = TouchCounts { in_flight: unavailable, failed, ..TouchCounts::default() };
                        let facts = RolloutFacts {
                            state,
                            max_unavailable: MaxUnavailable::DEFAULT,
                            known_failures,
                            counts,
                            unavailable,
                            has_stuck: false,
                            has_ready,
                            has_waiting,
                            since_last,
                        };
                        format!("{:?}", next_rollout_step(&facts, Duration::from_secs(60)))
                    })
                });
                let cells = cells.map(|cells| cells.join("/"));
                writeln!(
                    table,
                    "{:<12} f{failed}/{known_failures} u{unavailable} ready: {}; busy: {}; none: {}",
                    state.as_str(),
                    cells[0],
                    cells[1],
                    cells[2]
                )
                .unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_restart_that_does_not_end_pauses_what_is_driven() {
    for state in RolloutState::ALL {
        let facts = RolloutFacts {
            state,
            max_unavailable: MaxUnavailable::DEFAULT,
            known_failures: 0,
            counts: TouchCounts { in_flight: 1, ..TouchCounts::default() },
            unavailable: 1,
            has_stuck: true,
            has_ready: true,
            has_waiting: true,
            since_last: None,
        };
        let step = next_rollout_step(&facts, Duration::from_secs(60));
        assert_eq!(step, if state.is_driven() { RolloutStep::Pause } else { RolloutStep::Wait });
    }
}

#[test]
fn states_change_as_the_reviewed_table_says() {
    let mut table = format!("{:<12} {:<12} {:<12} {:<12} {:<12}\n", "state", "pause", "resume", "undo", "end");
    let shown = |state: Option<RolloutState>| state.map_or("-", RolloutState::as_str);
    for state in RolloutState::ALL {
        let (paused, resumed, undone) = (shown(state.paused()), shown(state.resumed()), shown(state.undone()));
        let ended = state.ended().as_str();
        writeln!(table, "{:<12} {paused:<12} {resumed:<12} {undone:<12} {ended:<12}", state.as_str()).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn greater_shares_include_smaller_ones_and_agree_with_their_bound() {
    let towns: Vec<_> = (0..4000u128).map(|number| TownId::new(Uuid::from_u128(number << 116 | number))).collect();
    let mut before = 0;
    for percent in 1..=100u64 {
        let percent = Percent::try_from(percent).unwrap();
        let included = towns.iter().filter(|town| percent.includes(**town)).count();
        assert!(included >= before, "{percent:?}");
        for town in &towns {
            let is_below = percent.bound().is_none_or(|bound| *town < bound);
            assert_eq!(percent.includes(*town), is_below, "{percent:?} {town}");
        }
        before = included;
    }
    assert_eq!(before, towns.len());
    let half = towns.iter().filter(|town| Percent::try_from(50).unwrap().includes(**town)).count();
    assert!((1900..2100).contains(&half), "{half}");
}

#[test]
fn the_last_id_of_a_share_is_included_and_the_next_is_not() {
    for percent in [1, 10, 33, 99] {
        let percent = Percent::try_from(percent).unwrap();
        let bound = percent.bound().unwrap();
        let last = TownId::new(Uuid::from_u128(bound.as_uuid().as_u128() - 1));
        assert!(percent.includes(last) && !percent.includes(bound), "{percent:?}");
    }
    assert!(Percent::ALL.includes(TownId::new(Uuid::max())));
}

#[test]
fn shares_and_numbers_out_of_range_are_refused() {
    for raw in ["0", "101", "-1", "", "ten", "1.5"] {
        assert!(raw.parse::<Percent>().is_err(), "{raw:?}");
    }
    for raw in ["0", "501", "x"] {
        assert!(raw.parse::<MaxUnavailable>().is_err(), "{raw:?}");
    }
    assert_eq!("100".parse(), Ok(Percent::ALL));
    assert_eq!("500".parse::<MaxUnavailable>().map(MaxUnavailable::get), Ok(500));
}

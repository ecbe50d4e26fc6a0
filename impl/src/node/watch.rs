//! Says in the log which drives hang. That they fail, and that they are back, they say themselves and at once.

use crate::{
    object::{NO_ANSWER, Store, Survey},
    runtime::Rt,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How often the drives are asked.
const INTERVAL: Duration = Duration::from_secs(10);

/// What is known of a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Online,
    Silent,
    Offline,
}

/// What there is to say.
#[derive(Debug, PartialEq, Eq)]
enum News<'a> {
    Silent(&'a str),
    AnswersAgain(&'a str),
}

/// Watches the drives of `store` for as long as the process lives.
pub async fn watch(rt: Rt, store: Arc<Store>) {
    let mut known = states(&store.survey().await);
    loop {
        rt.sleep(INTERVAL).await;
        let survey = store.survey().await;
        let now = states(&survey);
        for news in changes(&known, &now, &survey) {
            match news {
                News::Silent(drive) => tracing::error!(drive, "the drive does not answer"),
                News::AnswersAgain(drive) => tracing::info!(drive, "the drive answers again"),
            }
        }
        known = now;
    }
}

/// Lines at the start about drives that share a device, and one about drives that do not serve and what that means.
pub fn report(survey: &Survey) {
    for (set, names) in sharing(survey) {
        let names = names.join(" ");
        tracing::warn!(
            set,
            names,
            "drives of one set are on one device: they fail together, and share its space"
        );
    }
    let health = survey.health();
    let offline = health.drives - health.drives_online;
    if offline == 0 {
        return;
    }
    let (drives, read_quorum, write_quorum) = (health.drives, health.read_quorum, health.write_quorum);
    let names = survey.drives().filter(|(_, _, drive)| drive.status.offline.is_some());
    let names: Vec<&str> = names.map(|(_, _, drive)| drive.status.path.as_str()).collect();
    let names = names.join(" ");
    match (health.readable, health.writable) {
        (_, true) => tracing::warn!(offline, drives, names, write_quorum, "started with drives offline"),
        (true, false) => {
            tracing::error!(
                offline,
                drives,
                names,
                write_quorum,
                "started with too few drives to write: read only"
            );
        }
        (false, false) => {
            tracing::error!(
                offline,
                drives,
                names,
                read_quorum,
                "started with too few drives to read"
            );
        }
    }
}

/// The drives of one set that are on one device, with the number of the set, from 1; those of every such device.
fn sharing(survey: &Survey) -> Vec<(usize, Vec<&str>)> {
    let mut devices: BTreeMap<(usize, u64), Vec<&str>> = BTreeMap::new();
    for (set, _, drive) in survey.drives() {
        if let Some(device) = drive.status.device {
            devices.entry((set, device)).or_default().push(&drive.status.path);
        }
    }
    let several = devices.into_iter().filter(|(_, names)| names.len() > 1);
    several.map(|((set, _), names)| (set + 1, names)).collect()
}

fn states(survey: &Survey) -> Vec<State> {
    let state = |reason: Option<&str>| match reason {
        None => State::Online,
        Some(reason) if reason.starts_with(NO_ANSWER) => State::Silent,
        Some(_) => State::Offline,
    };
    let reasons = survey.drives().map(|(_, _, drive)| drive.status.offline.as_deref());
    reasons.map(state).collect()
}

fn changes<'a>(known: &[State], now: &[State], survey: &'a Survey) -> Vec<News<'a>> {
    let paths = survey.drives().map(|(_, _, drive)| drive.status.path.as_str());
    let news = known
        .iter()
        .zip(now)
        .zip(paths)
        .filter_map(|((known, now), path)| match (known, now) {
            (State::Online | State::Offline, State::Silent) => Some(News::Silent(path)),
            (State::Silent, State::Online) => Some(News::AnswersAgain(path)),
            // The drive has said so itself.
            (_, State::Offline) | (State::Online | State::Offline, State::Online) | (State::Silent, State::Silent) => {
                None
            }
        });
    news.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drive::DriveStatus,
        object::{DriveSurvey, SetSurvey},
    };

    fn survey(reasons: &[Option<&str>]) -> Survey {
        let drive = |(number, reason): (usize, &Option<&str>)| DriveSurvey {
            status: DriveStatus {
                offline: reason.map(str::to_owned),
                ..DriveStatus::offline(format!("/d{number}"), String::new())
            },
            activity: None,
        };
        Survey {
            deployment: [0; 16],
            sets: vec![SetSurvey {
                drives: reasons.iter().enumerate().map(drive).collect(),
                readable: true,
                writable: true,
            }],
            set_size: 4,
            standard_parity: 2,
            reduced_parity: 1,
            read_quorum: 2,
            write_quorum: 3,
            buckets: Some(0),
        }
    }

    #[test]
    fn drives_on_one_device_are_found() {
        let mut survey = survey(&[None, None, None, Some("lost"), None]);
        for (drive, device) in survey.sets[0].drives.iter_mut().zip([7, 8, 7, 7, 9]) {
            drive.status.device = drive.status.offline.is_none().then_some(device);
        }
        assert_eq!(sharing(&survey), [(1, vec!["/d0", "/d2"])]);
        let mut other = survey.sets[0].clone();
        other.drives.truncate(1);
        survey.sets.push(other);
        assert_eq!(
            sharing(&survey),
            [(1, vec!["/d0", "/d2"])],
            "another set may fail with it"
        );
    }

    #[test]
    fn only_what_a_drive_cannot_say_itself_is_news() {
        let (silent, failed) = (Some("it does not answer: read of /d/f"), Some("its index failed"));
        let news = |before: &[Option<&str>; 4], after: &[Option<&str>; 4]| {
            let after = survey(after);
            format!("{:?}", changes(&states(&survey(before)), &states(&after), &after))
        };
        let before = [None, None, silent, failed];
        assert_eq!(news(&before, &before), "[]");
        assert_eq!(news(&before, &[silent, failed, failed, failed]), "[Silent(\"/d0\")]");
        assert_eq!(news(&before, &[None, None, None, None]), "[AnswersAgain(\"/d2\")]");
    }
}

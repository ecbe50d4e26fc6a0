//! Says in the log which drives hang. That they fail, and that they are back, they say themselves and at once.

use crate::{
    runtime::Rt,
    store::{DriveState, Store, Survey},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Interval of asking the drives.
const INTERVAL: Duration = Duration::from_secs(10);

/// Change of a drive's state to log.
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
    let names = survey.drives().filter(|(_, _, drive)| !drive.status.is_online());
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
    let mut devices: BTreeMap<(usize, usize, u64), Vec<&str>> = BTreeMap::new();
    for (set, _, drive) in survey.drives() {
        if let Some(device) = drive.status.device {
            devices
                .entry((set, drive.node, device))
                .or_default()
                .push(&drive.status.path);
        }
    }
    let several = devices.into_iter().filter(|(_, names)| names.len() > 1);
    several.map(|((set, ..), names)| (set + 1, names)).collect()
}

fn states(survey: &Survey) -> Vec<DriveState> {
    survey
        .drives()
        .map(|(_, _, drive)| drive.status.state.clone())
        .collect()
}

fn changes<'a>(known: &[DriveState], now: &[DriveState], survey: &'a Survey) -> Vec<News<'a>> {
    let paths = survey.drives().map(|(_, _, drive)| drive.status.path.as_str());
    let news = known
        .iter()
        .zip(now)
        .zip(paths)
        .filter_map(|((known, now), path)| match (known, now) {
            (DriveState::Silent { .. }, DriveState::Silent { .. }) => None,
            (_, DriveState::Silent { .. }) => Some(News::Silent(path)),
            (DriveState::Silent { .. }, DriveState::Online) => Some(News::AnswersAgain(path)),
            // The drive has said so itself.
            (_, DriveState::Offline(_)) | (DriveState::Online | DriveState::Offline(_), DriveState::Online) => None,
        });
    news.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Call, DriveStatus, DriveSurvey, SetSurvey};

    fn survey(states: &[DriveState]) -> Survey {
        let drive = |(number, state): (usize, &DriveState)| DriveSurvey {
            node: 0,
            status: DriveStatus::without_space(format!("/d{number}"), state.clone()),
            activity: None,
        };
        Survey {
            deployment: [0; 16],
            sets: vec![SetSurvey {
                drives: states.iter().enumerate().map(drive).collect(),
                readable: true,
                writable: true,
            }],
            set_size: 4,
            standard_parity: 2,
            reduced_parity: 1,
            read_quorum: 2,
            write_quorum: 3,
            buckets: Some(0),
            nodes: Vec::new(),
            own: 0,
            traffic: (0, 0),
        }
    }

    #[test]
    fn drives_on_one_device_are_found() {
        let (online, lost) = (DriveState::Online, DriveState::Offline("lost".to_owned()));
        let mut survey = survey(&[online.clone(), online.clone(), online.clone(), lost, online]);
        for (drive, device) in survey.sets[0].drives.iter_mut().zip([7, 8, 7, 7, 9]) {
            drive.status.device = drive.status.is_online().then_some(device);
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
        let silent = |secs| {
            let (what, path, time) = ("read".into(), "/d/f".to_owned(), Duration::from_secs(secs));
            let call = (secs > 0).then_some(Call { what, path, time });
            DriveState::Silent { call }
        };
        let failed = || DriveState::Offline("its index failed".to_owned());
        let online = || DriveState::Online;
        let news = |before: &[DriveState; 4], after: &[DriveState; 4]| {
            let after = survey(after);
            format!("{:?}", changes(&states(&survey(before)), &states(&after), &after))
        };
        let before = [online(), online(), silent(3), failed()];
        assert_eq!(news(&before, &before), "[]");
        let after = [silent(0), failed(), silent(13), failed()];
        assert_eq!(news(&before, &after), "[Silent(\"/d0\")]");
        let after = [online(), online(), online(), online()];
        assert_eq!(news(&before, &after), "[AnswersAgain(\"/d2\")]");
    }
}

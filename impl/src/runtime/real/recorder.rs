//! A recorder that writes a file: one event a line, as JSON.

use crate::runtime::Recorder;
use model::trace::{Entry, Event};
use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Writes events to a file, each in one write, so that whatever ends the process leaves whole lines but the last.
pub(super) struct FileRecorder {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// `None` once a write has failed: a trace with a hole would only mislead.
    file: Option<File>,
    sequence: u64,
}

impl FileRecorder {
    /// Begins a file, or goes on with the one that the last process left.
    pub(super) fn open(path: &Path) -> io::Result<FileRecorder> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(false).read(true).write(true).open(path)?;
        let (mut sequence, mut end) = (0, 0);
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            (sequence, end) = (sequence + 1, end + line.len() as u64);
            line.clear();
        }
        file.set_len(end)?;
        file.seek(io::SeekFrom::End(0))?;
        let file = Some(file);
        Ok(FileRecorder {
            path: path.to_owned(),
            state: Mutex::new(State { file, sequence }),
        })
    }
}

impl Recorder for FileRecorder {
    fn record(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { file, sequence } = &mut *state;
        let Some(open) = file else { return };
        let entry = Entry {
            sequence: *sequence + 1,
            node: 0,
            event,
        };
        let line = serde_json::to_vec(&entry).map_err(io::Error::from);
        let written = line.and_then(|mut line| {
            line.push(b'\n');
            open.write_all(&line)
        });
        match written {
            Ok(()) => *sequence += 1,
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%path, %error, "the trace ends here: it cannot be written");
                *file = None;
            }
        }
    }
}

impl fmt::Debug for FileRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileRecorder({})", self.path.display())
    }
}

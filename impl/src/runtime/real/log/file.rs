//! A log file that is rotated by size, and reopened when it was renamed.

use super::LogSink;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Mode of the file: its owner and group may read it. Paths and access keys of requests are in it.
const MODE: u32 = 0o640;

/// A file of whole lines. Before a line would make it larger than it may be, it becomes `FILE.1`, `FILE.1` becomes
/// `FILE.2`, and so on; the oldest is dropped.
pub struct LogFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// A line that would make it longer goes into the next file.
    bytes_max: u64,
    /// Rotated files that are kept.
    count: u32,
    /// The last byte written ended a line.
    at_line: bool,
}

impl LogFile {
    /// Opens the file, and goes on with what is in it. `bytes_max` 0 means that it is never rotated.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub fn open(path: &Path, bytes_max: u64, count: u32) -> io::Result<LogFile> {
        let (file, len) = open(path)?;
        Ok(LogFile {
            path: path.to_owned(),
            file,
            len,
            bytes_max: if bytes_max == 0 { u64::MAX } else { bytes_max },
            count: count.max(1),
            at_line: true,
        })
    }

    /// Returns how much of `bytes` still fits: whole lines. 0 if it is time to rotate.
    fn fitting(&self, bytes: &[u8]) -> usize {
        let room = usize::try_from(self.bytes_max.saturating_sub(self.len)).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return bytes.len();
        }
        let end_of_line = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        match end_of_line(&bytes[..room]) {
            Some(end) => end,
            // Rotating would tear a line, or make an empty file: the line is longer than the file may be.
            None if !self.at_line || self.len == 0 => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                end.map_or(bytes.len(), |at| at + 1)
            }
            None => 0,
        }
    }

    /// Begins a new file. If that fails, the next attempt comes after another `bytes_max` bytes in it.
    fn rotate(&mut self) {
        let rotated = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.count).rev() {
            // A gap in the row is nothing bad; any other error comes again with the next one.
            drop(fs::rename(rotated(number), rotated(number + 1)));
        }
        let renamed = match fs::rename(&self.path, rotated(1)) {
            // Somebody has moved it away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        };
        match renamed.and_then(|()| open(&self.path)) {
            Ok((file, len)) => (self.file, self.len) = (file, len),
            Err(error) => {
                self.len = 0;
                let path = self.path.display();
                tracing::error!(%path, %error, "cannot rotate the log file; it goes on growing");
            }
        }
    }
}

impl LogSink for LogFile {
    fn reopen(&mut self) {
        match open(&self.path) {
            Ok((file, len)) => (self.file, self.len, self.at_line) = (file, len, true),
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%path, %error, "cannot reopen the log file; the one before stays in use");
            }
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut count = self.fitting(bytes);
        if count == 0 {
            self.rotate();
            count = self.fitting(bytes);
        }
        let written = self.file.write(&bytes[..count.max(1)])?;
        self.len += written as u64;
        self.at_line = bytes[..written].ends_with(b"\n");
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(folder)
            .expect("listed")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let text = fs::read_to_string(entry.path()).expect("read");
                (entry.file_name().into_string().expect("a name"), text)
            })
            .collect();
        found.sort();
        found
    }

    fn check(folder: &Path, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        assert_eq!(files(folder), expected);
    }

    #[test]
    fn it_is_rotated_between_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        fs::write(&path, "old\n").expect("written");
        let mut file = LogFile::open(&path, 10, 2).expect("opens");
        file.write_all(b"a\nbcd\n").expect("written");
        check(folder.path(), &[("log", "old\na\nbcd\n")]);
        file.write_all(b"efg\nhij\nklm\n").expect("written");
        check(
            folder.path(),
            &[("log", "klm\n"), ("log.1", "efg\nhij\n"), ("log.2", "old\na\nbcd\n")],
        );
        // Longer than a file may be: it has one for itself. The oldest is gone.
        file.write_all(b"0123456789012345\nn\n").expect("written");
        check(
            folder.path(),
            &[("log", "n\n"), ("log.1", "0123456789012345\n"), ("log.2", "klm\n")],
        );
    }

    #[test]
    fn without_a_size_it_only_grows() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = LogFile::open(&folder.path().join("log"), 0, 0).expect("opens");
        for _ in 0..1000 {
            file.write_all(b"0123456789\n").expect("written");
        }
        assert_eq!(files(folder.path()).len(), 1);
    }

    #[test]
    fn a_renamed_file_is_written_to_until_it_is_reopened() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
        let mut file = LogFile::open(&path, 100, 1).expect("opens");
        file.write_all(b"one\n").expect("written");
        fs::rename(&path, &moved).expect("renamed");
        file.write_all(b"two\n").expect("written");
        file.reopen();
        file.write_all(b"three\n").expect("written");
        check(folder.path(), &[("log", "three\n"), ("moved", "one\ntwo\n")]);
    }

    #[test]
    fn what_cannot_be_rotated_or_reopened_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let within = folder.path().join("logs");
        fs::create_dir(&within).expect("made");
        let mut file = LogFile::open(&within.join("log"), 8, 1).expect("opens");
        fs::remove_dir_all(&within).expect("removed");
        for _ in 0..10 {
            file.reopen();
            file.write_all(b"01234\n").expect("written");
        }
        assert_eq!(files(folder.path()), []);
        assert!(LogFile::open(&within.join("log"), 8, 1).is_err());
    }
}

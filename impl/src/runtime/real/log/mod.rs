//! Log lines on their way out: a bounded queue, and one thread that writes what is in it.
//!
//! Whoever logs appends to a buffer in memory and never waits for a descriptor. The reader of standard error may have
//! gone away, it may sleep, or the disk may be full: lines are lost and counted then, and nothing else happens.

mod file;

pub use file::LogFile;

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// Pause before the next attempt at a descriptor that another process has made non-blocking and that is full.
const RETRY: Duration = Duration::from_millis(20);

/// A buffer of more bytes than this is given back to the allocator after it was written.
const KEPT_BYTES: usize = 64 << 10;

/// Destination of lines. Its writes may block for any time.
pub trait LogSink: Write + Send + 'static {
    /// Opens what is written to anew, after it was renamed. Does nothing unless it is a file.
    fn reopen(&mut self) {}
}

impl LogSink for io::Stderr {}

/// Told what becomes of lines that cannot be written.
pub trait LogLosses: Send + Sync + 'static {
    /// `lines` more are lost. Called by whoever logs: it must neither block nor log.
    fn lost(&self, lines: u64);
    /// Lines are written again; `lines` were lost since the last call. It may log.
    fn ended(&self, lines: u64);
}

/// A bounded queue of log lines. Cheap to clone.
#[derive(Clone)]
pub struct LogQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Signals the writer that `state` has work for it, and those in [`LogQueue::finish`] that it has ended.
    changed: Condvar,
    bytes_max: usize,
    losses: Box<dyn LogLosses>,
}

#[derive(Default)]
struct State {
    /// Whole lines that wait.
    lines: Vec<u8>,
    reopen: bool,
    closed: bool,
    /// The writer has written all that came before `closed`.
    finished: bool,
    /// Lines that were lost and that [`LogLosses::ended`] was not told of.
    untold: u64,
}

/// Next work of the writer.
struct Work {
    lines: Vec<u8>,
    reopen: bool,
    last: bool,
}

impl LogQueue {
    /// Starts the thread that writes to `sink`. At most `bytes_max` bytes of lines wait for it, and as many again are
    /// being written.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(mut sink: impl LogSink, bytes_max: usize, losses: impl LogLosses) -> io::Result<LogQueue> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            bytes_max,
            losses: Box::new(losses),
        });
        let queue = LogQueue(shared.clone());
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_to(&mut sink))?;
        Ok(queue)
    }

    /// Queues one event of one or more whole lines; it is lost if there is no room.
    pub fn push(&self, event: &[u8]) {
        let Shared {
            changed,
            bytes_max,
            losses,
            ..
        } = &*self.0;
        let mut state = self.0.lock();
        // What is larger than the whole queue goes through an empty one.
        if !state.lines.is_empty() && state.lines.len() + event.len() > *bytes_max {
            let lines = count_lines(event);
            state.untold += lines;
            drop(state);
            losses.lost(lines);
            return;
        }
        let writer_sleeps = state.lines.is_empty();
        state.lines.extend_from_slice(event);
        drop(state);
        if writer_sleeps {
            changed.notify_all();
        }
    }

    /// Has the sink reopened before the next line is written.
    pub fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.changed.notify_all();
    }

    /// Waits until all lines are written, for at most `limit`; returns whether they are. Later lines are never written.
    pub fn finish(&self, limit: Duration) -> bool {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let waited = self.0.changed.wait_timeout_while(state, limit, |state| !state.finished);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.finished
    }
}

/// Takes what a formatter writes: each call is one event.
impl Write for LogQueue {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.push(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's thread.
    fn write_to(&self, sink: &mut impl LogSink) {
        let mut buffer = Vec::new();
        // Whether the last line was cut off by an error.
        let mut torn = false;
        loop {
            let work = self.next(buffer);
            if work.reopen {
                sink.reopen();
            }
            let lost = write_lines(sink, &work.lines, &mut torn);
            if lost > 0 {
                self.lock().untold += lost;
                self.losses.lost(lost);
            } else if !work.lines.is_empty() {
                let untold = std::mem::take(&mut self.lock().untold);
                if untold > 0 {
                    self.losses.ended(untold);
                }
            }
            if work.last && self.lock().lines.is_empty() {
                break;
            }
            buffer = work.lines;
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        self.lock().finished = true;
        self.changed.notify_all();
    }

    /// Waits for something to do. `empty` takes the place of the lines that are taken out.
    fn next(&self, empty: Vec<u8>) -> Work {
        let state = self.lock();
        let idle = |state: &mut State| state.lines.is_empty() && !state.reopen && !state.closed;
        let mut state = self
            .changed
            .wait_while(state, idle)
            .unwrap_or_else(PoisonError::into_inner);
        Work {
            lines: std::mem::replace(&mut state.lines, empty),
            reopen: std::mem::take(&mut state.reopen),
            last: state.closed,
        }
    }
}

/// Writes whole lines and returns how many of them are lost. A line that was cut off stays so; `torn` carries that to
/// the next call, which ends it before it begins another.
fn write_lines(sink: &mut impl Write, lines: &[u8], torn: &mut bool) -> u64 {
    if *torn && !lines.is_empty() {
        if write_all(sink, b"\n").is_err() {
            return count_lines(lines);
        }
        *torn = false;
    }
    match write_all(sink, lines) {
        Ok(()) => 0,
        Err(written) => {
            *torn = written > 0 && !lines[..written].ends_with(b"\n");
            count_lines(&lines[written..])
        }
    }
}

/// Writes all of `bytes`, or returns how many were written before an error.
fn write_all(sink: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => return Err(written),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Writes `text` to standard output or error from a thread of its own and waits for that, for at most `limit`: a reader
/// that sleeps does not hold up the caller, one that has gone away is ignored.
pub fn write_within(limit: Duration, mut to: impl Write + Send + 'static, text: String) {
    let (done, ended) = mpsc::channel::<()>();
    let write = move || {
        let _done = done;
        // Nobody is left to be told.
        drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
    };
    // Without a thread nothing is written.
    if thread::Builder::new().name("output".to_owned()).spawn(write).is_ok() {
        ended.recv_timeout(limit).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const LONG: Duration = Duration::from_secs(60);

    /// Losses so far, and the losses that were told.
    #[derive(Default)]
    struct Losses {
        lost: AtomicU64,
        told: Mutex<Vec<u64>>,
    }

    impl LogLosses for Arc<Losses> {
        fn lost(&self, lines: u64) {
            self.lost.fetch_add(lines, Ordering::SeqCst);
        }

        fn ended(&self, lines: u64) {
            self.told.lock().expect("lock").push(lines);
        }
    }

    impl Losses {
        fn total(&self) -> u64 {
            self.lost.load(Ordering::SeqCst)
        }
    }

    /// A sink that writes what `room` says: so many bytes, or an error when there is none; it waits while there is no
    /// word.
    struct Scripted {
        room: mpsc::Receiver<usize>,
        left: usize,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl LogSink for Scripted {}

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.left == 0 {
                self.left = self.room.recv().unwrap_or(usize::MAX);
            }
            if self.left == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(self.left);
            self.left -= count;
            self.written.lock().expect("lock").extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        queue: LogQueue,
        losses: Arc<Losses>,
        room: mpsc::Sender<usize>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    fn bench(bytes_max: usize) -> Bench {
        let (room, script) = mpsc::channel();
        let (losses, written) = (Arc::<Losses>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let sink = Scripted {
            room: script,
            left: 0,
            written: written.clone(),
        };
        Bench {
            queue: LogQueue::start(sink, bytes_max, losses.clone()).expect("a thread"),
            losses,
            room,
            written,
        }
    }

    impl Bench {
        fn text(&self) -> String {
            String::from_utf8(self.written.lock().expect("lock").clone()).expect("text")
        }

        fn wait_for_loss(&self, lines: u64) {
            while self.losses.total() < lines {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn lines_come_out_in_their_order() {
        let bench = bench(1 << 20);
        for number in 0..1000 {
            bench.queue.push(format!("{number}\n").as_bytes());
        }
        bench.room.send(usize::MAX).expect("sent");
        assert!(bench.queue.finish(LONG));
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(bench.text(), expected);
        assert_eq!(bench.losses.total(), 0);
    }

    #[test]
    fn a_sink_that_hangs_holds_nobody_up() {
        let bench = bench(100);
        // The first is taken out by the writer, which hangs; ten fill the queue.
        bench.queue.push(b"first\n");
        while !bench.queue.0.lock().lines.is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..25 {
            bench.queue.push(b"123456789\n");
        }
        assert_eq!(bench.losses.total(), 15);
        assert!(!bench.queue.finish(Duration::from_millis(10)));
        bench.room.send(usize::MAX).expect("sent");
        assert!(bench.queue.finish(LONG));
        assert_eq!(bench.text().lines().count(), 11);
        assert_eq!(*bench.losses.told.lock().expect("lock"), vec![15]);
    }

    #[test]
    fn lines_that_fail_are_lost_and_told_of_once_it_works_again() {
        let bench = bench(1 << 20);
        // Room for a line and a half, then an error, twice.
        bench.room.send(6).expect("sent");
        bench.room.send(0).expect("sent");
        bench.queue.push(b"one\nfour\nsix\n");
        bench.wait_for_loss(2);
        bench.room.send(0).expect("sent");
        bench.queue.push(b"seven\n");
        bench.wait_for_loss(3);
        assert!(bench.losses.told.lock().expect("lock").is_empty());
        bench.room.send(usize::MAX).expect("sent");
        bench.queue.push(b"eight\n");
        assert!(bench.queue.finish(LONG));
        assert_eq!(bench.text(), "one\nfo\neight\n", "a torn line ends before the next");
        assert_eq!(*bench.losses.told.lock().expect("lock"), vec![3]);
    }

    #[test]
    fn what_is_written_within_a_limit_waits_no_longer() {
        let bench = bench(1);
        let (room, script) = mpsc::channel();
        let sink = Scripted {
            room: script,
            left: 0,
            written: bench.written.clone(),
        };
        write_within(Duration::from_millis(10), sink, "late\n".to_owned());
        assert_eq!(bench.text(), "");
        room.send(usize::MAX).expect("sent");
        while bench.text() != "late\n" {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

//! Log lines: to standard error or a file, through a queue that nobody waits for.

use crate::{
    config::LogFileSettings,
    runtime::real::log::{LogFile, LogLosses, LogQueue},
    stats::Counter,
};
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal},
    panic::PanicHookInfo,
    sync::Arc,
    time::Duration,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The target of the access log, which is written only when it was asked for: whatever `RUST_LOG` says.
const ACCESS: &str = "access";

/// Lines that may wait to be written, in bytes: a second of the access log of a busy server.
const QUEUE_BYTES_MAX: usize = 4 << 20;

/// Time limit at the end of the process for writing queued lines.
const FINISH_TIME_MAX: Duration = Duration::from_secs(1);

/// The log of a process.
pub struct Log {
    queue: LogQueue,
    dropped: Arc<Counter>,
    is_file: bool,
}

impl Log {
    /// Sends log lines to `file`, or to standard error, for people or as JSON. `rust_log` says what,
    /// [`default_filter`] without it, and if it is not understood, which is logged. Panics are logged as well, and no
    /// longer written to standard error.
    ///
    /// # Errors
    /// The file cannot be opened, or the operating system gives no thread.
    pub(super) fn start(json: bool, file: Option<&LogFileSettings>, rust_log: Option<&str>) -> io::Result<Log> {
        let dropped = Arc::<Counter>::default();
        let losses = Losses(dropped.clone());
        let queue = match file {
            None => LogQueue::start(io::stderr(), QUEUE_BYTES_MAX, losses)?,
            Some(file) => {
                let sink = LogFile::open(&file.path, file.size_bytes, file.count)?;
                LogQueue::start(sink, QUEUE_BYTES_MAX, losses)?
            }
        };
        let is_file = file.is_some();
        let (filter, invalid) = match rust_log.filter(|filter| !filter.is_empty()).map(str::parse) {
            None => (default_filter(), None),
            Some(Ok(filter)) => (filter, None),
            Some(Err(error)) => (default_filter(), Some(error)),
        };
        let is_terminal = !is_file && io::stderr().is_terminal();
        subscribe(filter, json, is_terminal, queue.clone());
        std::panic::set_hook(Box::new(log_panic));
        if let Some(error) = invalid {
            tracing::warn!(%error, "RUST_LOG is not understood and ignored: expected info or store=debug,info");
        }
        Ok(Log {
            queue,
            dropped,
            is_file,
        })
    }

    /// Lines that were lost: the queue was full, or they could not be written.
    #[must_use]
    pub fn dropped(&self) -> Arc<Counter> {
        self.dropped.clone()
    }

    /// Handle that reopens the log file; `None` if lines go to standard error.
    #[must_use]
    pub fn reopener(&self) -> Option<impl Fn() + Send + 'static> {
        let queue = self.queue.clone();
        self.is_file.then_some(move || queue.reopen())
    }

    /// Waits a moment until all lines are written. Later ones are not.
    pub(super) fn finish(&self) {
        self.queue.finish(FINISH_TIME_MAX);
    }
}

/// Filter of log lines without `RUST_LOG`. The library behind the S3 requests logs every 404 as an error: it is
/// silent, and the server says itself what operators must know.
fn default_filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("s3s", LevelFilter::OFF)
}

fn subscribe(filter: Targets, json: bool, is_terminal: bool, queue: LogQueue) {
    let filter = filter.with_target(ACCESS, LevelFilter::INFO);
    let lines = fmt::layer()
        // It would write to standard error itself, and panic when that fails.
        .log_internal_errors(false)
        .with_writer(move || queue.clone());
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match json {
        true => lines.json().flatten_event(true).with_filter(filter).boxed(),
        false => lines
            .with_ansi(is_terminal)
            .with_target(false)
            .with_filter(filter)
            .boxed(),
    };
    // Someone who embeds the server may have set a subscriber already; it then gets the lines.
    drop(tracing_subscriber::registry().with(lines).try_init());
}

/// Counts lost lines, and says so once lines are written again.
struct Losses(Arc<Counter>);

impl LogLosses for Losses {
    fn lost(&self, lines: u64) {
        self.0.add(lines);
    }

    fn ended(&self, lines: u64) {
        tracing::error!(
            lines,
            "log lines were lost: they could not be written, or came too fast"
        );
    }
}

/// Logs a panic. The standard hook writes to standard error while it holds its lock: with a reader that sleeps, the
/// thread that panics would hang, and every other one that panics after it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("-");
    let message = panic.payload_as_str().unwrap_or("-");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    // Empty unless RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, at, message, %backtrace, "panic");
    } else {
        tracing::error!(thread, at, message, "panic");
    }
}

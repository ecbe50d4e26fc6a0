//! Private mount namespace of a test, to mount, unmount and move file systems under a server.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Mount namespace. It ends, with all its mounts, once this is dropped and no process is in it any more.
pub struct Mounts {
    holder: Child,
}

impl Mounts {
    /// Makes a mount namespace, which takes root or CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// The error of `unshare`.
    pub fn new() -> Result<Mounts, String> {
        let holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sleep", "1000"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut mounts = Mounts { holder };
        let ours = std::fs::read_link("/proc/self/ns/mnt").map_err(|error| error.to_string())?;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(status)) = mounts.holder.try_wait() {
                return Err(format!("unshare --mount ends with {status}: is this root?"));
            }
            let theirs = std::fs::read_link(format!("/proc/{}/ns/mnt", mounts.holder.id()));
            if theirs.is_ok_and(|theirs| theirs != ours) {
                return Ok(mounts);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("unshare --mount does not begin".to_owned())
    }

    /// Returns a command that will run in the namespace.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.holder.id());
        command.arg(namespace).arg("--").arg(program);
        command
    }

    /// Runs a program in the namespace until it ends.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(Path::new(program))
            .args(arguments)
            .output()
            .expect("nsenter runs")
    }

    /// Runs a program in the namespace, and requires success.
    ///
    /// # Panics
    /// If it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.output(program, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {error}");
    }

    /// Mounts a tmpfs.
    pub fn tmpfs(&self, at: &Path, options: &str) {
        self.run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", text(at)]);
    }

    /// Returns a path of the namespace as this process can access it.
    #[must_use]
    pub fn see(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix("/").unwrap_or(path);
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(below)
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        // Fails if the process has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Returns a path as text.
///
/// # Panics
/// If it is not UTF-8.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of our own")
}

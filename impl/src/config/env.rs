//! The environment as a value, so that configuration can be tested without changing the process's.

use super::ConfigError;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// Variables that are read somewhere in this program.
const KNOWN: &[&str] = &[
    "IMPL_PEER_SECRET",
    "IMPL_PEER_SECRET_FILE",
    "MINIO_ACCESS_KEY",
    "MINIO_ACCESS_KEY_FILE",
    "MINIO_ACCESS_LOG",
    "MINIO_ADDRESS",
    "MINIO_API_CORS_ALLOW_ORIGIN",
    "MINIO_API_REQUESTS_DEADLINE",
    "MINIO_API_REQUESTS_MAX",
    "MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL",
    "MINIO_API_STALE_UPLOADS_EXPIRY",
    "MINIO_ARGS",
    "MINIO_CONFIG_ENV_FILE",
    "MINIO_CONSOLE_ADDRESS",
    "MINIO_DOMAIN",
    "MINIO_ENDPOINTS",
    "MINIO_ERASURE_SET_DRIVE_COUNT",
    "MINIO_IDLE_TIMEOUT",
    "MINIO_LOG_FILE",
    "MINIO_LOG_FILE_COUNT",
    "MINIO_LOG_FILE_SIZE",
    "MINIO_MEMLIMIT",
    "MINIO_OPTS",
    "MINIO_PROMETHEUS_AUTH_TYPE",
    "MINIO_READ_HEADER_TIMEOUT",
    "MINIO_REGION",
    "MINIO_REGION_NAME",
    "MINIO_ROOT_PASSWORD",
    "MINIO_ROOT_PASSWORD_FILE",
    "MINIO_ROOT_PASSWORD_OLD",
    "MINIO_ROOT_PASSWORD_OLD_FILE",
    "MINIO_ROOT_USER",
    "MINIO_ROOT_USER_FILE",
    "MINIO_ROOT_USER_OLD",
    "MINIO_ROOT_USER_OLD_FILE",
    "MINIO_SECRET_KEY",
    "MINIO_SECRET_KEY_FILE",
    "MINIO_SHUTDOWN_DELAY",
    "MINIO_SITE_REGION",
    "MINIO_STORAGE_CLASS_RRS",
    "MINIO_STORAGE_CLASS_STANDARD",
    "MINIO_UPDATE",
    "MINIO_VOLUMES",
];

/// Variables that ask for a promise which this program cannot keep: to go on without it would be worse
/// than not to start. A name that ends in `_` stands for all that begin with it.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("MINIO_CERT_PASSWD", "an encrypted private key"),
    ("MINIO_CONFIG", "a configuration file"),
    ("MINIO_KMS_", "encryption on the drives"),
    ("MINIO_API_ROOT_ACCESS", "switching the root user off"),
];

/// Names a file of further variables.
const FILE: &str = "MINIO_CONFIG_ENV_FILE";

/// Environment variables. An empty one counts as not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    values: BTreeMap<String, String>,
    /// Known variables whose value was quoted; the quotes were stripped.
    unquoted: Vec<String>,
}

impl Env {
    /// Reads this process's variables, and over them those of the file that `MINIO_CONFIG_ENV_FILE` names. A variable
    /// that is not Unicode is left out: none that is read here may be.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it.
    pub fn of_process(read_file: &dyn Fn(&Path) -> io::Result<String>) -> Result<Env, ConfigError> {
        let unicode =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Env::load(unicode, read_file)
    }

    fn load(
        process: impl Iterator<Item = (String, String)>,
        read_file: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Env, ConfigError> {
        let mut env = Env::default();
        for (name, value) in process {
            // `docker run --env-file` and others hand on the quotes that a shell would take away.
            match without_quotes(&value) {
                Some(inner) if is_ours(&name) => {
                    env.set(&name, inner);
                    env.unquoted.push(name);
                }
                _ => env.set(&name, &value),
            }
        }
        env.unquoted.sort();
        let Some(path) = env.get(FILE).map(PathBuf::from) else {
            return Ok(env);
        };
        let text = read_file(&path).map_err(|source| ConfigError::EnvFile {
            path: path.clone(),
            source,
        })?;
        for (line, text) in (1..).zip(text.lines()) {
            let invalid = || ConfigError::EnvLine {
                path: path.clone(),
                line,
            };
            if let Some((name, value)) = assignment(text).map_err(|NotAnAssignment| invalid())? {
                env.unquoted.retain(|unquoted| unquoted != name);
                env.set(name, value);
            }
        }
        Ok(env)
    }

    fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.values.remove(name);
        } else {
            self.values.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Creates an environment from names and values.
    #[must_use]
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Env {
        let mut env = Env::default();
        for (name, value) in pairs {
            env.set(name, value);
        }
        env
    }

    /// A variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Variables of ours whose value came in quotes, which are not part of it any more.
    pub(super) fn unquoted(&self) -> impl Iterator<Item = &str> {
        self.unquoted.iter().map(String::as_str)
    }

    /// Fails on the first variable that asks for what is not built and must not be ignored.
    pub(super) fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        for (name, value) in &self.values {
            let asks = |pattern: &str| name == pattern || pattern.ends_with('_') && name.starts_with(pattern);
            let harmless = name == "MINIO_API_ROOT_ACCESS" && value == "on";
            if let Some((_, what)) = UNSUPPORTED.iter().find(|(pattern, _)| asks(pattern) && !harmless) {
                return Err(ConfigError::Unsupported {
                    name: name.clone(),
                    what,
                });
            }
        }
        Ok(())
    }

    /// Variables that look like ours and that nothing reads.
    pub(super) fn ignored(&self) -> impl Iterator<Item = &str> {
        let names = self.values.keys().map(String::as_str);
        names.filter(|name| is_ours(name) && !KNOWN.contains(name))
    }
}

/// Returns whether a name looks like a variable for this program. `IMPL_` alone does not: container platforms set such
/// variables for a service that is called impl.
fn is_ours(name: &str) -> bool {
    name.starts_with("MINIO_") || name.starts_with("IMPL_PEER_")
}

/// A line that is no assignment.
struct NotAnAssignment;

/// The name and value in a line of a file of variables: `NAME=VALUE`, after `export` or not, the value in quotes or
/// not. `None` for a blank line or a comment.
fn assignment(line: &str) -> Result<Option<(&str, &str)>, NotAnAssignment> {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or(NotAnAssignment)?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(NotAnAssignment);
    }
    Ok(Some((name, without_quotes(value).unwrap_or(value))))
}

/// Strips one pair of matching quotes; `None` if there is no such pair, or a third quote.
fn without_quotes(value: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables of a process with these, and with this text in the file `vars`.
    fn load(pairs: &[(&str, &str)], file: &str) -> Result<Env, String> {
        let read_file = |path: &Path| match path.to_str() {
            Some("vars") => Ok(file.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Env::load(pairs, &read_file).map_err(|error| error.to_string())
    }

    #[test]
    fn quotes_around_a_value_are_no_part_of_it() {
        let check = |given: &str, expected: &str, is_told: bool| {
            let env = load(&[("MINIO_VOLUMES", given), ("OTHER", given)], "").unwrap();
            assert_eq!(env.get("MINIO_VOLUMES"), Some(expected), "{given}");
            assert_eq!(env.unquoted().count(), usize::from(is_told), "{given}");
            assert_eq!(env.get("OTHER"), Some(given));
        };
        check("\"/data{1...4}\"", "/data{1...4}", true);
        check("'/data'", "/data", true);
        check("/data", "/data", false);
        check("\"/data", "\"/data", false);
        check("\"/a\" \"/b\"", "\"/a\" \"/b\"", false);
        check("\"", "\"", false);
        check("'it\"s'", "it\"s", true);
        let env = load(&[("IMPL_PEER_SECRET", "'secret'"), ("IMPL_PORT", "'1'")], "").unwrap();
        assert_eq!(
            (env.get("IMPL_PEER_SECRET"), env.get("IMPL_PORT")),
            (Some("secret"), Some("'1'"))
        );
        let env = Env::from_pairs(&[("IMPL_PEER_SECRTE", "x"), ("IMPL_PEER_SECRET", "x"), ("IMPL_PORT", "1")]);
        assert_eq!(env.ignored().collect::<Vec<_>>(), ["IMPL_PEER_SECRTE"]);
        assert_eq!(
            load(&[("MINIO_VOLUMES", "\"\"")], "").unwrap().get("MINIO_VOLUMES"),
            None
        );
    }

    #[test]
    fn a_file_beats_the_process() {
        let file = "\u{feff}# the store\n\nMINIO_VOLUMES=\"/mnt/disk{1...4}\"\r\n export MINIO_ROOT_USER = admin \n\
                    MINIO_ROOT_PASSWORD='a=b#c'\nMINIO_DOMAIN=\nRUST_LOG=debug\n";
        let process = [
            (FILE, "vars"),
            ("MINIO_VOLUMES", "\"/other\""),
            ("MINIO_DOMAIN", "example.org"),
            ("MINIO_ADDRESS", ":1"),
        ];
        let env = load(&process, file).unwrap();
        for (name, value) in [
            ("MINIO_VOLUMES", Some("/mnt/disk{1...4}")),
            ("MINIO_ROOT_USER", Some("admin")),
            ("MINIO_ROOT_PASSWORD", Some("a=b#c")),
            ("MINIO_DOMAIN", None),
            ("RUST_LOG", Some("debug")),
            ("MINIO_ADDRESS", Some(":1")),
        ] {
            assert_eq!(env.get(name), value, "{name}");
        }
        assert_eq!(env.unquoted().count(), 0);
    }

    #[test]
    fn a_file_that_says_nothing_is_refused() {
        let error = |path: &str, text: &str| load(&[(FILE, path)], text).unwrap_err();
        assert!(error("none", "").starts_with("MINIO_CONFIG_ENV_FILE: cannot read none: "));
        let expected = "MINIO_CONFIG_ENV_FILE: vars, line 2: expected NAME=VALUE";
        for line in ["MINIO_VOLUMES /data", "=x", "MINIO VOLUMES=/data"] {
            assert_eq!(error("vars", &format!("A=1\n{line}\n")), expected, "{line}");
        }
    }
}

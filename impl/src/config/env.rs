//! The environment as a value, so that configuration can be tested without changing the process's.

use super::ConfigError;
use std::collections::BTreeMap;

/// Variables that are read somewhere in this program.
const KNOWN: &[&str] = &[
    "MINIO_ACCESS_KEY",
    "MINIO_ACCESS_KEY_FILE",
    "MINIO_ACCESS_LOG",
    "MINIO_ADDRESS",
    "MINIO_API_CORS_ALLOW_ORIGIN",
    "MINIO_API_REQUESTS_DEADLINE",
    "MINIO_API_REQUESTS_MAX",
    "MINIO_ARGS",
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
    "MINIO_ROOT_USER",
    "MINIO_ROOT_USER_FILE",
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
const UNSUPPORTED: [(&str, &str); 5] = [
    ("MINIO_CERT_PASSWD", "an encrypted private key"),
    ("MINIO_CONFIG_ENV_FILE", "a file of variables"),
    ("MINIO_CONFIG", "a configuration file"),
    ("MINIO_KMS_", "encryption on the drives"),
    ("MINIO_API_ROOT_ACCESS", "switching the root user off"),
];

/// Environment variables. An empty one counts as not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// This process's. A variable that is not Unicode is left out: none that is read here may be.
    #[must_use]
    pub fn of_process() -> Env {
        let unicode =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Env(unicode.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// From names and values.
    #[must_use]
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Env {
        let given = pairs.iter().filter(|(_, value)| !value.is_empty());
        Env(given
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect())
    }

    /// A variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Fails on the first variable that asks for what is not built and must not be ignored.
    pub(super) fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        for (name, value) in &self.0 {
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
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| name.starts_with("MINIO_") && !KNOWN.contains(name))
    }
}

//! Configuration of a server: flags and environment, resolved and checked, before anything starts.

mod address;
mod credentials;
mod drives;
mod env;
mod limits;
mod log;
mod peers;
pub mod size;

pub use address::{InvalidAddress, ListenAddress};
pub use credentials::CredentialError;
pub use env::Env;
pub use limits::{GivenLimits, LimitSettings};
pub use log::{GivenLog, LogFileSettings};
pub use peers::{PeerSecretError, PeerSettings, SharedSecret};

use crate::access::Credentials;
use crate::topology::{Topology, TopologyError};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// The port of the S3 API unless it is told otherwise.
pub const DEFAULT_PORT: u16 = 9000;

/// Form of a process's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Banner and logs as lines of JSON.
    pub json: bool,
    /// No banner.
    pub quiet: bool,
    /// The root user is not shown.
    pub anonymous: bool,
}

/// A server's flags as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The drive arguments.
    pub drives: Vec<String>,
    /// `--address`.
    pub address: Option<String>,
    /// `--console-address`.
    pub console_address: Option<String>,
    /// `--certs-dir`.
    pub certs_dir: Option<String>,
    /// Memory and time.
    pub limits: GivenLimits,
    /// Form of output.
    pub output: Output,
    /// `--access-log`.
    pub access_log: bool,
    /// The log file.
    pub log: GivenLog,
    /// `--trace`.
    pub trace: Option<PathBuf>,
}

/// A server's configuration. Nothing in it is unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Listen address of the S3 API.
    pub address: ListenAddress,
    /// Listen address of the future console.
    pub console_address: Option<ListenAddress>,
    /// The root user.
    pub credentials: Credentials,
    /// The deployment's region; `None` when it is not set.
    pub region: Option<String>,
    /// `MINIO_DOMAIN`: domains whose further names are buckets, with commas; empty when it is not set.
    pub domains: String,
    /// `MINIO_API_CORS_ALLOW_ORIGIN`: origins whose pages may read answers, with commas; empty when it is not set.
    pub origins: String,
    /// Folder of certificates; `None` when there is no home folder to look in.
    pub certs_dir: Option<PathBuf>,
    /// File of authorities that other nodes' certificates are verified against, beside those of the folder; `None` for
    /// the system's.
    pub authorities: Option<PathBuf>,
    /// That folder was named, and is expected to hold some.
    pub certs_dir_is_given: bool,
    /// Memory, requests and time.
    pub limits: LimitSettings,
    /// Drives, sets and parity.
    pub topology: Topology,
    /// Settings of the calls between nodes; `Some` exactly when the topology has nodes.
    pub peers: Option<PeerSettings>,
    /// Form of output.
    pub output: Output,
    /// Metrics need no token.
    pub metrics_public: bool,
    /// Each request gets a log line.
    pub access_log: bool,
    /// The file that log lines go to; `None` for standard error.
    pub log_file: Option<LogFileSettings>,
    /// File of the trace of the protocol's machines, if one is written.
    pub trace: Option<PathBuf>,
    /// Warnings for the operator, in sentences, to be logged once.
    pub warnings: Vec<String>,
}

/// Error of the configuration. One line, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The drive arguments or storage classes.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The root user.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The secret between nodes.
    #[error(transparent)]
    Peers(#[from] PeerSecretError),
    /// A port that only this node would know.
    #[error(
        "--address {address}: with drives on several nodes the port must be one that the others know, for example \
         :{DEFAULT_PORT}"
    )]
    ChosenPort {
        /// The address.
        address: ListenAddress,
    },
    /// A port of no drive's URL.
    #[error("--address {address}: no drive's URL has this port, they have {}; one of them must be this node's",
        ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))]
    PortOfNoNode {
        /// The address.
        address: ListenAddress,
        /// The ports of the URLs.
        ports: BTreeSet<u16>,
    },
    /// A listening address.
    #[error("{name} {source}")]
    Address {
        /// The flag or variable.
        name: &'static str,
        /// The defect.
        source: InvalidAddress,
    },
    /// Both servers on one port.
    #[error("--console-address must differ from --address")]
    SameAddress,
    /// A variable with one of a few values has another one.
    #[error("{name} is {value:?}, and must be {expected}")]
    Choice {
        /// The variable.
        name: &'static str,
        /// The value.
        value: String,
        /// Valid values.
        expected: &'static str,
    },
    /// The file of further variables.
    #[error("MINIO_CONFIG_ENV_FILE: cannot read {}: {source}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A line of it.
    #[error("MINIO_CONFIG_ENV_FILE: {}, line {line}: expected NAME=VALUE", path.display())]
    EnvLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// Memory, requests, or time.
    #[error("{name} {value}: expected {expected}")]
    Limit {
        /// The flag or variable.
        name: &'static str,
        /// The value.
        value: String,
        /// Valid values.
        expected: &'static str,
    },
    /// A variable that changes what the store promises, and is not built.
    #[error("{name} is set, but {what} is not supported yet; unset it to start without")]
    Unsupported {
        /// The variable.
        name: String,
        /// The feature.
        what: &'static str,
    },
}

impl ServerConfig {
    /// Resolves flags and environment. `current_folder` is where relative drive paths start;
    /// `read_file` reads a file that holds a secret.
    ///
    /// # Errors
    /// The first thing found wrong. Nothing was touched.
    pub fn resolve(
        given: Given,
        env: &Env,
        current_folder: &Path,
        read_file: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<ServerConfig, ConfigError> {
        env.refuse_unsupported()?;
        let mut warnings = Vec::new();
        let address = address([("--address", given.address.as_deref()), of_env(env, "MINIO_ADDRESS")])?;
        let address = address.unwrap_or(ListenAddress {
            host: None,
            port: DEFAULT_PORT,
        });
        let topology = drives::topology(&given.drives, env, current_folder, &address)?;
        warnings.extend(topology.warnings());
        let console = ("--console-address", given.console_address.as_deref());
        let console_address = self::address([console, of_env(env, "MINIO_CONSOLE_ADDRESS")])?;
        if console_address.as_ref() == Some(&address) {
            return Err(ConfigError::SameAddress);
        }
        if console_address.is_some() {
            warnings.push("the console is not there yet: --console-address has no effect".into());
        }
        let credentials = credentials::root_user(env, read_file, &mut warnings)?;
        let peers = peers::resolve(&topology, &credentials, env, read_file, &mut warnings)?;
        let unquoted = env.unquoted();
        warnings
            .extend(unquoted.map(|name| format!("{name}: the quotes around its value are not taken as part of it")));
        warnings.extend(env.ignored().map(|name| format!("{name} is set but has no effect yet")));
        Ok(ServerConfig {
            address,
            console_address,
            credentials,
            region: region(env).map(str::to_owned),
            domains: env.get("MINIO_DOMAIN").unwrap_or_default().to_owned(),
            origins: env.get("MINIO_API_CORS_ALLOW_ORIGIN").unwrap_or_default().to_owned(),
            certs_dir_is_given: given.certs_dir.is_some(),
            authorities: env.get("SSL_CERT_FILE").map(PathBuf::from),
            certs_dir: certs_dir(given.certs_dir, env, current_folder),
            limits: limits::resolve(&given.limits, env, read_file)?,
            topology,
            peers,
            output: given.output,
            metrics_public: metrics_public(env)?,
            access_log: given.access_log || access_log(env)?,
            log_file: log::resolve(&given.log, env, current_folder)?,
            trace: given.trace,
            warnings,
        })
    }
}

/// `MINIO_PROMETHEUS_AUTH_TYPE`.
fn metrics_public(env: &Env) -> Result<bool, ConfigError> {
    choice(env, "MINIO_PROMETHEUS_AUTH_TYPE", "public", "jwt", "public or jwt")
}

/// `MINIO_ACCESS_LOG`.
fn access_log(env: &Env) -> Result<bool, ConfigError> {
    choice(env, "MINIO_ACCESS_LOG", "on", "off", "on or off")
}

/// Returns whether a variable is `yes`; `no`, or not set.
fn choice(env: &Env, name: &'static str, yes: &str, no: &str, expected: &'static str) -> Result<bool, ConfigError> {
    match env.get(name) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(yes) => Ok(true),
        Some(value) if value.eq_ignore_ascii_case(no) => Ok(false),
        Some(value) => Err(ConfigError::Choice {
            name,
            value: value.to_owned(),
            expected,
        }),
    }
}

/// The root user of the environment, as a server takes it, for those who talk to one.
///
/// # Errors
/// What keeps a server from starting.
pub fn root_user(env: &Env, read_file: &dyn Fn(&Path) -> io::Result<String>) -> Result<Credentials, ConfigError> {
    // A server warns of it; nobody who talks to one can do anything about it.
    Ok(credentials::root_user(env, read_file, &mut Vec::new())?)
}

/// The deployment's region, if the environment sets one.
#[must_use]
pub fn region(env: &Env) -> Option<&str> {
    let names = ["MINIO_SITE_REGION", "MINIO_REGION", "MINIO_REGION_NAME"];
    names.into_iter().find_map(|name| env.get(name))
}

/// The folder of certificates: as given, or `.minio/certs` in the home folder.
#[must_use]
pub fn certs_dir(given: Option<String>, env: &Env, current_folder: &Path) -> Option<PathBuf> {
    let home = || Some(Path::new(env.get("HOME")?).join(".minio/certs"));
    Some(current_folder.join(given.map(PathBuf::from).or_else(home)?))
}

/// A source of a setting: its name, and what it holds.
type Source<'a> = (&'static str, Option<&'a str>);

fn of_env<'a>(env: &'a Env, name: &'static str) -> Source<'a> {
    (name, env.get(name))
}

/// The first source that is set.
fn address(sources: [Source<'_>; 2]) -> Result<Option<ListenAddress>, ConfigError> {
    let parse = |(name, text): (&'static str, Option<&str>)| {
        Some(text?.parse().map_err(|source| ConfigError::Address { name, source }))
    };
    sources.into_iter().find_map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{REDUCED_VARIABLE, STANDARD_VARIABLE};

    fn resolve(drives: &str, env: &[(&str, &str)]) -> Result<ServerConfig, String> {
        let given = Given {
            drives: drives.split_whitespace().map(str::to_owned).collect(),
            ..Given::default()
        };
        resolve_given(given, env)
    }

    fn resolve_given(given: Given, env: &[(&str, &str)]) -> Result<ServerConfig, String> {
        let no_files = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
        ServerConfig::resolve(given, &Env::from_pairs(env), Path::new("/srv"), &no_files).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults() {
        let config = resolve("/data{1...4}", &[]).unwrap();
        assert_eq!(config.address.to_string(), ":9000");
        assert_eq!(config.console_address, None);
        assert_eq!(config.region, None);
        assert_eq!(config.topology.drives.len(), 4);
        assert_eq!(config.credentials.access_key, "minioadmin");
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        assert_eq!((config.certs_dir, config.certs_dir_is_given), (None, false));
    }

    #[test]
    fn where_certificates_are() {
        let certs_dir = |given: Option<&str>| {
            let given = Given {
                drives: vec!["/d".into()],
                certs_dir: given.map(str::to_owned),
                ..Given::default()
            };
            let config = resolve_given(given, &[("HOME", "/home/store")]).unwrap();
            (config.certs_dir.unwrap(), config.certs_dir_is_given)
        };
        assert_eq!(certs_dir(None), ("/home/store/.minio/certs".into(), false));
        assert_eq!(certs_dir(Some("/etc/certs")), ("/etc/certs".into(), true));
        assert_eq!(certs_dir(Some("certs")), ("/srv/certs".into(), true));
    }

    #[test]
    fn flags_beat_the_environment() {
        let given = Given {
            drives: vec!["/d".into()],
            address: Some("h:1".into()),
            ..Given::default()
        };
        let env = [
            ("MINIO_ADDRESS", ":2"),
            ("MINIO_CONSOLE_ADDRESS", ":3"),
            ("MINIO_SITE_REGION", "eu-1"),
        ];
        let config = resolve_given(given, &env).unwrap();
        assert_eq!(config.address.to_string(), "h:1");
        assert_eq!(config.console_address.unwrap().to_string(), ":3");
        assert_eq!(config.region.as_deref(), Some("eu-1"));
        assert!(
            config.warnings.iter().any(|warning| warning.contains("console")),
            "{:?}",
            config.warnings
        );
    }

    #[test]
    fn storage_classes_and_set_size() {
        let env = [
            (STANDARD_VARIABLE, "EC:3"),
            (REDUCED_VARIABLE, "EC:2"),
            ("MINIO_ERASURE_SET_DRIVE_COUNT", "8"),
        ];
        let topology = resolve("/d{1...16}", &env).unwrap().topology;
        assert_eq!((topology.sets, topology.set_size), (2, 8));
        assert_eq!((topology.standard_parity, topology.reduced_parity), (3, 2));
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = |env: &[(&str, &str)]| resolve("/d", env).unwrap_err();
        for (name, value) in [
            ("MINIO_KMS_SECRET_KEY", "k:AAAA"),
            ("MINIO_API_ROOT_ACCESS", "off"),
            ("MINIO_CERT_PASSWD", "secret"),
        ] {
            assert!(refused(&[(name, value)]).starts_with(name), "{name}");
        }
        assert_eq!(
            refused(&[("MINIO_ADDRESS", "9000")]),
            "MINIO_ADDRESS 9000: expected HOST:PORT or :PORT, for example :9000"
        );
        assert_eq!(
            refused(&[("MINIO_ERASURE_SET_DRIVE_COUNT", "x")]),
            "MINIO_ERASURE_SET_DRIVE_COUNT=x: expected a whole number"
        );
        assert_eq!(
            refused(&[("MINIO_CONSOLE_ADDRESS", ":9000")]),
            "--console-address must differ from --address"
        );
        assert!(resolve("", &[]).unwrap_err().starts_with("no drives given"));
    }

    #[test]
    fn who_may_scrape_and_what_is_logged() {
        let resolved = |env: &[(&str, &str)]| resolve("/d", env).map(|c| (c.metrics_public, c.access_log));
        assert_eq!(resolved(&[]), Ok((false, false)));
        assert_eq!(resolved(&[("MINIO_PROMETHEUS_AUTH_TYPE", "public")]), Ok((true, false)));
        assert_eq!(resolved(&[("MINIO_PROMETHEUS_AUTH_TYPE", "JWT")]), Ok((false, false)));
        assert_eq!(resolved(&[("MINIO_ACCESS_LOG", "on")]), Ok((false, true)));
        let error = resolved(&[("MINIO_PROMETHEUS_AUTH_TYPE", "none")]).unwrap_err();
        assert_eq!(
            error,
            "MINIO_PROMETHEUS_AUTH_TYPE is \"none\", and must be public or jwt"
        );
    }

    #[test]
    fn nodes_have_a_secret_and_folders_have_none() {
        let root = [("MINIO_ROOT_USER", "admin"), ("MINIO_ROOT_PASSWORD", "secret12")];
        let config = resolve("http://host{1...4}/d{1...4}", &root).unwrap();
        assert_eq!(config.topology.nodes[3].to_string(), "host4:9000");
        let secrets = config.peers.unwrap().secrets;
        assert!(secrets == [SharedSecret::RootUser(config.credentials)]);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert_eq!(resolve("/d{1...4}", &root).unwrap().peers, None);
        let refused = resolve("http://host{1...4}/d{1...4}", &[]).unwrap_err();
        for name in ["IMPL_PEER_SECRET", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"] {
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn warnings_of_the_topology_are_the_configurations() {
        let secret = [("IMPL_PEER_SECRET", "0123456789abcdef0123456789abcdef")];
        let config = resolve("http://host{1...2}/d{1...2}", &secret).unwrap();
        let topology = config.topology.warnings();
        assert_eq!(topology.len(), 1);
        assert!(config.warnings.contains(&topology[0]), "{:?}", config.warnings);
    }

    #[test]
    fn variables_without_effect_are_named() {
        let env = [
            ("MINIO_SCANNER_SPEED", "slow"),
            ("MINIO_ROOT_USER", "admin"),
            ("MINIO_ROOT_PASSWORD", "secret12"),
        ];
        let config = resolve("/d", &env).unwrap();
        assert_eq!(config.warnings, ["MINIO_SCANNER_SPEED is set but has no effect yet"]);
    }
}

//! Secret by which the nodes of a deployment know each other.

use super::{CredentialError, Env, credentials};
use crate::{
    access::Credentials,
    topology::{Topology, is_loopback_only},
};
use std::{fmt, io, path::Path};

const SECRET: &str = "IMPL_PEER_SECRET";
const USER_OLD: &str = "MINIO_ROOT_USER_OLD";
const PASSWORD_OLD: &str = "MINIO_ROOT_PASSWORD_OLD";

/// All variables that are read here, and have a meaning only with several nodes.
const VARIABLES: [&str; 6] = [
    SECRET,
    "IMPL_PEER_SECRET_FILE",
    USER_OLD,
    "MINIO_ROOT_USER_OLD_FILE",
    PASSWORD_OLD,
    "MINIO_ROOT_PASSWORD_OLD_FILE",
];

/// Fewest bytes of a secret that is not the root user. `peer` refuses shorter ones too.
const SECRET_BYTES_MIN: usize = 32;

/// Settings of the calls between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The secret, and behind it the one before it, while an operator changes it node by node. One or two.
    pub secrets: Vec<SharedSecret>,
}

/// A secret that all nodes share. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum SharedSecret {
    /// At least 32 bytes that the operator gave for this purpose.
    Random(Vec<u8>),
    /// The root user's name and password.
    RootUser(Credentials),
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret")
    }
}

/// Error of the secret.
#[derive(Debug, thiserror::Error)]
pub enum PeerSecretError {
    /// A file, or half of the old root user.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// Too few bytes.
    #[error(
        "{SECRET}: the {which} secret has {bytes} bytes, at least {SECRET_BYTES_MIN} are needed; `openssl rand -hex \
         32` makes one"
    )]
    TooShort {
        /// `current` or `old`.
        which: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// More than two.
    #[error("{SECRET}: {count} secrets are given; at most two are possible, the current one and the old one: NEW,OLD")]
    TooMany {
        /// Number of secrets.
        count: usize,
    },
    /// The default root user, on a network.
    #[error(
        "everybody knows the default root user {}, and could pose as a node; give all nodes the same {SECRET} of at \
         least {SECRET_BYTES_MIN} bytes, or the same MINIO_ROOT_USER and MINIO_ROOT_PASSWORD",
        credentials::DEFAULT_KEY
    )]
    WellKnown,
    /// The default root user as the one before.
    #[error(
        "{USER_OLD} is the default root user {}, whom everybody knows, and everybody could pose as a node; unset \
         {USER_OLD} and {PASSWORD_OLD}",
        credentials::DEFAULT_KEY
    )]
    WellKnownOld,
}

/// Reads the secrets of a deployment over nodes: those of `IMPL_PEER_SECRET`, else the root user and the one before.
/// `None` for folders of this host.
pub(super) fn resolve(
    topology: &Topology,
    root_user: &Credentials,
    env: &Env,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    warnings: &mut Vec<String>,
) -> Result<Option<PeerSettings>, PeerSecretError> {
    if topology.nodes.is_empty() {
        let set = VARIABLES.into_iter().filter(|name| env.get(name).is_some());
        warnings.extend(set.map(|name| format!("{name} has no effect: all drives are folders of this host")));
        return Ok(None);
    }
    if let Some(text) = credentials::value(env, read_file, SECRET)? {
        let [_, _, old @ ..] = VARIABLES;
        let set = old.into_iter().filter(|name| env.get(name).is_some());
        warnings
            .extend(set.map(|name| format!("{name} has no effect: {SECRET} is set; an old one is given as NEW,OLD")));
        return Ok(Some(PeerSettings {
            secrets: random(&text)?,
        }));
    }
    let is_exposed = !is_loopback_only(&topology.nodes);
    if is_exposed && credentials::is_default(root_user) {
        return Err(PeerSecretError::WellKnown);
    }
    let old = credentials::pair(env, read_file, USER_OLD, PASSWORD_OLD)?;
    if is_exposed && old.as_ref().is_some_and(credentials::is_default) {
        return Err(PeerSecretError::WellKnownOld);
    }
    let secrets = std::iter::once(root_user.clone()).chain(old);
    Ok(Some(PeerSettings {
        secrets: secrets.map(SharedSecret::RootUser).collect(),
    }))
}

/// Reads `NEW` or `NEW,OLD`.
fn random(text: &str) -> Result<Vec<SharedSecret>, PeerSecretError> {
    // A line's end within it would be a second secret that somebody meant to give, and that counts as a part of one.
    if let Some(found) = text.trim().chars().find(|c| c.is_control()) {
        return Err(CredentialError::Character { name: SECRET, found }.into());
    }
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    if parts.len() > 2 {
        return Err(PeerSecretError::TooMany { count: parts.len() });
    }
    let secret = |(which, part): (&'static str, &str)| match part.len() {
        bytes @ ..SECRET_BYTES_MIN => Err(PeerSecretError::TooShort { which, bytes }),
        _ => Ok(SharedSecret::Random(part.as_bytes().to_vec())),
    };
    ["current", "old"].into_iter().zip(parts).map(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::StorageClasses;

    const NEW: &str = "0123456789abcdef0123456789abcdef";
    const OLD: &str = "fedcba9876543210fedcba98765432100";
    const REMOTE: &str = "http://host{1...4}/d";
    const LOOPBACK: &str = "http://127.0.0.{1...4}/d{1...4}";

    /// Settings and warnings of a server with these drives, or the error's text. The file `secret` holds [`NEW`].
    fn settings(drives: &str, env: &[(&str, &str)]) -> Result<(Option<PeerSettings>, Vec<String>), String> {
        let classes = StorageClasses::default();
        let topology = Topology::resolve(&[drives.to_owned()], Path::new("/srv"), 9000, None, classes).unwrap();
        let files = |path: &Path| match path.to_str() {
            Some("/run/secrets/secret") => Ok(format!("{NEW}\n")),
            Some("/run/secrets/two-lines") => Ok(format!("{NEW}\n{OLD}\n")),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        };
        let env = Env::from_pairs(env);
        let root_user = credentials::root_user(&env, &files, &mut Vec::new()).unwrap();
        let mut warnings = Vec::new();
        let found = resolve(&topology, &root_user, &env, &files, &mut warnings);
        found.map(|found| (found, warnings)).map_err(|error| error.to_string())
    }

    fn check(drives: &str, env: &[(&str, &str)], expected: &[SharedSecret]) {
        let (found, warnings) = settings(drives, env).unwrap();
        // The secrets are not shown by a failed comparison.
        assert!(found.unwrap().secrets == expected, "{drives} {env:?}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    fn check_refused(drives: &str, env: &[(&str, &str)], message: &str) {
        assert_eq!(settings(drives, env).unwrap_err(), message, "{drives} {env:?}");
    }

    fn given(secret: &str) -> SharedSecret {
        SharedSecret::Random(secret.as_bytes().to_vec())
    }

    fn user(name: &str, password: &str) -> SharedSecret {
        SharedSecret::RootUser(Credentials {
            access_key: name.into(),
            secret_key: password.into(),
        })
    }

    #[test]
    fn a_secret_is_given_with_the_old_one_or_without() {
        check(REMOTE, &[(SECRET, NEW)], &[given(NEW)]);
        check(REMOTE, &[(SECRET, &format!(" {NEW}\n"))], &[given(NEW)]);
        check(REMOTE, &[(SECRET, &format!("{NEW},{OLD}"))], &[given(NEW), given(OLD)]);
        check(
            REMOTE,
            &[(SECRET, &format!("{NEW}, {OLD} "))],
            &[given(NEW), given(OLD)],
        );
        check(REMOTE, &[("IMPL_PEER_SECRET_FILE", "secret")], &[given(NEW)]);
        check(LOOPBACK, &[(SECRET, NEW)], &[given(NEW)]);
        // Bytes are counted, not characters.
        let accents = "é".repeat(16);
        check(REMOTE, &[(SECRET, &accents)], &[given(&accents)]);
    }

    #[test]
    fn without_one_it_is_the_root_user() {
        let root = [("MINIO_ROOT_USER", "root"), ("MINIO_ROOT_PASSWORD", "password")];
        let old = [(USER_OLD, "before"), (PASSWORD_OLD, "password-before")];
        check(REMOTE, &root, &[user("root", "password")]);
        check(
            REMOTE,
            &[root, old].concat(),
            &[user("root", "password"), user("before", "password-before")],
        );
        check(LOOPBACK, &[], &[user("minioadmin", "minioadmin")]);
        check_refused(
            REMOTE,
            &[root[0], root[1], old[0]],
            "MINIO_ROOT_USER_OLD is set but MINIO_ROOT_PASSWORD_OLD is not: set both, or neither",
        );
    }

    #[test]
    fn the_default_root_user_is_no_secret_on_a_network() {
        let message = "everybody knows the default root user minioadmin, and could pose as a node; give all nodes the \
                       same IMPL_PEER_SECRET of at least 32 bytes, or the same MINIO_ROOT_USER and MINIO_ROOT_PASSWORD";
        let explicit = [("MINIO_ROOT_USER", "minioadmin"), ("MINIO_ROOT_PASSWORD", "minioadmin")];
        check_refused(REMOTE, &[], message);
        check_refused(REMOTE, &explicit, message);
        let root = [("MINIO_ROOT_USER", "root"), ("MINIO_ROOT_PASSWORD", "password")];
        let old = [(USER_OLD, "minioadmin"), (PASSWORD_OLD, "minioadmin")];
        let message = "MINIO_ROOT_USER_OLD is the default root user minioadmin, whom everybody knows, and everybody \
                       could pose as a node; unset MINIO_ROOT_USER_OLD and MINIO_ROOT_PASSWORD_OLD";
        check_refused(REMOTE, &[root, old].concat(), message);
        check(
            LOOPBACK,
            &[root, old].concat(),
            &[user("root", "password"), user("minioadmin", "minioadmin")],
        );
    }

    #[test]
    fn unusable_secrets_are_refused_and_not_shown() {
        let short = |which, bytes| {
            format!(
                "IMPL_PEER_SECRET: the {which} secret has {bytes} bytes, at least 32 are needed; `openssl rand -hex \
                 32` makes one"
            )
        };
        check_refused(REMOTE, &[(SECRET, "correct-horse")], &short("current", 13));
        check_refused(REMOTE, &[(SECRET, &NEW[1..])], &short("current", 31));
        check_refused(REMOTE, &[(SECRET, &format!("{NEW},correct-horse"))], &short("old", 13));
        check_refused(REMOTE, &[(SECRET, &format!("{NEW},"))], &short("old", 0));
        check_refused(REMOTE, &[(SECRET, &format!(",{NEW}"))], &short("current", 0));
        check_refused(
            REMOTE,
            &[(SECRET, &format!("{NEW},{OLD},{NEW}"))],
            "IMPL_PEER_SECRET: 3 secrets are given; at most two are possible, the current one and the old one: NEW,OLD",
        );
        check_refused(
            REMOTE,
            &[("IMPL_PEER_SECRET_FILE", "two-lines")],
            "IMPL_PEER_SECRET must not contain '\\n'",
        );
        check_refused(
            REMOTE,
            &[("IMPL_PEER_SECRET_FILE", "secret"), (SECRET, NEW)],
            "IMPL_PEER_SECRET and IMPL_PEER_SECRET_FILE are both set: set one of them",
        );
        check_refused(
            REMOTE,
            &[("IMPL_PEER_SECRET_FILE", "gone")],
            "IMPL_PEER_SECRET_FILE: /run/secrets/gone: no such file",
        );
        let (found, _) = settings(REMOTE, &[(SECRET, NEW)]).unwrap();
        assert_eq!(format!("{found:?}"), "Some(PeerSettings { secrets: [SharedSecret] })");
        assert_eq!(format!("{:?}", user("root", "password")), "SharedSecret");
    }

    #[test]
    fn variables_without_effect_are_named() {
        let old = [(USER_OLD, "before"), (PASSWORD_OLD, "password-before")];
        let (found, warnings) = settings("/d{1...4}", &[(SECRET, "short"), old[0]]).unwrap();
        assert!(found.is_none());
        assert_eq!(
            warnings,
            [
                "IMPL_PEER_SECRET has no effect: all drives are folders of this host",
                "MINIO_ROOT_USER_OLD has no effect: all drives are folders of this host"
            ]
        );
        let (found, warnings) = settings(REMOTE, &[(SECRET, NEW), old[0], old[1]]).unwrap();
        assert!(found.unwrap().secrets == [given(NEW)]);
        assert_eq!(
            warnings,
            [
                "MINIO_ROOT_USER_OLD has no effect: IMPL_PEER_SECRET is set; an old one is given as NEW,OLD",
                "MINIO_ROOT_PASSWORD_OLD has no effect: IMPL_PEER_SECRET is set; an old one is given as NEW,OLD"
            ]
        );
    }
}

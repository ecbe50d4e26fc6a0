//! The root user's credentials.

use super::Env;
use crate::access::Credentials;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Name and password of the root user when none is configured.
pub(super) const DEFAULT_KEY: &str = "minioadmin";
/// Folder in which container platforms mount secrets; a relative name in a `*_FILE` variable starts here.
const SECRETS_FOLDER: &str = "/run/secrets";
const ACCESS_KEY_LEN_MIN: usize = 3;
const SECRET_KEY_LEN_MIN: usize = 8;

/// Error of the root user's credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A name without a secret, or the other way round.
    #[error("{present} is set but {missing} is not: set both, or neither")]
    HalfSet {
        /// The variable that is set.
        present: &'static str,
        /// The one that it needs.
        missing: &'static str,
    },
    /// A value and a file for it.
    #[error("{name} and {name}_FILE are both set: set one of them")]
    SetTwice {
        /// The variable.
        name: &'static str,
    },
    /// A secret's file cannot be read.
    #[error("{name}_FILE: {}: {source}", path.display())]
    File {
        /// The variable, without `_FILE`.
        name: &'static str,
        /// The file it names.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Too few characters.
    #[error("{name} is too short: at least {len_min} characters are needed")]
    TooShort {
        /// The variable.
        name: &'static str,
        /// The minimum.
        len_min: usize,
    },
    /// A character that signatures and policies use as a separator.
    #[error("{name} must not contain {found:?}")]
    Character {
        /// The variable.
        name: &'static str,
        /// The first such character.
        found: char,
    },
}

/// Reads the root user from `MINIO_ROOT_USER` and `MINIO_ROOT_PASSWORD`, else from the older names, each also as a
/// `*_FILE`; the well-known defaults when nothing is set.
pub(super) fn root_user(
    env: &Env,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    warnings: &mut Vec<String>,
) -> Result<Credentials, CredentialError> {
    if let Some(pair) = pair(env, read_file, "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")? {
        return Ok(pair);
    }
    if let Some(pair) = pair(env, read_file, "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")? {
        warnings.push(
            "MINIO_ACCESS_KEY and MINIO_SECRET_KEY are old names of MINIO_ROOT_USER and MINIO_ROOT_PASSWORD".into(),
        );
        return Ok(pair);
    }
    warnings.push(format!(
        "everybody knows the root user {DEFAULT_KEY}:{DEFAULT_KEY}: set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD"
    ));
    Ok(Credentials {
        access_key: DEFAULT_KEY.into(),
        secret_key: DEFAULT_KEY.into(),
    })
}

/// Returns whether these are the well-known defaults, set or not.
pub(super) fn is_default(credentials: &Credentials) -> bool {
    credentials.access_key == DEFAULT_KEY && credentials.secret_key == DEFAULT_KEY
}

/// Reads a name and its secret from two variables or their `_FILE` twins; `None` when neither is set.
pub(super) fn pair(
    env: &Env,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    user: &'static str,
    secret: &'static str,
) -> Result<Option<Credentials>, CredentialError> {
    let (access_key, secret_key) = match (value(env, read_file, user)?, value(env, read_file, secret)?) {
        (None, None) => return Ok(None),
        (Some(_), None) => {
            return Err(CredentialError::HalfSet {
                present: user,
                missing: secret,
            });
        }
        (None, Some(_)) => {
            return Err(CredentialError::HalfSet {
                present: secret,
                missing: user,
            });
        }
        (Some(access_key), Some(secret_key)) => (access_key, secret_key),
    };
    for (name, value, len_min) in [
        (user, &access_key, ACCESS_KEY_LEN_MIN),
        (secret, &secret_key, SECRET_KEY_LEN_MIN),
    ] {
        if value.chars().count() < len_min {
            return Err(CredentialError::TooShort { name, len_min });
        }
    }
    if let Some(found) = access_key.chars().find(|c| ['=', ','].contains(c) || c.is_control()) {
        return Err(CredentialError::Character { name: user, found });
    }
    Ok(Some(Credentials { access_key, secret_key }))
}

/// A variable's value, or the trimmed content of the file that its `_FILE` twin names.
pub(super) fn value(
    env: &Env,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    name: &'static str,
) -> Result<Option<String>, CredentialError> {
    match (env.get(name), env.get(&format!("{name}_FILE"))) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(value.to_owned())),
        (Some(_), Some(_)) => Err(CredentialError::SetTwice { name }),
        (None, Some(file)) => {
            let path = Path::new(SECRETS_FOLDER).join(file);
            let content = read_file(&path).map_err(|source| CredentialError::File { name, path, source })?;
            Ok(Some(content.trim().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: access key and secret, or the error's text.
    fn check(env: &[(&str, &str)], expected: Result<(&str, &str), &str>) {
        let files = |path: &Path| match path.to_str() {
            Some("/run/secrets/user") => Ok("  filed\n".to_owned()),
            Some("/etc/password") => Ok("from a file\n".to_owned()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        };
        let found = root_user(&Env::from_pairs(env), &files, &mut Vec::new());
        let found = found
            .map(|c| (c.access_key, c.secret_key))
            .map_err(|error| error.to_string());
        let owned = |(user, secret): (&str, &str)| (user.to_owned(), secret.to_owned());
        assert_eq!(found, expected.map(owned).map_err(str::to_owned), "{env:?}");
    }

    #[test]
    fn where_credentials_come_from() {
        let root = [("MINIO_ROOT_USER", "root"), ("MINIO_ROOT_PASSWORD", "password")];
        let old = [("MINIO_ACCESS_KEY", "old"), ("MINIO_SECRET_KEY", "old-secret")];
        check(&[], Ok(("minioadmin", "minioadmin")));
        check(&root, Ok(("root", "password")));
        check(&old, Ok(("old", "old-secret")));
        check(&[root, old].concat(), Ok(("root", "password")));
        check(
            &[
                ("MINIO_ROOT_USER_FILE", "user"),
                ("MINIO_ROOT_PASSWORD_FILE", "/etc/password"),
            ],
            Ok(("filed", "from a file")),
        );
        check(&[("MINIO_ROOT_USER_FILE", "user"), root[1]], Ok(("filed", "password")));
    }

    #[test]
    fn half_a_pair_is_refused() {
        let half = |present, missing| format!("{present} is set but {missing} is not: set both, or neither");
        check(
            &[("MINIO_ROOT_USER", "root")],
            Err(&half("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")),
        );
        check(
            &[("MINIO_ROOT_PASSWORD", "password")],
            Err(&half("MINIO_ROOT_PASSWORD", "MINIO_ROOT_USER")),
        );
        check(
            &[("MINIO_SECRET_KEY", "password")],
            Err(&half("MINIO_SECRET_KEY", "MINIO_ACCESS_KEY")),
        );
        check(
            &[("MINIO_ROOT_USER", "root"), ("MINIO_SECRET_KEY", "password")],
            Err(&half("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")),
        );
        check(
            &[("MINIO_ROOT_USER", "root"), ("MINIO_ROOT_PASSWORD", "")],
            Err(&half("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")),
        );
    }

    #[test]
    fn unusable_values_are_refused() {
        let check = |user, password, message| {
            check(
                &[("MINIO_ROOT_USER", user), ("MINIO_ROOT_PASSWORD", password)],
                Err(message),
            );
        };
        check(
            "ab",
            "password",
            "MINIO_ROOT_USER is too short: at least 3 characters are needed",
        );
        check(
            "abc",
            "1234567",
            "MINIO_ROOT_PASSWORD is too short: at least 8 characters are needed",
        );
        check("a=c", "password", "MINIO_ROOT_USER must not contain '='");
        check("a,c", "password", "MINIO_ROOT_USER must not contain ','");
    }

    #[test]
    fn files_must_be_readable_and_alone() {
        check(
            &[("MINIO_ROOT_USER_FILE", "gone"), ("MINIO_ROOT_PASSWORD", "password")],
            Err("MINIO_ROOT_USER_FILE: /run/secrets/gone: no such file"),
        );
        check(
            &[("MINIO_ROOT_USER_FILE", "user"), ("MINIO_ROOT_USER", "root")],
            Err("MINIO_ROOT_USER and MINIO_ROOT_USER_FILE are both set: set one of them"),
        );
    }

    #[test]
    fn the_secret_is_never_shown() {
        let credentials = Credentials {
            access_key: "user".into(),
            secret_key: "correct-horse".into(),
        };
        assert!(!format!("{credentials:?}").contains("correct-horse"), "{credentials:?}");
    }
}

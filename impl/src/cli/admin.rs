//! `impl admin`: looks at a running server, and lets Prometheus look at it.

mod endpoint;
mod table;

use super::{fail, print};
use crate::{
    access::token,
    admin::{
        INFO_PATH, Info,
        client::{self, Asking},
    },
    config::{self, ConfigError, Env},
    http::{
        ClientTls, TlsError, Trust,
        client::{ClientError, Remote},
    },
    runtime::{Rt, real::RealRuntime},
};
use clap::{Args, Subcommand};
use endpoint::{Endpoint, InvalidEndpoint};
use http::StatusCode;
use std::{io, path::Path, process::ExitCode};

/// The region of a server that is told none.
const DEFAULT_REGION: &str = "us-east-1";

const ENVIRONMENT: &str = "\
Environment:
  MINIO_ROOT_USER, MINIO_ROOT_PASSWORD  The root user of the server, as the server has it
  MINIO_SITE_REGION                     The server's region [us-east-1]
  SSL_CERT_FILE                         A file of authorities to trust [the system's]

Examples:
  The state of the server on this host
    impl admin info

  The same of another one, for a script
    impl admin info --endpoint http://10.0.0.7:9000 --json

  Over TLS, where the server's certificate is signed by an authority of your own, ca/CAs/public.crt
    impl admin info --endpoint https://store.example:9000 --certs-dir ca

  What Prometheus needs to scrape it
    impl admin prometheus --endpoint http://10.0.0.7:9000
";

/// Look at a running server
#[derive(Args)]
#[command(after_help = ENVIRONMENT, verbatim_doc_comment)]
pub struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Show state, drives, space and quorums
    Info {
        #[command(flatten)]
        server: ServerUrl,
        /// Beside the authorities that the system trusts, trust those whose certificates are in CAs/ of this folder
        /// [default: ~/.minio/certs]
        #[arg(long, short = 'S', value_name = "DIR")]
        certs_dir: Option<String>,
        /// As JSON, as the server tells it
        #[arg(long)]
        json: bool,
    },
    /// Write a scrape configuration with a token for Prometheus
    Prometheus {
        #[command(flatten)]
        server: ServerUrl,
        /// Days for which the token is valid
        #[arg(long, value_name = "DAYS", default_value = "365", value_parser = days())]
        days: u64,
    },
}

#[derive(Args)]
struct ServerUrl {
    /// The server's URL, http:// or https://
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000")]
    endpoint: String,
    /// Accept any certificate over https://, also one of somebody who only claims to be the server
    #[arg(long)]
    insecure: bool,
}

/// Error of an admin command. One line, for the operator.
#[derive(Debug, thiserror::Error)]
enum AdminError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    #[error("the runtime does not start: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{endpoint}: {source}")]
    Client { endpoint: String, source: ClientError },
    #[error(
        "{endpoint} does not let us in: MINIO_ROOT_USER and MINIO_ROOT_PASSWORD must be those of the server ({code})"
    )]
    Denied { endpoint: String, code: String },
    #[error("{endpoint} answers {status}: {text}")]
    Status {
        endpoint: String,
        status: StatusCode,
        text: String,
    },
    #[error("{endpoint} does not answer as this program's admin API does: {source}")]
    Answer {
        endpoint: String,
        source: serde_json::Error,
    },
}

/// Up to a century.
fn days() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=36_500)
}

/// Does it.
pub(super) fn run(args: AdminArgs) -> ExitCode {
    let done = match args.command {
        AdminCommand::Info {
            server,
            certs_dir,
            json,
        } => block_on(async |rt| info(&rt, &server, certs_dir, json).await),
        AdminCommand::Prometheus { server, days } => block_on(async |rt| prometheus(&rt, &server, days)),
    };
    match done {
        Ok(text) => print(&text),
        Err(error) => fail(&error),
    }
}

fn block_on(work: impl AsyncFnOnce(Rt) -> Result<String, AdminError>) -> Result<String, AdminError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AdminError::Runtime)?;
    runtime.block_on(async { work(RealRuntime::new()).await })
}

async fn info(rt: &Rt, server: &ServerUrl, certs_dir: Option<String>, json: bool) -> Result<String, AdminError> {
    let env = Env::of_process(&super::read_secret)?;
    let endpoint: Endpoint = server.endpoint.parse()?;
    let addresses = endpoint.addresses()?;
    let tls = match (endpoint.is_tls(), server.insecure) {
        (false, _) => None,
        (true, true) => Some(ClientTls::new(rt, Trust::Anybody).await?),
        (true, false) => Some(ClientTls::new(rt, authorities(&env, certs_dir)).await?),
    };
    let asking = Asking {
        authority: endpoint.authority(),
        remote: Remote {
            host: endpoint.host(),
            tls: tls.as_ref(),
            addresses: &addresses,
        },
        credentials: &config::root_user(&env, &super::read_secret)?,
        region: config::region(&env).unwrap_or(DEFAULT_REGION),
    };
    let endpoint = endpoint.to_string();
    let (status, body) = match client::get(rt, &asking, INFO_PATH).await {
        Ok(answer) => answer,
        Err(source) => return Err(AdminError::Client { endpoint, source }),
    };
    if status != StatusCode::OK {
        return Err(refused(endpoint, status, &String::from_utf8_lossy(&body)));
    }
    let parsed = serde_json::from_slice(&body).and_then(|value: serde_json::Value| {
        let info: Info = serde_json::from_value(value.clone())?;
        Ok((info, value))
    });
    match parsed {
        Ok((_, value)) if json => Ok(format!("{value:#}\n")),
        Ok((info, _)) => Ok(table::of(&info)),
        Err(source) => Err(AdminError::Answer { endpoint, source }),
    }
}

/// Returns the authorities to trust: the system's, and those of the folder of certificates.
fn authorities(env: &Env, certs_dir: Option<String>) -> Trust {
    Trust::Authorities {
        system: env.get("SSL_CERT_FILE").map(Into::into),
        // Relative to where we are.
        folder: config::certs_dir(certs_dir, env, Path::new("")),
    }
}

/// Meaning of an error answer of the server: JSON; a proxy in front of it may send anything.
fn refused(endpoint: String, status: StatusCode, body: &str) -> AdminError {
    let document: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let text = |name: &str| document.get(name).and_then(|text| text.as_str()).map(str::to_owned);
    let code = text("Code");
    match (status, code) {
        (StatusCode::FORBIDDEN, Some(code)) if code != "RequestTimeTooSkewed" => AdminError::Denied { endpoint, code },
        (_, code) => AdminError::Status {
            endpoint,
            status,
            text: text("Message").or(code).unwrap_or_else(|| "no reason given".to_owned()),
        },
    }
}

fn prometheus(rt: &Rt, server: &ServerUrl, days: u64) -> Result<String, AdminError> {
    let endpoint: Endpoint = server.endpoint.parse()?;
    let env = Env::of_process(&super::read_secret)?;
    let credentials = config::root_user(&env, &super::read_secret)?;
    let expires_seconds = rt.wall_nanos() / 1_000_000_000 + days * 86_400;
    let token = token::mint(&credentials, expires_seconds);
    let (scheme, authority) = (endpoint.scheme(), endpoint.authority());
    let tls = if endpoint.is_tls() && server.insecure {
        "  tls_config:\n    insecure_skip_verify: true\n"
    } else {
        ""
    };
    Ok(format!(
        "scrape_configs:\n- job_name: impl\n  bearer_token: {token}\n  metrics_path: /minio/v2/metrics/cluster\n  \
         scheme: {scheme}\n{tls}  static_configs:\n  - targets: ['{authority}']\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let text = |status, body| refused("http://h".into(), status, body).to_string();
        assert_eq!(
            text(StatusCode::FORBIDDEN, r#"{"Code": "SignatureDoesNotMatch"}"#),
            "http://h does not let us in: MINIO_ROOT_USER and MINIO_ROOT_PASSWORD must be those of the server \
             (SignatureDoesNotMatch)"
        );
        assert_eq!(
            text(
                StatusCode::FORBIDDEN,
                r#"{"Code": "RequestTimeTooSkewed", "Message": "clocks"}"#
            ),
            "http://h answers 403 Forbidden: clocks"
        );
        assert_eq!(
            text(StatusCode::NOT_FOUND, "<html>"),
            "http://h answers 404 Not Found: no reason given"
        );
    }
}

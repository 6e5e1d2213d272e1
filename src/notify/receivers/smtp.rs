//! Hands a mail to a mail server.
//!
//! In: a mail, the server and how to log in. Out: what the server said. Never here: what the mail
//! says.

use std::io::ErrorKind;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Identity, SmtpConnection, TlsParameters, TlsVersion,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use md5::{Digest, Md5};

use super::mail::Mail;
use super::trouble::Trouble;
use crate::notify::config::{EmailConfig, Secret, TlsConfig, TlsVersion as Version};
use crate::notify::deliver::FailureKind;
use crate::web_client::tls;

/// The port on which mail servers speak TLS from the first byte.
const TLS_PORT: &str = "465";

/// Sends `mail`; what the server said at the end.
///
/// # Errors
/// The server cannot be reached, or does not take it. What it refuses for good may be taken when
/// somebody has changed something, so every answer of it may pass, as in Alertmanager.
pub fn send(config: &EmailConfig, mail: &Mail, timeout: Duration) -> Result<String, Trouble> {
    let mut connection = connect(config, timeout)?;
    let result = talk(config, mail, &mut connection);
    // The mail is delivered or not: how the talk ends changes nothing.
    let _ = connection.quit();
    result
}

fn trouble(what: &str, error: &SmtpError) -> Trouble {
    if timed_out(error) {
        return Trouble::temporary(FailureKind::Timeout, format!("{what}: no answer in time"));
    }
    let kind = match error.status() {
        Some(code) if matches!(code.to_string().as_str(), "530" | "534" | "535") => {
            FailureKind::Auth
        }
        Some(_) if error.is_permanent() => FailureKind::ClientError,
        Some(_) => FailureKind::ServerError,
        None => FailureKind::Other,
    };
    Trouble::temporary(kind, format!("{what}: {error}"))
}

/// A socket whose time is over says so in one of two ways, depending on the system.
fn timed_out(error: &SmtpError) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |e| e.source());
    error.is_timeout()
        || causes.any(|cause| {
            let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            matches!(io, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut))
        })
}

fn connect(config: &EmailConfig, timeout: Duration) -> Result<SmtpConnection, Trouble> {
    let server = &*config.smarthost;
    let hello = ClientId::Domain(match config.hello.as_str() {
        "" => "localhost".to_owned(),
        hello => hello.to_owned(),
    });
    let is_tls = config.force_implicit_tls.unwrap_or(server.port == TLS_PORT);
    let tls = if is_tls { Some(parameters(config)?) } else { None };
    let port = config.port().map_err(|why| Trouble::lasting(FailureKind::Other, why))?;
    let address = (server.host.as_str(), port);
    let connected = SmtpConnection::connect(address, Some(timeout), &hello, tls.as_ref(), None);
    let mut connection = connected.map_err(|e| trouble(&format!("connecting to {server}"), &e))?;
    if *config.require_tls && !is_tls {
        if !connection.can_starttls() {
            let why = format!("{server} does not offer STARTTLS, and require_tls is set");
            return Err(Trouble::temporary(FailureKind::Other, why));
        }
        connection
            .starttls(&parameters(config)?, &hello)
            .map_err(|e| trouble(&format!("STARTTLS with {server}"), &e))?;
    }
    Ok(connection)
}

fn parameters(config: &EmailConfig) -> Result<TlsParameters, Trouble> {
    let section: &TlsConfig = &config.tls_config;
    let bad = |what: &str, why: String| {
        Trouble::lasting(FailureKind::Other, format!("tls_config: {what}: {why}"))
    };
    let read = |what: &str, secret: &Secret| secret.read().map_err(|why| bad(what, why));
    let name = match section.server_name.as_str() {
        "" => config.smarthost.host.clone(),
        name => name.to_owned(),
    };
    let mut builder = TlsParameters::builder(name)
        .dangerous_accept_invalid_certs(section.insecure_skip_verify)
        .set_min_tls_version(match section.min_version {
            Some(Version::V13) => TlsVersion::Tlsv13,
            _ => TlsVersion::Tlsv12,
        });
    if let Some(ca) = &section.ca {
        let pem = read("ca", ca)?;
        let all = Certificate::from_pem(pem.as_bytes()).map_err(|e| bad("ca", e.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(all);
    }
    if let (Some(cert), Some(key)) = (&section.cert, &section.key) {
        let chain = tls::certificates("cert", cert);
        let chain = chain.map_err(|why| Trouble::lasting(FailureKind::Other, why))?;
        let [own] = chain.as_slice() else {
            return Err(bad("cert", "mail takes one certificate, without those above it".into()));
        };
        let key = read("key", key)?;
        // lettre 0.11 takes the bytes as they are, so they must be DER although it calls them PEM.
        let identity = Identity::from_pem(own.as_ref(), key.as_bytes());
        builder = builder.identify_with(identity.map_err(|e| bad("cert", e.to_string()))?);
    }
    builder.build().map_err(|e| bad("parameters", e.to_string()))
}

fn talk(
    config: &EmailConfig,
    mail: &Mail,
    connection: &mut SmtpConnection,
) -> Result<String, Trouble> {
    log_in(config, connection)?;
    let command = |connection: &mut SmtpConnection, text: String, name: &str| {
        connection.command(text).map_err(|e| trouble(name, &e))
    };
    command(connection, format!("MAIL FROM:<{}>\r\n", mail.from), "MAIL")?;
    for to in &mail.to {
        command(connection, format!("RCPT TO:<{to}>\r\n"), "RCPT")?;
    }
    command(connection, "DATA\r\n".to_owned(), "DATA")?;
    let said = connection.message(mail.text.as_bytes()).map_err(|error| {
        let mut trouble = trouble("delivery", &error);
        // Without an answer nobody knows whether it was taken.
        trouble.failure.maybe_delivered = error.status().is_none();
        trouble
    })?;
    let line = said.message().next().unwrap_or_default().to_owned();
    Ok(format!("{} {line}", said.code()))
}

/// Logs in with the first way that the server offers and there is a password for.
fn log_in(config: &EmailConfig, connection: &mut SmtpConnection) -> Result<(), Trouble> {
    let user = &config.auth_username;
    if user.is_empty() {
        return Ok(());
    }
    // Asked again, since what was read of the first answer lacks ways to log in and their order.
    let offered = connection.command(format!("EHLO {}\r\n", greeting(config)));
    let mechanisms = mechanisms(&offered.map_err(|e| trouble("EHLO", &e))?);
    if mechanisms.is_empty() {
        return Ok(());
    }
    // One that cannot be read is in the way of nothing but what needs it.
    let mut unread = String::new();
    let mut read = |secret: &Option<Secret>| match secret.as_ref().map(Secret::read) {
        None => None,
        Some(Ok(text)) => Some(text).filter(|text| !text.is_empty()),
        Some(Err(why)) => {
            unread.push_str("; ");
            unread.push_str(&why);
            None
        }
    };
    let (password, secret) = (read(&config.auth_password), read(&config.auth_secret));
    for mechanism in &mechanisms {
        match (mechanism.as_str(), &password, &secret) {
            ("CRAM-MD5", _, Some(secret)) => return cram_md5(connection, user, secret),
            ("PLAIN", Some(password), _) => {
                return plain(config, connection, password);
            }
            ("LOGIN", Some(password), _) => {
                let credentials = Credentials::new(user.clone(), password.clone());
                let done = connection.auth(&[Mechanism::Login], &credentials);
                return done.map(drop).map_err(|e| trouble("AUTH LOGIN", &e));
            }
            _ => {}
        }
    }
    let why = format!(
        "no way to log in: {} offers {}, and there is no password or secret for these{unread}",
        &*config.smarthost,
        mechanisms.join(", ")
    );
    Err(Trouble::temporary(FailureKind::Auth, why))
}

fn greeting(config: &EmailConfig) -> String {
    if config.hello.is_empty() { "localhost".to_owned() } else { config.hello.clone() }
}

/// The ways to log in that the answer to EHLO lists, in its order.
fn mechanisms(offered: &Response) -> Vec<String> {
    let line = offered.message().find_map(|line| line.strip_prefix("AUTH ").map(str::to_owned));
    line.unwrap_or_default().split_whitespace().map(str::to_uppercase).collect()
}

/// A password in the clear: over TLS, or to this machine.
fn plain(
    config: &EmailConfig,
    connection: &mut SmtpConnection,
    password: &str,
) -> Result<(), Trouble> {
    let host = config.smarthost.host.as_str();
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "::1");
    if !connection.is_encrypted() && !is_local {
        let why = "AUTH PLAIN: the connection is not encrypted";
        return Err(Trouble::temporary(FailureKind::Auth, why));
    }
    let (identity, user) = (&config.auth_identity, &config.auth_username);
    let answer = BASE64_STANDARD.encode(format!("{identity}\0{user}\0{password}"));
    let done = connection.command(format!("AUTH PLAIN {answer}\r\n"));
    done.map(drop).map_err(|e| trouble("AUTH PLAIN", &e))
}

fn cram_md5(connection: &mut SmtpConnection, user: &str, secret: &str) -> Result<(), Trouble> {
    let failed = |e: SmtpError| trouble("AUTH CRAM-MD5", &e);
    let challenge = connection.command("AUTH CRAM-MD5\r\n").map_err(failed)?;
    let challenge = challenge.message().next().unwrap_or_default().to_owned();
    let challenge = BASE64_STANDARD.decode(challenge.trim()).map_err(|_| {
        let why = "AUTH CRAM-MD5: the server's challenge is no base64";
        Trouble::temporary(FailureKind::Auth, why)
    })?;
    let proof = super::context::hex(&hmac_md5(secret.as_bytes(), &challenge));
    let answer = BASE64_STANDARD.encode(format!("{user} {proof}"));
    connection.command(format!("{answer}\r\n")).map(drop).map_err(failed)
}

/// HMAC (RFC 2104) with MD5.
fn hmac_md5(key: &[u8], text: &[u8]) -> [u8; 16] {
    let mut block = [0u8; 64];
    match key.len() > block.len() {
        true => block[..16].copy_from_slice(&Md5::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let inner = block.map(|byte| byte ^ 0x36);
    let outer = block.map(|byte| byte ^ 0x5c);
    let inner = Md5::new().chain_update(inner).chain_update(text).finalize();
    Md5::new().chain_update(outer).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_that_of_the_standard() {
        // RFC 2195, section 2.
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let proof = super::super::context::hex(&hmac_md5(b"tanstaaftanstaaf", challenge));
        assert_eq!(proof, "b913a602c7eda7a495b4e6e7334d3890");
    }
}

//! Hands a mail to a mail server.
//!
//! In: a mail, the server and how to log in. Out: what the server said. Never here: what the mail
//! says.
//!
//! Sources: RFC 5321 (SMTP), 3207 (STARTTLS), 4954 (AUTH), 2195 (CRAM-MD5).

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use md5::{Digest, Md5};

use super::mail::Mail;
use super::smtp_wire::{Connection, Reply, SmtpError};
use super::trouble::Trouble;
use crate::notify::config::{EmailConfig, Secret};
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
    let (mut connection, offered) = connect(config, Instant::now() + timeout)?;
    let result = talk(config, mail, &mut connection, &offered);
    // The mail is delivered or not: how the talk ends changes nothing.
    let _ = connection.command("QUIT");
    result
}

fn trouble(what: &str, error: &SmtpError) -> Trouble {
    let kind = match error {
        error if error.is_timeout() => {
            return Trouble::temporary(FailureKind::Timeout, format!("{what}: no answer in time"));
        }
        SmtpError::Refused(Reply { code: 530 | 534 | 535, .. }) => FailureKind::Auth,
        SmtpError::Refused(reply) if reply.code >= 500 => FailureKind::ClientError,
        SmtpError::Refused(_) => FailureKind::ServerError,
        SmtpError::Io(_) | SmtpError::Malformed(_) => FailureKind::Other,
    };
    Trouble::temporary(kind, format!("{what}: {error}"))
}

/// What a server offers: its answer to the greeting.
struct Offered(Vec<String>);

impl Offered {
    fn has(&self, keyword: &str) -> bool {
        self.0.iter().any(|line| line.eq_ignore_ascii_case(keyword))
    }

    /// The ways to log in, in its order.
    fn mechanisms(&self) -> Vec<String> {
        let is_auth =
            |line: &&String| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("AUTH "));
        let line = self.0.iter().find(is_auth).map(String::as_str).unwrap_or_default();
        line.split_whitespace().skip(1).map(str::to_uppercase).collect()
    }
}

fn connect(config: &EmailConfig, until: Instant) -> Result<(Connection, Offered), Trouble> {
    let server = &*config.smarthost;
    let lasting = |why: String| Trouble::lasting(FailureKind::Other, why);
    let port = config.port().map_err(lasting)?;
    let is_tls = config.force_implicit_tls.unwrap_or(server.port == TLS_PORT);
    let connecting = format!("connecting to {server}");
    let opened = Connection::open(&server.host, port, until);
    let mut connection = opened.map_err(|e| trouble(&connecting, &e))?;
    if is_tls {
        encrypt(config, &mut connection, &connecting)?;
    }
    connection.reply().map_err(|e| trouble(&connecting, &e))?;
    let offered = greet(config, &mut connection)?;
    if is_tls || !*config.require_tls {
        return Ok((connection, offered));
    }
    if !offered.has("STARTTLS") {
        let why = format!("{server} does not offer STARTTLS, and require_tls is set");
        return Err(Trouble::temporary(FailureKind::Other, why));
    }
    let starting = format!("STARTTLS with {server}");
    connection.command("STARTTLS").map_err(|e| trouble(&starting, &e))?;
    encrypt(config, &mut connection, &starting)?;
    let offered = greet(config, &mut connection)?;
    Ok((connection, offered))
}

fn encrypt(config: &EmailConfig, connection: &mut Connection, what: &str) -> Result<(), Trouble> {
    let bad = |why| Trouble::lasting(FailureKind::Other, format!("tls_config: {why}"));
    let client = tls::client(&config.tls_config).map_err(bad)?;
    let name = tls::name(&config.tls_config, &config.smarthost.host).map_err(bad)?;
    connection.encrypt(client, name).map_err(|e| trouble(what, &e))
}

/// Servers that do not know the greeting of today are greeted with that of old.
fn greet(config: &EmailConfig, connection: &mut Connection) -> Result<Offered, Trouble> {
    let hello = if config.hello.is_empty() { "localhost" } else { &config.hello };
    match connection.command(&format!("EHLO {hello}")) {
        Ok(reply) => Ok(Offered(reply.lines.into_iter().skip(1).collect())),
        Err(SmtpError::Refused(reply)) if reply.code >= 500 => {
            let said = connection.command(&format!("HELO {hello}"));
            said.map(|_| Offered(Vec::new())).map_err(|e| trouble("HELO", &e))
        }
        Err(error) => Err(trouble("EHLO", &error)),
    }
}

fn talk(
    config: &EmailConfig,
    mail: &Mail,
    connection: &mut Connection,
    offered: &Offered,
) -> Result<String, Trouble> {
    log_in(config, connection, offered)?;
    let mut command =
        |text: &str, name: &str| connection.command(text).map(drop).map_err(|e| trouble(name, &e));
    command(&format!("MAIL FROM:<{}>", mail.from), "MAIL")?;
    for to in &mail.to {
        command(&format!("RCPT TO:<{to}>"), "RCPT")?;
    }
    command("DATA", "DATA")?;
    let said = connection.message(&mail.text).map_err(|error| {
        let mut trouble = trouble("delivery", &error);
        // Without an answer nobody knows whether it was taken.
        trouble.failure.maybe_delivered = !matches!(error, SmtpError::Refused(_));
        trouble
    })?;
    Ok(said.to_string())
}

/// Logs in with the first way that the server offers and there is a password for.
fn log_in(
    config: &EmailConfig,
    connection: &mut Connection,
    offered: &Offered,
) -> Result<(), Trouble> {
    let (user, mechanisms) = (&config.auth_username, offered.mechanisms());
    if user.is_empty() || mechanisms.is_empty() {
        return Ok(());
    }
    let read = |secret: &Option<Secret>| -> Result<Option<String>, Trouble> {
        let text = secret.as_ref().map(Secret::read).transpose();
        let text = text.map_err(|why| Trouble::temporary(FailureKind::Other, why))?;
        Ok(text.filter(|text| !text.is_empty()))
    };
    let (password, secret) = (read(&config.auth_password)?, read(&config.auth_secret)?);
    for mechanism in &mechanisms {
        match (mechanism.as_str(), &password, &secret) {
            ("CRAM-MD5", _, Some(secret)) => return cram_md5(connection, user, secret),
            ("PLAIN", Some(password), _) => return plain(config, connection, password),
            ("LOGIN", Some(password), _) => return login(connection, user, password),
            _ => {}
        }
    }
    let why = format!(
        "no way to log in: {} offers {}, and there is no password or secret for these",
        &*config.smarthost,
        mechanisms.join(", ")
    );
    Err(Trouble::temporary(FailureKind::Auth, why))
}

/// A password in the clear: over TLS, or to this machine.
fn plain(config: &EmailConfig, connection: &mut Connection, password: &str) -> Result<(), Trouble> {
    let host = config.smarthost.host.as_str();
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "::1");
    if !connection.is_encrypted() && !is_local {
        let why = "AUTH PLAIN: the connection is not encrypted";
        return Err(Trouble::temporary(FailureKind::Auth, why));
    }
    let (identity, user) = (&config.auth_identity, &config.auth_username);
    let answer = BASE64_STANDARD.encode(format!("{identity}\0{user}\0{password}"));
    let done = connection.command(&format!("AUTH PLAIN {answer}"));
    done.map(drop).map_err(|e| trouble("AUTH PLAIN", &e))
}

/// The server asks for the user, then for the password.
fn login(connection: &mut Connection, user: &str, password: &str) -> Result<(), Trouble> {
    let (user, password) = (BASE64_STANDARD.encode(user), BASE64_STANDARD.encode(password));
    for command in ["AUTH LOGIN", &user, &password] {
        connection.command(command).map_err(|e| trouble("AUTH LOGIN", &e))?;
    }
    Ok(())
}

fn cram_md5(connection: &mut Connection, user: &str, secret: &str) -> Result<(), Trouble> {
    let failed = |e: SmtpError| trouble("AUTH CRAM-MD5", &e);
    let challenge = connection.command("AUTH CRAM-MD5").map_err(failed)?;
    let challenge = challenge.lines.first().map(String::as_str).unwrap_or_default();
    let challenge = BASE64_STANDARD.decode(challenge.trim()).map_err(|_| {
        let why = "AUTH CRAM-MD5: the server's challenge is no base64";
        Trouble::temporary(FailureKind::Auth, why)
    })?;
    let proof = super::context::hex(&hmac_md5(secret.as_bytes(), &challenge));
    let answer = BASE64_STANDARD.encode(format!("{user} {proof}"));
    connection.command(&answer).map(drop).map_err(failed)
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

//! TLS of the requests we send: which authorities are trusted and which certificate is shown.
//!
//! In: PEM texts, or the files they are in. Out: the configuration of the HTTP client. Never here:
//! where a section of the configuration says so, and who is asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

/// TLS of one server that is asked; the texts are in files, read anew for each client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsOptions {
    /// PEM file of the authorities to trust instead of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the own certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
    /// Whether any certificate is taken.
    pub insecure_skip_verify: bool,
}

impl TlsOptions {
    /// The client's configuration.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be used.
    pub fn client(&self) -> Result<TlsConfig, String> {
        let ca = self.ca_file.as_deref().map(Pem::read).transpose()?;
        let own = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => Some((Pem::read(cert)?, Pem::read(key)?)),
            _ => None,
        };
        client(self.insecure_skip_verify, ca, own)
    }
}

/// A PEM text.
pub struct Pem {
    /// What errors call it.
    pub name: String,
    /// The text.
    pub text: Vec<u8>,
}

impl Pem {
    fn read(path: &Path) -> Result<Pem, String> {
        let name = path.display().to_string();
        let text = std::fs::read(path).map_err(|error| format!("reading {name}: {error}"))?;
        Ok(Pem { name, text })
    }

    fn items(&self) -> Result<Vec<PemItem<'static>>, String> {
        let items: Result<Vec<_>, _> = parse_pem(&self.text).collect();
        let items = items.map_err(|error| format!("{} is not PEM: {error}", self.name))?;
        if items.is_empty() {
            return Err(format!("{} holds no PEM blocks", self.name));
        }
        Ok(items)
    }

    fn certificates(&self) -> Result<Vec<Certificate<'static>>, String> {
        let certificate = |item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        };
        let all: Vec<_> = self.items()?.into_iter().filter_map(certificate).collect();
        if all.is_empty() { Err(format!("{} holds no certificate", self.name)) } else { Ok(all) }
    }
}

/// The client's configuration: `ca` holds the authorities trusted instead of the built-in ones,
/// `own` the certificate chain that is shown, and its key.
///
/// # Errors
/// A sentence that names the text that cannot be used.
pub fn client(
    insecure_skip_verify: bool,
    ca: Option<Pem>,
    own: Option<(Pem, Pem)>,
) -> Result<TlsConfig, String> {
    let mut builder = TlsConfig::builder().disable_verification(insecure_skip_verify);
    if let Some(ca) = ca {
        builder = builder.root_certs(RootCerts::Specific(Arc::new(ca.certificates()?)));
    }
    if let Some((cert, key)) = own {
        let private_key = |item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        };
        let found = key.items()?.into_iter().find_map(private_key);
        let found = found.ok_or_else(|| format!("{} holds no private key", key.name))?;
        let own = ClientCert::new_with_certs(&cert.certificates()?, found);
        builder = builder.client_cert(Some(own));
    }
    Ok(builder.build())
}

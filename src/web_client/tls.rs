//! TLS of the requests we send: which authorities are trusted, which certificate is shown, which
//! versions are spoken.
//!
//! In: the section `tls_config`. Out: the configuration of rustls. Texts in files are read anew for
//! each client, so that they can be rotated.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use super::config::{TlsConfig, TlsVersion};
use crate::secret::Secret;

/// The configuration of a client.
///
/// # Errors
/// A sentence that names the text that cannot be used.
pub fn client(section: &TlsConfig) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(section))
        .map_err(|error| format!("versions of TLS: {error}"))?;
    let builder = match section.insecure_skip_verify {
        true => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        false => builder.with_root_certificates(roots(section)?),
    };
    let config = match own(section)? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("the certificate and its key do not fit: {error}"))?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The name that the certificate of `host` has to have.
///
/// # Errors
/// A sentence: it is none.
pub fn name(section: &TlsConfig, host: &str) -> Result<ServerName<'static>, String> {
    let name = match section.server_name.as_str() {
        "" => host.trim_start_matches('[').trim_end_matches(']'),
        name => name,
    };
    ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is no name of a server"))
}

/// Checks what stands in the configuration itself; files are looked at when they are used.
///
/// # Errors
/// A sentence that names the key.
pub fn check(section: &TlsConfig) -> Result<(), String> {
    if !section.server_name.is_empty() {
        name(section, "").map_err(|why| format!("server_name: {why}"))?;
    }
    // A text that we have masked ourselves cannot be checked any more.
    let is_text = |text: &&Secret| text.inline().is_some_and(|text| text != crate::secret::MASK);
    if let Some(ca) = section.ca.as_ref().filter(is_text) {
        certificates("ca", ca)?;
    }
    if let Some(cert) = section.cert.as_ref().filter(is_text) {
        certificates("cert", cert)?;
    }
    if let Some(key) = section.key.as_ref().filter(is_text) {
        private_key(key)?;
    }
    Ok(())
}

/// Older versions than 1.2 are not spoken, as in Go unless they are asked for.
fn versions(section: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
    [(TlsVersion::V12, &TLS12), (TlsVersion::V13, &TLS13)]
        .into_iter()
        .filter(|(version, _)| section.min_version.is_none_or(|min| min <= *version))
        .filter(|(version, _)| section.max_version.is_none_or(|max| *version <= max))
        .map(|(_, supported)| supported)
        .collect()
}

fn roots(section: &TlsConfig) -> Result<RootCertStore, String> {
    let Some(ca) = &section.ca else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates("ca", ca)?) {
        (0, _) => Err(format!("{} holds no authority's certificate", called("ca", ca))),
        _ => Ok(roots),
    }
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own(section: &TlsConfig) -> Result<Option<Own>, String> {
    match (&section.cert, &section.key) {
        (Some(cert), Some(key)) => Ok(Some((certificates("cert", cert)?, private_key(key)?))),
        _ => Ok(None),
    }
}

/// The certificates of a PEM text that errors call `key`, or by its file.
///
/// # Errors
/// A sentence: it cannot be read, or holds none.
pub fn certificates(key: &str, pem: &Secret) -> Result<Vec<CertificateDer<'static>>, String> {
    let (name, text) = (called(key, pem), pem.read()?);
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("{name} holds no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("{name} is not PEM: {error}")),
    }
}

fn private_key(pem: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    let (name, text) = (called("key", pem), pem.read()?);
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("{name} holds no private key"),
        // What stands there may be a part of the key.
        _ => format!("{name} is not PEM"),
    })
}

/// What errors call a text.
fn called(key: &str, pem: &Secret) -> String {
    match pem {
        Secret::File(path) => path.display().to_string(),
        Secret::Inline(_) | Secret::Env(_) => key.to_owned(),
    }
}

/// Takes any certificate (`insecure_skip_verify`).
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// Signatures are not looked at either: old certificates that cannot even be read are in use
    /// where this is set.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

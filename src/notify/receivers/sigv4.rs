//! Requests to Amazon, signed with version 4 of its signatures.
//!
//! Source of the rules: AWS, "Create a signed AWS API request".

use ring::{digest, hmac};

use super::context::hex;

/// Who signs.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public part.
    pub access: String,
    /// The secret part.
    pub secret: String,
    /// With temporary keys.
    pub session: Option<String>,
}

/// What is signed: a POST of a form.
#[derive(Debug)]
pub struct Signed<'a> {
    /// The host, with its port unless that is the usual one.
    pub host: &'a str,
    /// The path; at least a slash.
    pub path: &'a str,
    /// The form.
    pub body: &'a str,
    /// The region, such as `eu-central-1`.
    pub region: &'a str,
    /// The service, such as `sns`.
    pub service: &'a str,
    /// The present, as `20261121T100000Z`.
    pub time: &'a str,
}

/// The headers that sign it.
pub fn headers(request: &Signed<'_>, keys: &Keys) -> Vec<(String, String)> {
    let date = &request.time[..8.min(request.time.len())];
    let mut signed = vec![
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", request.host),
        ("x-amz-date", request.time),
    ];
    if let Some(token) = &keys.session {
        signed.push(("x-amz-security-token", token));
    }
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = format!("POST\n{}\n\n{lines}\n{names}\n{}", request.path, sha256(request.body));
    let scope = format!("{date}/{}/{}/aws4_request", request.region, request.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", request.time, sha256(&canonical));
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [date, request.region, request.service, "aws4_request"] {
        key = sign(&key, part);
    }
    let signature = hex(&sign(&key, &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        keys.access
    );
    signed.push(("authorization", &authorization));
    // The host is sent by whoever carries the request.
    let own = signed.into_iter().filter(|(name, _)| *name != "host");
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

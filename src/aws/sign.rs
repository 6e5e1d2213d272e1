//! Requests to Amazon, signed with version 4 of its signatures.
//!
//! Source of the rules: AWS, "Create a signed AWS API request".

use ring::{digest, hmac};

use super::Keys;

/// What is signed.
#[derive(Debug)]
pub struct Signed<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The host, with its port unless that is the usual one.
    pub host: &'a str,
    /// The path as it is sent; at least a slash.
    pub path: &'a str,
    /// The `Content-Type`; empty for none.
    pub content_type: &'a str,
    /// What is sent.
    pub body: &'a str,
    /// The region, such as `eu-central-1`.
    pub region: &'a str,
    /// The service, such as `sns`.
    pub service: &'a str,
    /// The present, as `20261121T100000Z`.
    pub time: &'a str,
}

/// The headers that sign it; `Content-Type` and `Host` are not among them.
pub fn headers(request: &Signed<'_>, keys: &Keys) -> Vec<(String, String)> {
    let date = &request.time[..8.min(request.time.len())];
    let mut own = vec![("x-amz-date", request.time)];
    if let Some(token) = &keys.session {
        own.push(("x-amz-security-token", token));
    }
    let mut signed = vec![("host", request.host)];
    if !request.content_type.is_empty() {
        signed.insert(0, ("content-type", request.content_type));
    }
    signed.extend(&own);
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let (method, path) = (request.method, canonical_path(request.path));
    let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{}", sha256(request.body));
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
    own.push(("authorization", &authorization));
    own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The path, encoded once more than it is sent.
fn canonical_path(path: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let encoded = |b: u8| match is_plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    path.bytes().map(encoded).collect()
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test suite of the signature: its keys, time, region and service.
    fn authorization(method: &str, content_type: &str, body: &str) -> String {
        let keys = Keys {
            access: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: None,
        };
        let request = Signed {
            method,
            host: "example.amazonaws.com",
            path: "/",
            content_type,
            body,
            region: "us-east-1",
            service: "service",
            time: "20150830T123600Z",
        };
        headers(&request, &keys).pop().expect("the signature").1
    }

    #[test]
    fn signatures_are_those_of_the_published_examples() {
        let scope = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        // get-vanilla
        assert_eq!(
            authorization("GET", "", ""),
            format!(
                "AWS4-HMAC-SHA256 {scope}, SignedHeaders=host;x-amz-date, \
                 Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
            )
        );
        // post-x-www-form-urlencoded
        assert_eq!(
            authorization("POST", "application/x-www-form-urlencoded", "Param1=value1"),
            format!(
                "AWS4-HMAC-SHA256 {scope}, SignedHeaders=content-type;host;x-amz-date, \
                 Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
            )
        );
    }

    #[test]
    fn paths_are_encoded_twice() {
        assert_eq!(canonical_path("/a-b/%20c:d"), "/a-b/%2520c%3Ad");
    }
}

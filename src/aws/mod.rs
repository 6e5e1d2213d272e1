//! Who signs requests to Amazon, and how.
//!
//! In: the section `sigv4`, the environment, Amazon's own files. Out: keys, and headers that sign a
//! request ([`sign`]). Never here: sending. The keys of a machine at Amazon are not looked for.

pub mod sign;

use std::path::PathBuf;

use serde::Deserialize;

use crate::model::Timestamp;
use crate::secret::Secret;
use crate::web_client::Request;

/// Largest of Amazon's own files, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// `sigv4`; what is not given is looked for in the environment and in Amazon's own files.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Sigv4 {
    /// The region.
    pub region: String,
    /// The key's name.
    pub access_key: Option<Secret>,
    /// The key.
    pub secret_key: Option<Secret>,
    /// Profile in Amazon's own files.
    pub profile: String,
    /// A role to take on.
    pub role_arn: String,
    /// Given by the owner of the role.
    pub external_id: String,
    /// Whether the servers of the FIPS programme are used.
    pub use_fips_sts_endpoint: bool,
    /// The service's name in the signature, when not the usual one.
    pub service_name: String,
}

/// Keys to sign with. Not to be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public part.
    pub access: String,
    /// The secret part.
    pub secret: String,
    /// With temporary keys.
    pub session: Option<String>,
}

impl Keys {
    /// Everything in them that nobody is to see.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        [Some(&self.access), Some(&self.secret), self.session.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// Gives the value of an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Sigv4 {
    /// Checks the section.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        match self.access_key.is_some() == self.secret_key.is_some() {
            true => Ok(()),
            false => Err("sigv4: access_key and secret_key belong together".to_owned()),
        }
    }

    /// The region: that of the section, of the environment, of the profile.
    ///
    /// # Errors
    /// A sentence: there is none.
    pub fn region(&self, environment: Environment<'_>) -> Result<String, String> {
        let own = Some(self.region.clone()).filter(|region| !region.is_empty());
        let given = || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|n| environment(n));
        let profile = || Profile::read(self, environment).region;
        let is_name = |region: &String| {
            let mut bytes = region.bytes();
            !region.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        own.or_else(given).or_else(profile).filter(is_name).ok_or_else(|| {
            "sigv4.region is not set, nor is AWS_REGION, nor has the profile one".to_owned()
        })
    }

    /// The keys: those of the section, of the profile it names, of the environment, of the default
    /// profile.
    ///
    /// # Errors
    /// A sentence: there are none, or a secret cannot be read.
    pub fn keys(&self, environment: Environment<'_>) -> Result<Keys, String> {
        if let (Some(access), Some(secret)) = (&self.access_key, &self.secret_key) {
            return Ok(Keys { access: access.read()?, secret: secret.read()?, session: None });
        }
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let given = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
        if let ((Some(access), Some(secret)), true) = (given, self.profile.is_empty()) {
            return Ok(Keys { access, secret, session: variable("AWS_SESSION_TOKEN") });
        }
        let profile = Profile::read(self, environment);
        match (profile.access, profile.secret) {
            (Some(access), Some(secret)) => Ok(Keys { access, secret, session: profile.session }),
            _ => Err(format!(
                "no keys to sign with: set sigv4.access_key and secret_key, or AWS_ACCESS_KEY_ID \
                 and AWS_SECRET_ACCESS_KEY, or those of the profile {:?} in Amazon's file of \
                 credentials",
                profile.name
            )),
        }
    }

    /// The request that asks for temporary keys of the role.
    pub fn role_request(&self, region: &str, keys: &Keys, now: Timestamp) -> Request {
        let mut form = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role_arn),
            ("RoleSessionName", "tidewatch"),
        ];
        if !self.external_id.is_empty() {
            form.push(("ExternalId", &self.external_id));
        }
        let fips = if self.use_fips_sts_endpoint { "-fips" } else { "" };
        let host = format!("sts{fips}.{region}.amazonaws.com");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        form_request(&format!("https://{host}/"), (&host, "/"), body, (region, "sts"), keys, now)
    }
}

/// A signed form. `place`: host and path of `url`; `scope`: region and service.
pub fn form_request(
    url: &str,
    place: (&str, &str),
    body: String,
    scope: (&str, &str),
    keys: &Keys,
    now: Timestamp,
) -> Request {
    const FORM: &str = "application/x-www-form-urlencoded";
    let signed = sign::Signed {
        method: "POST",
        host: place.0,
        path: place.1,
        content_type: FORM,
        body: &body,
        region: scope.0,
        service: scope.1,
        time: &time(now),
    };
    let mut headers = sign::headers(&signed, keys);
    headers.insert(0, ("content-type".to_owned(), FORM.to_owned()));
    Request { method: "POST", url: url.to_owned(), headers, body: Some(body) }
}

/// The keys in the answer to [`Sigv4::role_request`].
pub fn role_keys(answer: &str) -> Option<Keys> {
    let part = |name: &str| between(answer, &format!("<{name}>"), &format!("</{name}>"));
    let (access, secret) = (part("AccessKeyId")?, part("SecretAccessKey")?);
    Some(Keys { access, secret, session: part("SessionToken") })
}

/// What stands between two texts.
pub fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let (_, behind) = text.split_once(start)?;
    Some(behind.split_once(end)?.0.to_owned())
}

/// `20261121T100000Z`
pub fn time(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A profile in Amazon's own files; of what is in both, the file of credentials wins.
#[derive(Default)]
struct Profile {
    name: String,
    access: Option<String>,
    secret: Option<String>,
    session: Option<String>,
    region: Option<String>,
}

impl Profile {
    fn read(sigv4: &Sigv4, environment: Environment<'_>) -> Profile {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let named = Some(sigv4.profile.clone()).filter(|name| !name.is_empty());
        let name = named.or_else(|| variable("AWS_PROFILE")).unwrap_or("default".to_owned());
        let file = |variable_name: &str, usual: &str| {
            let own = variable(variable_name).map(PathBuf::from);
            own.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".aws").join(usual)))
        };
        let mut profile = Profile { name: name.clone(), ..Profile::default() };
        if let Some(path) = file("AWS_SHARED_CREDENTIALS_FILE", "credentials") {
            profile.take(&text_of(&path), &name);
        }
        if let Some(path) = file("AWS_CONFIG_FILE", "config") {
            let section = if name == "default" { name } else { format!("profile {name}") };
            profile.take(&text_of(&path), &section);
        }
        profile
    }

    /// Takes what it does not have from one section of a file.
    fn take(&mut self, text: &str, section: &str) {
        let mut is_inside = false;
        for line in text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                is_inside = header.split(']').next().is_some_and(|name| name.trim() == section);
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| is_inside) else { continue };
            let place = match key.trim() {
                "aws_access_key_id" => &mut self.access,
                "aws_secret_access_key" => &mut self.secret,
                "aws_session_token" => &mut self.session,
                "region" => &mut self.region,
                _ => continue,
            };
            place.get_or_insert_with(|| value.trim().to_owned());
        }
    }
}

/// A file that is not there is as good as an empty one.
fn text_of(path: &std::path::Path) -> String {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    read.map(|_| text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = AD\naws_secret_access_key=SD\n\
        # a comment\n[ops]\n aws_access_key_id=AO\naws_secret_access_key = S=O\n\
        aws_session_token = TO\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile ops]\nregion = eu-north-1\n\
        aws_access_key_id = not this\n";

    fn shown(keys: &Keys) -> (&str, &str, Option<&str>) {
        (&keys.access, &keys.secret, keys.session.as_deref())
    }

    #[test]
    fn keys_and_region_are_looked_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(path("credentials"), CREDENTIALS).expect("written");
        std::fs::write(path("own-config"), CONFIG).expect("written");
        let files = |name: &str| match name {
            "AWS_SHARED_CREDENTIALS_FILE" => Some(path("credentials")),
            "AWS_CONFIG_FILE" => Some(path("own-config")),
            _ => None,
        };
        let all = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AE".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("SE".to_owned()),
            "AWS_REGION" => Some("us-west-2".to_owned()),
            name => files(name),
        };
        let default = Sigv4::default();
        assert_eq!(shown(&default.keys(&files).expect("keys")), ("AD", "SD", None));
        assert_eq!(default.region(&files).as_deref(), Ok("eu-west-1"));
        assert_eq!(shown(&default.keys(&all).expect("keys")), ("AE", "SE", None));
        assert_eq!(default.region(&all).as_deref(), Ok("us-west-2"));
        let ops = Sigv4 { profile: "ops".to_owned(), ..Sigv4::default() };
        assert_eq!(shown(&ops.keys(&all).expect("keys")), ("AO", "S=O", Some("TO")));
        assert_eq!(ops.region(&files).as_deref(), Ok("eu-north-1"));
        let none = Sigv4 { profile: "none".to_owned(), ..Sigv4::default() };
        assert!(none.keys(&all).err().expect("no keys").contains("\"none\""));
        let own = |text: &str| Some(Secret::Inline(text.to_owned()));
        let own = Sigv4 { access_key: own("A"), secret_key: own("S"), ..ops };
        assert_eq!(shown(&own.keys(&all).expect("keys")), ("A", "S", None));
        assert!(Sigv4 { secret_key: None, ..own }.check().is_err());
    }

    #[test]
    fn a_role_is_asked_for_and_taken_on() {
        let keys = Keys { access: "A".to_owned(), secret: "S".to_owned(), session: None };
        let sigv4 = Sigv4 {
            role_arn: "arn:aws:iam::1:role/x".to_owned(),
            external_id: "e".to_owned(),
            ..Sigv4::default()
        };
        let request = sigv4.role_request("eu-west-1", &keys, Timestamp(1_700_000_000_000));
        assert_eq!(request.url, "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(
            request.body.as_deref(),
            Some(
                "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx\
                 &RoleSessionName=tidewatch&ExternalId=e"
            )
        );
        let answer = "<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>x/y\
            </SecretAccessKey><SessionToken>T</SessionToken></Credentials>";
        assert_eq!(shown(&role_keys(answer).expect("keys")), ("ASIA", "x/y", Some("T")));
        assert!(role_keys("<Error/>").is_none());
    }
}

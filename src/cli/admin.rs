//! Requests to a running edge's admin listener: plain HTTP, signed where there are keys to sign with.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use clap::Args;

use crate::admin::api::xml::{Element, Limits};

/// Where it listens unless told otherwise.
pub(super) const DEFAULT: &str = "127.0.0.1:9090";
/// Everything that is asked takes effect at once, so this is for an edge that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const LONGEST_ANSWER: u64 = 64 << 20;
/// CloudFront's own (behaviour §1.11); an edge takes any.
const REGION: &str = "us-east-1";
/// An edge's lists are not hostile, but long.
const LIMITS: Limits = Limits { depth: 32, elements: 1_000_000 };

/// With what requests are signed, if the edge has administrator keys.
#[derive(Debug, Args)]
pub(super) struct Signing {
    /// Administrator key of the edge, if it has any [default: AWS_ACCESS_KEY_ID]
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// File of that key's secret [default: the secret is in AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    secret_access_key_file: Option<PathBuf>,
}

/// An edge's admin listener, and with what it is asked.
pub(super) struct Client<'a> {
    address: &'a str,
    credentials: Option<Credentials>,
}

/// What it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    /// Of the resource that was made.
    pub location: Option<String>,
    pub body: String,
}

impl Signing {
    /// `None`: nothing to sign with.
    fn credentials(&self) -> Result<Option<Credentials>, String> {
        // Not clap's `env`: help would show them, and neither is for this program alone.
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let id = self.access_key_id.clone().or_else(|| variable("AWS_ACCESS_KEY_ID"));
        let secret = match &self.secret_access_key_file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                Some(text.map_err(|error| format!("{}: cannot be read: {error}", file.display()))?)
            }
            None => variable("AWS_SECRET_ACCESS_KEY"),
        };
        let is_asked_for = self.access_key_id.is_some() || self.secret_access_key_file.is_some();
        match (id, secret) {
            (Some(id), Some(secret)) => {
                Ok(Some(Credentials::new(id, secret.trim_ascii(), None, None, "edgeseal")))
            }
            (Some(_), None) if is_asked_for => {
                Err("the key's secret is missing: --secret-access-key-file, or AWS_SECRET_ACCESS_KEY".into())
            }
            (None, Some(_)) if is_asked_for => {
                Err("the secret's key is missing: --access-key-id, or AWS_ACCESS_KEY_ID".into())
            }
            _ => Ok(None),
        }
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(address: &'a str, signing: &Signing) -> Result<Self, String> {
        Ok(Self { address, credentials: signing.credentials()? })
    }

    /// `body` is XML, or empty.
    ///
    /// # Errors
    /// No edge answers there: for a person.
    pub(super) fn request(&self, method: &str, target: &str, body: &str) -> Result<Answer, String> {
        let address = self.address;
        let signature = self.signature(method, target, body)?;
        send(address, PATIENCE, method, target, &signature, body).map_err(|error| {
            format!("no edge answers at {address}: {error}; name its admin listener with --admin")
        })
    }

    /// As [`Self::request`], with an answer of `status` that is XML.
    ///
    /// # Errors
    /// Or it refuses.
    pub(super) fn call(
        &self,
        method: &str,
        target: &str,
        body: &str,
        status: u16,
    ) -> Result<(Answer, Element), String> {
        let answer = self.request(method, target, body)?;
        if answer.status != status {
            return Err(answer.reason());
        }
        let element = Element::read(answer.body.as_bytes(), LIMITS)
            .map_err(|why| format!("the answer of {} is not an edge's: {why}", self.address))?;
        Ok((answer, element))
    }

    /// Lines to add to the head.
    fn signature(&self, method: &str, target: &str, body: &str) -> Result<String, String> {
        let Some(credentials) = &self.credentials else { return Ok(String::new()) };
        let failed = |error: &dyn std::fmt::Display| format!("the request cannot be signed: {error}");
        let identity = credentials.clone().into();
        let params = SigningParams::builder().identity(&identity).region(REGION).name("cloudfront");
        let params = params.time(SystemTime::now()).settings(SigningSettings::default()).build();
        let params = params.map_err(|error| failed(&error))?.into();
        let url = format!("http://{}{target}", self.address);
        let headers = [("host", self.address), ("content-type", CONTENT_TYPE)];
        let request =
            SignableRequest::new(method, url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let request = request.map_err(|error| failed(&error))?;
        let (instructions, _) = sign(request, &params).map_err(|error| failed(&error))?.into_parts();
        Ok(instructions.headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect())
    }
}

impl Answer {
    /// What the edge says when it refuses.
    pub(super) fn reason(&self) -> String {
        let Self { status, body, .. } = self;
        let json = serde_json::from_str::<serde_json::Value>(body).ok();
        if let Some(error) = json.as_ref().and_then(|said| said.get("error")?.as_str()) {
            return error.to_owned();
        }
        let xml = Element::read(body.as_bytes(), LIMITS).ok();
        let of = |name| xml.as_ref().and_then(|said| said.text_of(&["Error", name]));
        match (of("Code"), of("Message")) {
            (Some(code @ "MissingAuthenticationToken"), _) => {
                format!("{code}: this edge has administrator keys: give one, --access-key-id")
            }
            (Some(code), Some(message)) => format!("{code}: {message}"),
            _ => format!("the edge answered {status}"),
        }
    }
}

const CONTENT_TYPE: &str = "application/xml";

/// What needs no signature; `patience`: for each of connecting, asking and reading.
///
/// # Errors
/// No edge answers there in time: for a person.
pub(super) fn get(address: &str, target: &str, patience: Duration) -> Result<Answer, String> {
    send(address, patience, "GET", target, "", "")
        .map_err(|error| format!("no edge answers at {address}: {error}"))
}

fn connect(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for resolved in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn send(
    address: &str,
    patience: Duration,
    method: &str,
    target: &str,
    signature: &str,
    body: &str,
) -> io::Result<Answer> {
    let mut stream = connect(address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {CONTENT_TYPE}\r\n{signature}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let mut fields = lines.filter_map(|line| line.split_once(": "));
    let location = fields.find(|(name, _)| name.eq_ignore_ascii_case("location"));
    Ok(Answer {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        location: location.map(|(_, value)| value.to_owned()),
        body: body.to_owned(),
    })
}

//! A bucket with two readers, and a client for it whose signer shares no code with s3s.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::{EmbeddedOrigin, Identity, ObjectMeta, Options, start};

pub(super) const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/abc";
pub(super) const STRICT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

pub(super) struct Setup {
    pub origin: EmbeddedOrigin,
    _dir: tempfile::TempDir,
}

/// `reader` may read `site/` under a session token; `lister` may read all and list.
pub(super) async fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let identity = |key: &str, token: Option<&str>, prefix: &str, list_bucket| Identity {
        access_key_id: key.into(),
        secret_access_key: format!("{key}-secret"),
        session_token: token.map(Into::into),
        prefix: prefix.into(),
        list_bucket,
    };
    let options = Options {
        bucket: "private-assets".into(),
        region: "eu-west-1".into(),
        dir: dir.path().to_owned(),
        identities: vec![
            identity("reader", Some("token"), "site/", false),
            identity("lister", None, "", true),
        ],
        kms_key_arn: ARN.into(),
    };
    Setup { origin: start(options).await.unwrap(), _dir: dir }
}

pub(super) struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answered {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The status and the error's code.
    pub(super) fn error(&self) -> (u16, &str) {
        let code = self.text().split_once("<Code>").map_or("", |(_, rest)| rest.split_once('<').unwrap().0);
        (self.status, code)
    }
}

pub(super) struct Signer {
    pub key: &'static str,
    pub secret: &'static str,
    pub token: Option<&'static str>,
    pub region: &'static str,
}

pub(super) const READER: Signer =
    Signer { key: "reader", secret: "reader-secret", token: Some("token"), region: "eu-west-1" };
pub(super) const LISTER: Signer =
    Signer { key: "lister", secret: "lister-secret", token: None, region: "eu-west-1" };

impl Signer {
    pub(super) fn sign(&self, request: &mut Request<Empty<Bytes>>) {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity =
            Credentials::new(self.key, self.secret, self.token.map(Into::into), None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap()));
        let uri = request.uri().to_string();
        let signable =
            SignableRequest::new(request.method().as_str(), uri, headers, SignableBody::Bytes(b"")).unwrap();
        sign(signable, &params).unwrap().into_parts().0.apply_to_request_http1x(request);
    }
}

impl Setup {
    /// A request with a strictly encoded path, unsigned.
    pub(super) fn request(&self, method: &str, key: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
        self.raw(method, &format!("/private-assets/{}", utf8_percent_encode(key, STRICT)), headers)
    }

    pub(super) fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
        let mut builder =
            Request::builder().method(method).uri(path).header("host", self.origin.addr().to_string());
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Empty::new()).unwrap()
    }

    pub(super) async fn begin(&self, request: Request<Empty<Bytes>>) -> Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.origin.addr()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    pub(super) async fn send(&self, request: Request<Empty<Bytes>>) -> Answered {
        let (head, body) = self.begin(request).await.into_parts();
        Answered {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(super) async fn ask(
        &self,
        signer: &Signer,
        method: &str,
        key: &str,
        headers: &[(&str, &str)],
    ) -> Answered {
        let mut request = self.request(method, key, headers);
        signer.sign(&mut request);
        self.send(request).await
    }

    pub(super) async fn get(&self, key: &str) -> Answered {
        self.ask(&READER, "GET", key, &[]).await
    }

    pub(super) async fn get_path(&self, signer: &Signer, path: &str) -> Answered {
        let mut request = self.raw("GET", path, &[]);
        signer.sign(&mut request);
        self.send(request).await
    }

    pub(super) fn put(&self, key: &str, body: &'static str) -> String {
        self.origin.put(key, body, ObjectMeta::default()).unwrap()
    }
}

//! Whom HTTPS origins are verified by, and under which names (behaviour §3.6).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The roots that origins' certificates lead to. HTTP/1.1 only (s3 §2.15).
#[derive(Debug)]
pub struct Trust {
    config: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Trust {
    /// `None`: there are no roots.
    #[must_use]
    pub fn new(roots: RootCertStore) -> Option<Arc<Self>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = builder.build().ok()?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .with_webpki_verifier(Arc::clone(&verifier))
            .with_no_client_auth();
        Some(Arc::new(Self { config: Arc::new(config), verifier }))
    }

    /// For connections to the name that they are made to.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// For connections that are made under a viewer's `Host`: the certificate may be for that, or for `domain`, which the
    /// origin is called in the configuration.
    #[must_use]
    pub fn either(&self, domain: ServerName<'static>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        let either = Either { verifier: Arc::clone(&self.verifier), domain };
        config.dangerous().set_certificate_verifier(Arc::new(either));
        Arc::new(config)
    }
}

/// A certificate for one of two names; all else is as strict as ever.
#[derive(Debug)]
struct Either {
    verifier: Arc<WebPkiServerVerifier>,
    domain: ServerName<'static>,
}

impl ServerCertVerifier for Either {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let under =
            |name| self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match under(server_name) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => under(&self.domain),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_for_either_name_and_no_other() {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let trust = Trust::new(roots).unwrap();
        let domain = ServerName::try_from("origin.example").unwrap();
        let either = Either { verifier: Arc::clone(&trust.verifier), domain };
        for (of, accepted) in [("www.example", true), ("origin.example", true), ("other.example", false)] {
            let params = CertificateParams::new(vec![of.to_owned()]).unwrap();
            let certificate = params.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();
            let asked = ServerName::try_from("www.example").unwrap();
            let verdict = either.verify_server_cert(certificate.der(), &[], &asked, &[], UnixTime::now());
            assert_eq!(verdict.is_ok(), accepted, "{of}: {verdict:?}");
        }
    }
}

//! TLS as keepalived does it: whatever certificate the server shows is taken, since a check asks
//! whether a server works, not who it is. The server still has to prove that it holds its key.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use xlvs_model::health::SslClient;

/// The terms of TLS for all checks, or why there are none.
pub(super) struct Configs {
    made: Result<[Arc<ClientConfig>; 4], String>,
}

impl Configs {
    /// From keepalived's `SSL` block.
    pub(super) fn new(client: Option<&SslClient>) -> Self {
        let make = |sni, http2| make(client, sni, http2).map(Arc::new);
        let made = (|| {
            Ok([make(false, false)?, make(false, true)?, make(true, false)?, make(true, true)?])
        })();
        Self { made }
    }

    /// The terms for a question.
    pub(super) fn get(&self, sni: bool, http2: bool) -> Result<Arc<ClientConfig>, String> {
        let made = self.made.as_ref().map_err(Clone::clone)?;
        Ok(Arc::clone(&made[usize::from(sni) * 2 + usize::from(http2)]))
    }
}

fn make(client: Option<&SslClient>, sni: bool, http2: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Anybody { provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client.and_then(|c| c.certificate.as_ref().zip(c.key.as_ref())) {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let read = |what: &str, path: &str, fault: &dyn std::fmt::Display| {
                format!("SSL {what} {path} cannot be used: {fault}")
            };
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect)
                .map_err(|fault| read("certificate", certificate, &fault))?;
            let key_der =
                PrivateKeyDer::from_pem_file(key).map_err(|fault| read("key", key, &fault))?;
            builder
                .with_client_auth_cert(chain, key_der)
                .map_err(|fault| read("certificate", certificate, &fault))?
        }
    };
    config.enable_sni = sni;
    // Each question is a whole handshake, as a new client's would be.
    config.resumption = Resumption::disabled();
    if http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(config)
}

/// Takes any certificate that can be read.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        forgive(verify_tls12_signature(message, certificate, signed, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        forgive(verify_tls13_signature(message, certificate, signed, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A signature that is wrong and a certificate that cannot be read are faults; one that rustls is
/// too strict for (X.509 of version 1) is not, since OpenSSL takes it.
fn forgive(
    found: Result<HandshakeSignatureValid, Error>,
) -> Result<HandshakeSignatureValid, Error> {
    match found {
        Err(Error::InvalidCertificate(
            CertificateError::Other(_) | CertificateError::UnhandledCriticalExtension,
        )) => Ok(HandshakeSignatureValid::assertion()),
        found => found,
    }
}

//! TLS for our own HTTP clients.

use std::sync::Once;

/// A builder of HTTP clients. TLS runs on ring, whose provider is installed here, once, before the first client is built:
/// without one a client panics.
pub fn client_builder() -> reqwest::ClientBuilder {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error says that somebody has installed one: that is good as well.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
    reqwest::Client::builder()
}

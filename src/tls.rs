//! TLS for our own HTTP clients.

use std::sync::Once;

/// Returns a builder of HTTP clients. TLS runs on ring, whose provider is installed here, once, before the first client is
/// built: without one a client panics.
pub fn client_builder() -> reqwest::ClientBuilder {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error says that one is installed already: that is good as well.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
    reqwest::Client::builder()
}

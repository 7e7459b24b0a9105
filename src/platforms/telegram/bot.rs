//! The Bot API's client: one request, one answer, each within its limit.
//!
//! The token is part of every address. No address leaves this file: errors are reported by their kind, and the service's own
//! words pass through the redactor.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::wire::{self, Envelope, Refusal};
use crate::sensitive::Secret;
use crate::{net, redact, tls};

/// Limit for connecting to the service.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The longest answer, in bytes: a hundred of the longest messages with everything that can be in them.
const ANSWER_LEN_MAX: usize = 16 << 20;

/// The longest description that is kept, in characters.
const DESCRIPTION_LEN_MAX: usize = 200;

/// The cause for which a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The transport failed, on the way there or back.
    Way(net::Fault),
    /// The service refused.
    Refused(Refusal),
    /// The response is not an answer of the Bot API.
    Garbled(&'static str),
}

/// A bot, with the address of its service.
pub struct Bot {
    client: Client,
    methods: String,
    files: String,
}

impl Bot {
    /// Makes a client; nothing is contacted yet. `api` and `files` are the addresses of the service, without `/bot…`; with a
    /// `proxy`, every request goes through it.
    ///
    /// # Errors
    /// When an address is unusable, or TLS cannot be set up; reported without the token.
    pub fn new(api: &str, files: &str, token: &Secret, proxy: Option<&Secret>) -> Result<Self, String> {
        let root = |name: &str, address: &str| {
            let url = Url::parse(address)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            url.ok_or_else(|| format!("{name} is not an http or https address"))
        };
        let (api, files) = (root("api_base", api)?, root("file_base", files)?);
        let mut builder = tls::client_builder()
            .connect_timeout(CONNECT_LIMIT)
            // A redirect would take the token to an address that is not in the settings.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(proxy) = proxy {
            builder = builder.proxy(way(proxy)?);
        } else if net::is_loopback(&api) && net::is_loopback(&files) {
            builder = builder.no_proxy();
        }
        let client =
            builder.build().map_err(|error| format!("no client can be set up ({})", error.without_url()))?;
        let below = |root: &Url| format!("{}/bot{}", root.as_str().trim_end_matches('/'), token.0);
        Ok(Self { client, methods: below(&api), files: below(&files) })
    }

    /// True for a number, a colon, and a key. Anything else could end in another path.
    pub fn is_token(text: &str) -> bool {
        text.split_once(':').is_some_and(|(id, key)| {
            !id.is_empty()
                && id.bytes().all(|byte| byte.is_ascii_digit())
                && key.len() >= 10
                && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        })
    }

    /// Sends a request, and reads the answer.
    ///
    /// # Errors
    /// The cause for which there is none.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: &impl Serialize,
        limit: Duration,
    ) -> Result<T, Fault> {
        let result = self.result(method, parameters, limit).await?;
        wire::read(&result).map_err(|_| Fault::Garbled("a result of an unexpected form"))
    }

    /// Sends a request, and returns the result as it is.
    ///
    /// # Errors
    /// The cause for which there is none.
    pub async fn result(
        &self,
        method: &str,
        parameters: &impl Serialize,
        limit: Duration,
    ) -> Result<Box<RawValue>, Fault> {
        self.said(method, parameters, limit).await?.result()
    }

    /// Sends a request, and returns the whole answer, whatever it contains.
    ///
    /// # Errors
    /// The cause for which there is none.
    pub async fn said(
        &self,
        method: &str,
        parameters: &impl Serialize,
        limit: Duration,
    ) -> Result<Said, Fault> {
        let request =
            self.client.post(format!("{}/{method}", self.methods)).json(&object(parameters)?).timeout(limit);
        let response = request.send().await.map_err(|error| Fault::Way(net::classify(&error)))?;
        let status = response.status();
        if let Some(fault) = net::of_status(status) {
            return Err(Fault::Way(fault));
        }
        // Bytes that are not text are as readable as any other unknown answer.
        let text = String::from_utf8_lossy(&body(response).await?).into_owned();
        Ok(Said { status, text })
    }

    /// Begins to fetch a file. `path` comes from `getFile`; the limit is that of the whole.
    ///
    /// # Errors
    /// The cause for which it cannot be fetched.
    pub async fn open(&self, path: &str, limit: Duration) -> Result<Response, Fault> {
        let url = self.file(path).ok_or(Fault::Garbled("an invalid file path"))?;
        let request = self.client.get(url).timeout(limit);
        let response = request.send().await.map_err(|error| Fault::Way(net::classify(&error)))?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        Err(Fault::Refused(Refusal {
            status: response.status().as_u16(),
            description: response.status().canonical_reason().unwrap_or("no reason").to_owned(),
            parameters: wire::Parameters::default(),
            by_service: false,
        }))
    }

    /// Returns the address of the file of this path. A path with `..`, in whatever encoding, would ask for something else
    /// under our token.
    fn file(&self, path: &str) -> Option<Url> {
        let below = format!("{}/", self.files);
        let url = Url::parse(&format!("{below}{path}")).ok()?;
        (url.as_str().starts_with(&below) && !path.contains(['?', '#'])).then_some(url)
    }
}

/// The body of a request. Without parameters it is an empty object: a server of one's own may refuse `null`.
fn object(parameters: &impl Serialize) -> Result<Box<RawValue>, Fault> {
    let unfit = |_| Fault::Garbled("parameters that are not JSON");
    let body = serde_json::value::to_raw_value(parameters).map_err(unfit)?;
    if body.get() == "null" { RawValue::from_string("{}".to_owned()).map_err(unfit) } else { Ok(body) }
}

/// An answer, not yet parsed.
pub struct Said {
    status: StatusCode,
    /// Its whole text.
    pub text: String,
}

impl Said {
    /// Returns the result in it.
    ///
    /// # Errors
    /// When the service refuses, or it is not an answer of the Bot API.
    pub fn result(&self) -> Result<Box<RawValue>, Fault> {
        match serde_json::from_str::<Envelope<'_>>(&self.text) {
            // It was done, whatever else is missing: a sent message must not be sent again.
            Ok(Envelope { ok: true, result, .. }) => Ok(result.unwrap_or(RawValue::NULL).to_owned()),
            Ok(Envelope { error_code, description, parameters, .. }) => Err(Fault::Refused(Refusal {
                status: error_code.unwrap_or(self.status.as_u16()),
                description: shown(&description.unwrap_or_default()),
                parameters: parameters.unwrap_or_default(),
                by_service: true,
            })),
            // A proxy before the service answers in its own words.
            Err(_) if self.status != StatusCode::OK => Err(Fault::Refused(Refusal {
                status: self.status.as_u16(),
                description: self.status.canonical_reason().unwrap_or("no reason").to_owned(),
                parameters: wire::Parameters::default(),
                by_service: false,
            })),
            Err(_) => Err(Fault::Garbled("not JSON")),
        }
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| Fault::Way(net::classify(&error)))? {
        if body.len() + bytes.len() > ANSWER_LEN_MAX {
            return Err(Fault::Garbled("an endless answer"));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// Returns the proxy that `TELEGRAM_PROXY` names; errors leave out its address, which may hold a password.
fn way(proxy: &Secret) -> Result<reqwest::Proxy, String> {
    let is_proxy =
        |url: &Url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host();
    let url = Url::parse(&proxy.0).ok().filter(is_proxy);
    url.and_then(|url| reqwest::Proxy::all(url).ok()).ok_or_else(|| {
        "TELEGRAM_PROXY is not the address of a proxy, such as http://127.0.0.1:3128 or socks5://127.0.0.1:1080"
            .to_owned()
    })
}

/// The service's words, as they may be logged.
pub fn shown(description: &str) -> String {
    let words: String = description
        .chars()
        .map(|sign| if sign.is_control() { ' ' } else { sign })
        .take(DESCRIPTION_LEN_MAX)
        .collect();
    redact::shapes(&words).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_parameters_is_an_empty_object() {
        let of = |body: Result<Box<RawValue>, Fault>| body.ok().unwrap().get().to_owned();
        assert_eq!(of(object(&())), "{}");
        assert_eq!(of(object(&serde_json::json!({ "limit": 1 }))), r#"{"limit":1}"#);
    }

    #[test]
    fn a_proxy_has_an_address_and_a_wrong_one_is_refused_without_being_shown() {
        let token = Secret("7000001:not-a-real_token".to_owned());
        let bot =
            |proxy: &str| Bot::new("http://a.test", "http://a.test", &token, Some(&Secret(proxy.to_owned())));
        for proxy in
            ["http://127.0.0.1:3128", "https://me:canary@p.test", "socks5://[::1]:1080", "socks5h://p.test:1"]
        {
            assert!(bot(proxy).is_ok(), "{proxy}");
        }
        for proxy in ["127.0.0.1:3128", "canary", "ftp://canary.test", "http://"] {
            let refused = bot(proxy).err().unwrap();
            assert!(refused.contains("TELEGRAM_PROXY") && !refused.contains("canary"), "{proxy}: {refused}");
        }
    }

    #[test]
    fn a_refusal_in_another_form_is_not_the_services() {
        for (text, expected) in [
            (
                r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
                Some(true),
            ),
            ("<html>403 Forbidden", Some(false)),
            ("", Some(false)),
            (r#"{"ok":true}"#, None),
        ] {
            let said = Said { status: StatusCode::FORBIDDEN, text: text.to_owned() };
            let by_service = match said.result() {
                Err(Fault::Refused(refusal)) => Some(refusal.by_service),
                Ok(_) | Err(_) => None,
            };
            assert_eq!(by_service, expected, "{text}");
        }
    }

    #[test]
    fn a_file_is_below_its_bot_whatever_its_path_says() {
        for base in ["https://api.telegram.org/file", "http://[::1]:8081/file/"] {
            let token = Secret("7000001:not-a-real_token".to_owned());
            let bot = Bot::new(base, base, &token, None).unwrap();
            let file = |path| bot.file(path).map(|url| url.path().to_owned());
            let expected = "/file/bot7000001:not-a-real_token/photos/file_1.jpg";
            assert_eq!(file("photos/file_1.jpg").as_deref(), Some(expected));
            for path in ["../x", "a/../../x", "%2e%2e/x", "%2E./x", ".\t./x", "..\\x", "a?b", "a#b"] {
                assert_eq!(file(path), None, "{path:?}");
            }
        }
    }
}

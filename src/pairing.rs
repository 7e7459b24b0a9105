//! Pure. What a WhatsApp session folder's `creds.json` says about the pairing.
//!
//! The file's existence proves nothing: routing info and a requested pairing code are saved before the phone has agreed,
//! and `registered` stays false after a QR pairing. Proof is `account` with both signatures and `me` with a device part,
//! which Baileys saves when the phone has accepted.
//!
//! Bytes may stand there in any form in which programs write them (see `creds.mjs`, which reads them); what is none of
//! them is no key.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::platforms::whatsapp::phone;

/// Who the session belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// `<number>:<device>@s.whatsapp.net`.
    pub id: String,
    /// The same account by its LID.
    #[serde(default)]
    pub lid: Option<String>,
    /// The name shown to contacts.
    #[serde(default)]
    pub name: Option<String>,
}

impl Me {
    /// The phone number, digits only.
    pub fn number(&self) -> &str {
        self.id.split([':', '@']).next().unwrap_or_default()
    }

    /// The account for its owner to recognise: its name and its number.
    pub fn shown(&self) -> String {
        self.named(format!("+{}", self.number()))
    }

    /// The same with most of the number left out, for the log.
    pub fn masked(&self) -> String {
        self.named(phone::masked(self.number()))
    }

    fn named(&self, number: String) -> String {
        match self.name.as_deref() {
            Some(name) if !name.is_empty() && name != "~" => {
                format!("{} ({number})", crate::visible::line(name))
            }
            Some(_) | None => number,
        }
    }
}

/// The verdict on a session folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pairing {
    /// A phone has accepted this session.
    Paired {
        /// The account.
        me: Me,
    },
    /// No credentials, or only such as precede any pairing.
    Unpaired,
    /// A pairing code was requested and never completed. WhatsApp would be asked to log in instead of showing a code, so
    /// the folder must be moved aside first.
    HalfPaired,
    /// The file is there and cannot be credentials.
    Corrupt {
        /// What is wrong with it; never its content.
        why: String,
    },
}

#[derive(Deserialize)]
struct Creds {
    me: Option<MeField>,
    account: Option<Account>,
    #[serde(rename = "noiseKey")]
    noise_key: Option<KeyPair>,
    #[serde(rename = "signedIdentityKey")]
    signed_identity_key: Option<KeyPair>,
    #[serde(rename = "signedPreKey")]
    signed_pre_key: Option<SignedKeyPair>,
    #[serde(rename = "registrationId")]
    registration_id: Option<u64>,
    #[serde(rename = "advSecretKey")]
    adv_secret_key: Option<String>,
}

#[derive(Deserialize)]
struct KeyPair {
    private: Option<Value>,
}

#[derive(Deserialize)]
struct SignedKeyPair {
    #[serde(rename = "keyPair")]
    key_pair: Option<KeyPair>,
}

impl Creds {
    /// Every key that the bridge needs is there; it judges by the same ones.
    fn is_whole(&self) -> bool {
        let has = |pair: Option<&KeyPair>| {
            pair.and_then(|pair| pair.private.as_ref()).is_some_and(|key| holds_bytes(key, KEY_LEN))
        };
        has(self.noise_key.as_ref())
            && has(self.signed_identity_key.as_ref())
            && has(self.signed_pre_key.as_ref().and_then(|key| key.key_pair.as_ref()))
            && self.registration_id.is_some()
            && self.adv_secret_key.is_some()
    }
}

/// Bytes of a private key.
const KEY_LEN: usize = 32;

/// True when a value is bytes: base64, `{"type":"Buffer","data":…}` around base64 or a list, a list, or `{"0":…,"1":…}`.
/// `len` is checked where it takes no decoding.
fn holds_bytes(value: &Value, len: usize) -> bool {
    let is_list = |bytes: &mut dyn Iterator<Item = &Value>| {
        let bytes: Vec<_> = bytes.collect();
        bytes.len() == len && bytes.iter().all(|byte| byte.as_u64().is_some_and(|byte| byte < 256))
    };
    match value {
        Value::String(_) => true,
        Value::Array(bytes) => is_list(&mut bytes.iter()),
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "Buffer") => {
            fields.get("data").is_some_and(|data| holds_bytes(data, len))
        }
        Value::Object(fields) => {
            (0..fields.len()).all(|at| fields.contains_key(&at.to_string())) && is_list(&mut fields.values())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[derive(Deserialize)]
struct MeField {
    id: Option<String>,
    lid: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    details: Option<Value>,
    account_signature: Option<Value>,
    device_signature: Option<Value>,
}

/// Judges the bytes of `creds.json`; `None` when the file does not exist.
pub fn verdict(creds: Option<&[u8]>) -> Pairing {
    let Some(bytes) = creds else { return Pairing::Unpaired };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Pairing::Corrupt { why: "it is empty".to_owned() };
    }
    let creds: Creds = match serde_json::from_slice(bytes) {
        Ok(creds) => creds,
        // The error's own text may quote the content; only where it stands is told.
        Err(error) if error.is_eof() => return Pairing::Corrupt { why: "it is cut off".to_owned() },
        Err(error) => {
            return Pairing::Corrupt {
                why: format!(
                    "it does not hold valid credentials (JSON error at line {}, column {})",
                    error.line(),
                    error.column()
                ),
            };
        }
    };
    if !creds.is_whole() {
        return Pairing::Corrupt { why: "its keys are missing".to_owned() };
    }
    match (creds.me, creds.account) {
        (None, _) => Pairing::Unpaired,
        (Some(_), None) => Pairing::HalfPaired,
        (Some(me), Some(account)) => judge_account(me, &account),
    }
}

fn judge_account(me: MeField, account: &Account) -> Pairing {
    let signed = [&account.details, &account.account_signature, &account.device_signature]
        .into_iter()
        .all(|field| field.as_ref().is_some_and(|value| !value.is_null() && value.as_str() != Some("")));
    if !signed {
        return Pairing::HalfPaired;
    }
    match me.id {
        Some(id) if is_own_jid(&id) => Pairing::Paired { me: Me { id, lid: me.lid, name: me.name } },
        // The phone gives the device its part of the id when it accepts.
        Some(_) | None => Pairing::HalfPaired,
    }
}

/// `<digits>:<device>@s.whatsapp.net`.
fn is_own_jid(id: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    id.strip_suffix("@s.whatsapp.net")
        .and_then(|user| user.split_once(':'))
        .is_some_and(|(number, device)| digits(number) && digits(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#""noiseKey":{"private":""},"signedIdentityKey":{"private":""},"signedPreKey":{"keyPair":{"private":""}},"registrationId":7,"advSecretKey":"","registered":false"#;
    const ACCOUNT: &str =
        r#""account":{"details":"CgQ=","accountSignature":"AA==","deviceSignature":"AA=="}"#;

    fn judge(json: &str) -> Pairing {
        verdict(Some(json.as_bytes()))
    }

    #[test]
    fn no_file_or_only_routing_info_is_unpaired() {
        assert_eq!(verdict(None), Pairing::Unpaired);
        assert_eq!(judge(&format!("{{{KEYS},\"routingInfo\":\"AA==\"}}")), Pairing::Unpaired);
    }

    #[test]
    fn a_requested_code_is_half_a_pairing_even_when_it_claims_to_be_registered() {
        let me = r#""me":{"id":"15550001111@s.whatsapp.net","name":"~"}"#;
        assert_eq!(judge(&format!("{{{KEYS},{me}}}")), Pairing::HalfPaired);
        assert_eq!(judge(&format!("{{{},{me}}}", KEYS.replace("false", "true"))), Pairing::HalfPaired);
        assert_eq!(judge(&format!(r#"{{{KEYS},{me},"account":{{"details":"CgQ="}}}}"#)), Pairing::HalfPaired);
        assert_eq!(judge(&format!("{{{KEYS},{me},{ACCOUNT}}}")), Pairing::HalfPaired, "no device part");
    }

    #[test]
    fn a_signed_account_is_paired_although_registered_is_false() {
        let me = r#""me":{"id":"15550001111:7@s.whatsapp.net","lid":"99:7@lid"}"#;
        let Pairing::Paired { me } = judge(&format!("{{{KEYS},{me},{ACCOUNT}}}")) else {
            panic!("not paired")
        };
        assert_eq!(me.number(), "15550001111");
        assert_eq!(me.lid.as_deref(), Some("99:7@lid"));
    }

    #[test]
    fn bytes_are_read_as_any_program_writes_them_and_nothing_else_is_a_key() {
        let me = r#""me":{"id":"15550001111:7@s.whatsapp.net"}"#;
        let with = |key: &str| {
            let keys = KEYS.replacen(r#"{"private":""}"#, &format!("{{\"private\":{key}}}"), 1);
            judge(&format!("{{{keys},{me},{ACCOUNT}}}"))
        };
        let list = format!("[{}]", vec!["7"; KEY_LEN].join(","));
        let indexed: Vec<String> = (0..KEY_LEN).map(|at| format!("\"{at}\":255")).collect();
        for key in [
            r#""AAAA""#,
            r#"{"type":"Buffer","data":"AAAA"}"#,
            &format!(r#"{{"type":"Buffer","data":{list}}}"#),
            &list,
            &format!("{{{}}}", indexed.join(",")),
        ] {
            assert!(matches!(with(key), Pairing::Paired { .. }), "{key}");
        }
        for key in ["{}", "[]", "7", "true", r#"{"x":1}"#, "[1,2]", &list.replacen('7', "256", 1)] {
            assert!(matches!(with(key), Pairing::Corrupt { .. }), "{key}");
        }
    }

    #[test]
    fn what_cannot_be_credentials_is_corrupt_and_its_content_is_not_told() {
        let keyless = KEYS.replace("noiseKey", "secretKey");
        for json in [
            "",
            "  \n",
            "{\"me\":{\"id\"",
            "[]",
            "nonsense sk-secret",
            "{}",
            &format!("{{{keyless},{ACCOUNT}}}"),
        ] {
            let Pairing::Corrupt { why } = judge(json) else { panic!("{json} is not corrupt") };
            assert!(!why.contains("secret"), "{why}");
        }
    }
}

//! Pure. The cause of npm's failure, by its output, and the remedy.

/// The description of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
    /// The registry answered that it does not know the user.
    pub(super) is_refusal: bool,
}

impl Cause {
    const fn new(message: &'static str, hint: &'static str) -> Self {
        Self { message, hint, is_refusal: false }
    }

    const fn refusal(message: &'static str, hint: &'static str) -> Self {
        Self { message, hint, is_refusal: true }
    }
}

struct Row {
    /// Any of these as a separate word in the output.
    signs: &'static [&'static str],
    cause: Cause,
}

/// Rows by sign; the first row with a sign in the output counts, so the more particular ones come first.
const ROWS: &[Row] = &[
    Row {
        signs: &["ENOSPC", "EDQUOT"],
        cause: Cause::new(
            "the bridge could not be installed: the disk is full",
            "Free some space (about 100 MB) and run it again.",
        ),
    },
    Row {
        signs: &["EINTEGRITY"],
        cause: Cause::new(
            "the bridge could not be installed: a package does not match its checksum",
            "A proxy changes packages, or npm's cache is damaged: \
                   run `npm cache clean --force` and try again.",
        ),
    },
    Row {
        signs: &["EACCES", "EPERM", "EROFS"],
        cause: Cause::new(
            "the bridge could not be installed: a folder is not writable",
            "Often npm's cache belongs to root: run `sudo chown -R \"$(id -un)\" ~/.npm` and try again. \
                   The lines above name the folder.",
        ),
    },
    Row {
        signs: &["EBADENGINE", "ERR_UNSUPPORTED_ENGINE"],
        cause: Cause::new(
            "the bridge could not be installed: this Node.js is too old for a package",
            "Install Node.js 20 or newer (https://nodejs.org), or set HERMES_NODE to the one to use.",
        ),
    },
    Row {
        signs: &["E407", "ERR_PROXY_AUTH", "Proxy Authentication Required"],
        cause: Cause::new(
            "the bridge could not be installed: the proxy requires a user name and password",
            "Put them into HTTPS_PROXY, as in http://name:password@proxy:8080, and try again.",
        ),
    },
    Row {
        signs: &["E401", "E403", "ENEEDAUTH"],
        cause: Cause::refusal(
            "the bridge could not be installed: the package registry refused",
            "Check the registry with `npm config get registry`, log in there with `npm login`, and try again.",
        ),
    },
    Row {
        signs: &["E404", "ETARGET", "ENOVERSIONS"],
        cause: Cause::refusal(
            "the bridge could not be installed: the package registry does not have a package",
            "Check the registry with `npm config get registry`; a mirror may need time or permission to fetch it.",
        ),
    },
    Row {
        signs: &[
            "SELF_SIGNED_CERT_IN_CHAIN",
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            "UNABLE_TO_GET_ISSUER_CERT",
            "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "CERT_HAS_EXPIRED",
        ],
        cause: Cause::new(
            "the bridge could not be installed: the registry's certificate is not trusted",
            "If your network uses its own certificate, set NODE_EXTRA_CA_CERTS to its file and try again.",
        ),
    },
    Row {
        signs: &[
            "ENOTFOUND",
            "EAI_AGAIN",
            "ECONNREFUSED",
            "ECONNRESET",
            "ENETUNREACH",
            "EHOSTUNREACH",
            "ETIMEDOUT",
            "ERR_SOCKET_TIMEOUT",
            "FETCH_ERROR",
            "ERR_INVALID_URL",
        ],
        cause: Cause::new(
            "the bridge could not be installed: the package registry cannot be reached",
            "Check the network and try again. Behind a proxy, set HTTPS_PROXY first.",
        ),
    },
    Row {
        signs: &["E429", "E500", "E502", "E503", "E504"],
        cause: Cause::new(
            "the bridge could not be installed: the package registry itself has a problem",
            "Try again in a few minutes. Another registry can be set with `npm config set registry ADDRESS`.",
        ),
    },
    Row {
        signs: &[
            "EPROTO",
            "ERR_SSL_WRONG_VERSION_NUMBER",
            "ERR_TLS_CERT_ALTNAME_INVALID",
            "ERR_SSL_PACKET_LENGTH_TOO_LONG",
        ],
        cause: Cause::new(
            "the bridge could not be installed: the answer did not come from a package registry",
            "Compare the addresses in `npm config get registry` and HTTPS_PROXY: http:// and https:// are often mixed up there.",
        ),
    },
    Row {
        signs: &["EOTP"],
        cause: Cause::new(
            "the bridge could not be installed: the package registry asks for a one-time password",
            "Log in with `npm login`, or use a token that needs none, and try again.",
        ),
    },
    Row {
        signs: &["--no-workspaces and --workspace", "No workspaces found"],
        cause: Cause::new(
            "the bridge could not be installed: npm's settings name a workspace",
            "Remove it with `npm config delete workspace` and try again.",
        ),
    },
    Row {
        signs: &["ERR_INVALID_ARG_VALUE", "EINVALIDTYPE", "Invalid auth"],
        cause: Cause::new(
            "the bridge could not be installed: npm does not understand its settings",
            "`npm config list` shows the settings and their files; correct the one that the lines above name.",
        ),
    },
    Row {
        signs: &["EUSAGE", "ELOCKVERIFY"],
        cause: Cause::new(
            "the bridge could not be installed: this npm does not understand its lockfile",
            "Update npm (`npm install -g npm`) and try again.",
        ),
    },
    Row {
        signs: &["ENOMEM", "heap out of memory"],
        cause: Cause::new(
            "the bridge could not be installed: there is not enough memory",
            "Free some memory (about 300 MB) and run it again.",
        ),
    },
];

const UNKNOWN: Cause = Cause::new(
    "the bridge could not be installed: npm failed",
    "The lines above come from npm; its full log is in ~/.npm/_logs.",
);

/// Returns the cause as far as it is recognised.
pub(super) fn of(lines: &[String]) -> &'static Cause {
    // npm's own code is worth more than a word somewhere in its explanations.
    let codes: Vec<&String> = lines.iter().filter(|line| line.contains("error code ")).collect();
    find(&codes).or_else(|| find(&lines.iter().collect::<Vec<_>>())).unwrap_or(&UNKNOWN)
}

fn find(lines: &[&String]) -> Option<&'static Cause> {
    let has = |sign: &str| lines.iter().any(|line| is_word_of(sign, line));
    ROWS.iter().find(|row| row.signs.iter().any(|sign| has(sign))).map(|row| &row.cause)
}

fn is_word_of(sign: &str, line: &str) -> bool {
    let is_edge = |near: Option<char>| near.is_none_or(|near| !near.is_ascii_alphanumeric() && near != '_');
    line.match_indices(sign).any(|(at, _)| {
        is_edge(line[..at].chars().next_back()) && is_edge(line[at + sign.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lines: &[&str]) -> &'static str {
        of(&lines.iter().map(ToString::to_string).collect::<Vec<_>>()).message
    }

    #[test]
    fn each_known_cause_is_recognised() {
        for (line, expected) in [
            ("npm error code ENOTFOUND", "cannot be reached"),
            ("npm ERR! code ECONNREFUSED", "cannot be reached"),
            (
                "npm error request to https://registry.example/x failed, reason: getaddrinfo EAI_AGAIN x",
                "reached",
            ),
            ("npm error code EACCES", "is not writable"),
            ("npm error code EROFS", "is not writable"),
            ("npm error nospc ENOSPC: no space left on device, write", "disk is full"),
            ("npm error code EBADENGINE", "too old"),
            ("npm error code E407", "the proxy requires"),
            ("npm error 407 Proxy Authentication Required", "the proxy requires"),
            ("npm error code E401", "registry refused"),
            ("npm error code E403", "registry refused"),
            ("npm error code E404", "does not have a package"),
            ("npm error code EINTEGRITY", "does not match its checksum"),
            ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "certificate is not trusted"),
            ("npm error code EUSAGE", "lockfile"),
            ("npm error code E429", "itself has a problem"),
            ("npm error code ERR_SSL_WRONG_VERSION_NUMBER", "did not come from a package registry"),
            ("npm error code EOTP", "one-time password"),
            ("npm error Can not use --no-workspaces and --workspace at the same time", "name a workspace"),
            ("FATAL ERROR: Reached heap limit - JavaScript heap out of memory", "not enough memory"),
            ("npm error something else", "npm failed"),
            ("npm error XENOSPCX", "npm failed"),
            ("", "npm failed"),
        ] {
            assert!(message(&[line]).contains(expected), "{line}: {}", message(&[line]));
        }
    }

    #[test]
    fn npms_code_is_worth_more_than_a_word_elsewhere() {
        let lines = ["npm warn tried after ETIMEDOUT and EACCES", "npm error code E404"];
        assert!(message(&lines).contains("does not have a package"));
    }
}

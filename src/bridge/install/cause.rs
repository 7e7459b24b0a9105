//! Pure. Why npm failed, from what it printed, and what to do about it.

/// What is told of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
}

struct Row {
    /// Any of these in the output, as a word of its own.
    signs: &'static [&'static str],
    cause: Cause,
}

/// The first row with a sign in the output counts, so the more particular ones come first.
const ROWS: &[Row] = &[
    Row {
        signs: &["ENOSPC", "EDQUOT"],
        cause: Cause {
            message: "the bridge could not be installed: the disk is full",
            hint: "Free some space (about 100 MB) and run it again.",
        },
    },
    Row {
        signs: &["EINTEGRITY"],
        cause: Cause {
            message: "the bridge could not be installed: a package is not the one that was published",
            hint: "Something between here and the registry changes packages, or npm's cache is damaged: \
                   run `npm cache clean --force` and try again.",
        },
    },
    Row {
        signs: &["EACCES", "EPERM", "EROFS"],
        cause: Cause {
            message: "the bridge could not be installed: a folder may not be written",
            hint: "Often npm's cache belongs to root: run `sudo chown -R \"$(id -un)\" ~/.npm` and try again. \
                   The lines above name the folder.",
        },
    },
    Row {
        signs: &["EBADENGINE", "ERR_UNSUPPORTED_ENGINE"],
        cause: Cause {
            message: "the bridge could not be installed: this Node.js is too old for a package",
            hint: "Install Node.js 20 or newer (https://nodejs.org), or set HERMES_NODE to the one to use.",
        },
    },
    Row {
        signs: &["E407", "ERR_PROXY_AUTH", "Proxy Authentication Required"],
        cause: Cause {
            message: "the bridge could not be installed: the proxy asks for a name and a password",
            hint: "Put them into HTTPS_PROXY, as in http://name:password@proxy:8080, and try again.",
        },
    },
    Row {
        signs: &["E401", "E403", "ENEEDAUTH"],
        cause: Cause {
            message: "the bridge could not be installed: the package registry refused",
            hint: "See which registry is set with `npm config get registry`, log in there with `npm login`, and try again.",
        },
    },
    Row {
        signs: &["E404", "ETARGET", "ENOVERSIONS"],
        cause: Cause {
            message: "the bridge could not be installed: the package registry does not have a package",
            hint: "See which registry is set with `npm config get registry`; a mirror may need time or permission to fetch it.",
        },
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
        cause: Cause {
            message: "the bridge could not be installed: the registry's certificate is not trusted",
            hint: "If your network has a certificate of its own, set NODE_EXTRA_CA_CERTS to its file and try again.",
        },
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
        cause: Cause {
            message: "the bridge could not be installed: the package registry cannot be reached",
            hint: "Check the network and try again. Behind a proxy, set HTTPS_PROXY first.",
        },
    },
    Row {
        signs: &["EUSAGE", "ELOCKVERIFY"],
        cause: Cause {
            message: "the bridge could not be installed: this npm does not understand its lockfile",
            hint: "Update npm (`npm install -g npm`) and try again.",
        },
    },
    Row {
        signs: &["ENOMEM", "heap out of memory"],
        cause: Cause {
            message: "the bridge could not be installed: there is not enough memory",
            hint: "Free some memory (about 300 MB) and run it again.",
        },
    },
];

const UNKNOWN: Cause = Cause {
    message: "the bridge could not be installed: npm failed",
    hint: "The lines above are npm's own; its full log is below ~/.npm/_logs.",
};

/// The cause as far as it is recognised.
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
            ("npm error code EACCES", "may not be written"),
            ("npm error code EROFS", "may not be written"),
            ("npm error nospc ENOSPC: no space left on device, write", "disk is full"),
            ("npm error code EBADENGINE", "too old"),
            ("npm error code E407", "the proxy asks"),
            ("npm error 407 Proxy Authentication Required", "the proxy asks"),
            ("npm error code E401", "registry refused"),
            ("npm error code E403", "registry refused"),
            ("npm error code E404", "does not have a package"),
            ("npm error code EINTEGRITY", "not the one that was published"),
            ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "certificate is not trusted"),
            ("npm error code EUSAGE", "lockfile"),
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

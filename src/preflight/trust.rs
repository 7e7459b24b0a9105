//! Pure. Findings about the variables that name trusted certificates.

use std::path::PathBuf;

use super::{Code, Finding, Severity};
use crate::error::CliError;
use crate::visible;

/// A variable that names certificates which cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFault {
    /// Its name.
    pub variable: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The cause.
    pub why: String,
}

/// The certificates that the environment names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustFact {
    /// What cannot be used for our own connections.
    pub faults: Vec<TrustFault>,
    /// True when the rest holds a certificate. Without one no TLS connection is possible.
    pub has_any: bool,
    /// The same of Node's further certificates.
    pub node: Option<TrustFault>,
}

impl TrustFault {
    fn shown(&self) -> String {
        let path = self.path.display().to_string();
        format!("{} is `{}`, which cannot be used: {}", self.variable, visible::line(&path), self.why)
    }
}

/// Returns the findings: blocking where nothing at all is trusted and something is connected that way.
pub fn findings(fact: &TrustFact, is_needed: bool) -> Vec<Finding> {
    let node = fact.node.as_ref().map(|fault| {
        let fix =
            "Correct NODE_EXTRA_CA_CERTS where hermes is started (unit, container or shell), or remove it.";
        Finding::warning(Code::NodeCertsUnusable, format!("{}; Node.js ignores it", fault.shown()), fix)
    });
    ours(fact, is_needed).into_iter().chain(node).collect()
}

/// Returns the error where no TLS connection is possible.
///
/// # Errors
/// When nothing is trusted.
pub fn check(fact: &TrustFact) -> Result<(), CliError> {
    match ours(fact, true).filter(|finding| finding.severity == Severity::Blocking) {
        Some(Finding { code, message, fix, .. }) => {
            Err(CliError::config(message).code(code.as_str()).hint(fix))
        }
        None => Ok(()),
    }
}

fn ours(fact: &TrustFact, is_needed: bool) -> Option<Finding> {
    let shown: Vec<String> = fact.faults.iter().map(TrustFault::shown).collect();
    let first = fact.faults.first()?;
    Some(Finding {
        code: Code::TrustUnusable,
        severity: if fact.has_any || !is_needed { Severity::Warning } else { Severity::Blocking },
        message: shown.join("; "),
        fix: format!(
            "Correct {} where hermes is started (unit, container or shell), or remove it: without it the system's certificates are trusted.",
            first.variable
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_cannot_be_used_block_only_where_nothing_else_is_trusted() {
        let fault = |variable| TrustFault { variable, path: "/x\u{1b}".into(), why: "it is away".to_owned() };
        assert_eq!(findings(&TrustFact::default(), true), []);
        let mut fact =
            TrustFact { faults: vec![fault("SSL_CERT_FILE"), fault("SSL_CERT_DIR")], ..TrustFact::default() };
        let found = findings(&fact, true);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Blocking));
        assert!(found[0].message.contains("SSL_CERT_DIR is") && !found[0].message.contains('\u{1b}'));
        let error = check(&fact).unwrap_err();
        assert_eq!((error.code, error.kind), ("trust_unusable", crate::error::ErrorKind::Config));
        assert!(error.hints[0].contains("SSL_CERT_FILE"));
        assert_eq!(findings(&fact, false)[0].severity, Severity::Warning);
        fact.has_any = true;
        assert_eq!(findings(&fact, true)[0].severity, Severity::Warning);
        check(&fact).unwrap();
        let node = TrustFact { node: Some(fault("NODE_EXTRA_CA_CERTS")), ..TrustFact::default() };
        assert_eq!(findings(&node, true)[0].severity, Severity::Warning);
    }
}

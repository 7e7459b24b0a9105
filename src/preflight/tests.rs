use super::*;

fn me() -> Me {
    Me { id: "15550001111:1@s.whatsapp.net".into(), lid: None, name: None }
}

fn good() -> Facts {
    Facts {
        enabled: true,
        node: NodeFact::Found { path: "/usr/bin/node".into(), version: (20, 0, 0) },
        bridge: BridgeFact::Installed { dir: "/b".into() },
        session_dir: "/home/a b/session".into(),
        session: SessionFact::Judged(Pairing::Paired { me: me() }),
        lock: LockFact::Free,
        mode: Some(WhatsAppMode::Bot),
        allowed: AllowList::Only(vec!["15550002222".into()]),
        allowed_rejects: Vec::new(),
        session_refused: false,
        passkey_required: false,
    }
}

fn judged(pairing: Pairing) -> Facts {
    Facts { session: SessionFact::Judged(pairing), ..good() }
}

fn nothing_done() -> Facts {
    Facts {
        enabled: false,
        node: NodeFact::Missing,
        bridge: BridgeFact::Missing,
        session: SessionFact::Judged(Pairing::Unpaired),
        mode: None,
        allowed: AllowList::Nobody,
        ..good()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_fact_has_its_findings_and_their_order_is_that_of_mending() {
    use Code::*;
    use Severity::*;
    let only = |number: &str| AllowList::Only(vec![number.into()]);
    let table = vec![
        ("good", good(), vec![]),
        (
            "self-chat",
            Facts { mode: Some(WhatsAppMode::SelfChat), allowed: AllowList::Nobody, ..good() },
            vec![],
        ),
        (
            "own number in self-chat",
            Facts { mode: Some(WhatsAppMode::SelfChat), allowed: only("15550001111"), ..good() },
            vec![],
        ),
        (
            "nothing done yet",
            nothing_done(),
            vec![
                (WhatsappNodeMissing, Blocking),
                (WhatsappBridgeNotInstalled, Blocking),
                (WhatsappNotPaired, Blocking),
                (WhatsappModeNotSet, Warning),
                (WhatsappNotEnabled, Warning),
            ],
        ),
        (
            "old node",
            Facts { node: NodeFact::Found { path: "/n".into(), version: (19, 9, 9) }, ..good() },
            vec![(WhatsappNodeTooOld, Blocking)],
        ),
        (
            "broken node",
            Facts { node: NodeFact::Broken { path: "/n".into(), why: "x".into() }, ..good() },
            vec![(WhatsappNodeMissing, Blocking)],
        ),
        (
            "damaged bridge",
            Facts { bridge: BridgeFact::Damaged { why: "x".into() }, ..good() },
            vec![(WhatsappBridgeNotInstalled, Blocking)],
        ),
        (
            "lock",
            Facts { lock: LockFact::Held { pid: Some(7) }, ..good() },
            vec![(WhatsappSessionLock, Blocking)],
        ),
        ("half", judged(Pairing::HalfPaired), vec![(WhatsappHalfPaired, Blocking)]),
        ("corrupt", judged(Pairing::Corrupt { why: "x".into() }), vec![(WhatsappCredsCorrupt, Blocking)]),
        (
            "restorable",
            Facts { session: SessionFact::Restorable { why: "x".into(), me: me() }, ..good() },
            vec![(WhatsappCredsCorrupt, Warning)],
        ),
        (
            "passkey",
            Facts { passkey_required: true, ..judged(Pairing::Unpaired) },
            vec![(WhatsappPasskeyRequired, Blocking)],
        ),
        ("passkey, paired since", Facts { passkey_required: true, ..good() }, vec![]),
        (
            "unreadable",
            Facts { session: SessionFact::Unreadable { why: "x".into(), obstacle: None }, ..good() },
            vec![(WhatsappCredsCorrupt, Blocking)],
        ),
        ("nobody", Facts { allowed: AllowList::Nobody, ..good() }, vec![(WhatsappNobodyAllowed, Warning)]),
        (
            "everybody",
            Facts { allowed: AllowList::Everybody, ..good() },
            vec![(WhatsappEverybodyAllowed, Warning)],
        ),
        (
            "own number",
            Facts { allowed: only("15550001111"), ..good() },
            vec![(WhatsappOwnNumberAllowed, Warning)],
        ),
        (
            "rejects and nobody",
            Facts { allowed: AllowList::Nobody, allowed_rejects: vec!["alice".into()], ..good() },
            vec![(WhatsappAllowlistInvalid, Warning), (WhatsappNobodyAllowed, Warning)],
        ),
    ];
    for (name, facts, expected) in table {
        let found: Vec<(Code, Severity)> =
            findings(&facts).iter().map(|finding| (finding.code, finding.severity)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn every_finding_is_a_fragment_with_a_whole_sentence_of_remedy() {
    let all = Facts {
        lock: LockFact::Held { pid: None },
        allowed_rejects: vec!["05550001111".into()],
        mode: Some(WhatsAppMode::Bot),
        ..nothing_done()
    };
    for finding in findings(&all) {
        assert!(!finding.message.ends_with('.'), "{finding:?}");
        assert!(finding.fix.ends_with('.') && !finding.fix.contains('!'), "{finding:?}");
        assert_eq!(
            serde_json::to_value(finding.code).unwrap(),
            serde_json::Value::from(finding.code.as_str())
        );
        assert!(!finding.message.contains("0001111"), "{finding:?}");
    }
}

#[test]
fn the_command_for_a_foreign_folder_can_be_pasted() {
    let unreadable = |obstacle| SessionFact::Unreadable { why: "permission denied".into(), obstacle };
    let facts = Facts { session: unreadable(None), ..good() };
    assert_eq!(
        findings(&facts)[0].fix,
        "Run hermes as the user that owns it (`ls -ld '/home/a b/session'` shows who); if that is you, run \
         `chmod -R u+rwX,go= '/home/a b/session'`."
    );
    assert!(is_blocked(&findings(&facts)));
    let facts = Facts { session: unreadable(Some("/home/a b/session/k.json".into())), ..good() };
    assert_eq!(
        findings(&facts)[0].fix,
        "Run `mv '/home/a b/session/k.json' '/home/a b/session/k.json.moved'`."
    );
    assert!(!is_blocked(&findings(&Facts { mode: None, enabled: false, ..good() })));
}

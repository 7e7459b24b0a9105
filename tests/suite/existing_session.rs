//! People who come from hermes-agent do not pair again.

use std::process::Command;

use serde_json::json;

use crate::support::bridge;
use crate::support::fake::FakeWhatsApp;
use crate::support::home::{TestHome, tree};
use crate::support::pairing::FRIEND;
use crate::support::process::Gateway;
use crate::support::wait;

/// Pairs with Baileys' own `useMultiFileAuthState`, as hermes-agent's bridge does.
const PLAIN_PAIRING: &str = r"
const [modules, session, url] = process.argv.slice(1);
const say = process.stdout.write.bind(process.stdout);
for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = () => {};
const { default: makeWASocket, useMultiFileAuthState } = await import(`${modules}/node_modules/baileys/lib/index.js`);
const { state, saveCreds } = await useMultiFileAuthState(session);
const quiet = { level: 'silent', child: () => quiet, trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const open = () => {
  const socket = makeWASocket({ auth: state, waWebSocketUrl: url, logger: quiet, syncFullHistory: false });
  let saved = Promise.resolve();
  socket.ev.on('creds.update', () => { saved = saved.then(saveCreds); });
  socket.ev.on('connection.update', async ({ connection, qr, lastDisconnect, receivedPendingNotifications }) => {
    if (qr) say(`${JSON.stringify({ qr })}\n`);
    if (connection === 'close' && lastDisconnect?.error?.output?.statusCode === 515) { await saved; open(); }
    if (receivedPendingNotifications) { await saved; await socket.end(); await saved; process.exit(0); }
  });
};
open();
";

#[test]
fn a_session_of_plain_multi_file_state_is_used_without_pairing_again() {
    for folder in ["whatsapp/session", "platforms/whatsapp/session"] {
        let mut home = TestHome::with_bridge();
        let mut fake = FakeWhatsApp::start();
        fake.serve(&mut home);
        let session = home.root().join(folder);
        std::fs::create_dir_all(&session).unwrap();
        pair_plainly(&home, &mut fake, &session);
        let before = tree(&session);
        assert!(before.len() > 100, "keys are there: {}", before.len());

        home.write(
            ".env",
            format!("WHATSAPP_ENABLED=true\nWHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS={FRIEND}\n"),
        );
        let mut gateway = Gateway::start(&home);
        gateway.wait_for_state("connected");
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "still you" }));
        let answered = wait::until(wait::LIMIT, || {
            fake.received().iter().any(|(_, text)| text.contains("still you")).then_some(())
        });
        assert!(answered.is_some(), "{}", gateway.log().join("\n"));
        assert_eq!(gateway.stop(), Some(0));
    }
}

fn pair_plainly(home: &TestHome, fake: &mut FakeWhatsApp, session: &std::path::Path) {
    use std::io::{BufRead, BufReader};
    let preload =
        home.env.iter().find(|(key, _)| key == "HERMES_BRIDGE_PRELOAD").expect("the fake is trusted");
    let mut child = Command::new("node")
        .args(["--import", &preload.1, "--input-type=module", "--eval", PLAIN_PAIRING])
        .arg(bridge::installed_dir())
        .arg(session)
        .arg(&fake.url)
        .env("HERMES_FAKE_MODULES", bridge::installed_dir())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("Node starts");
    let output = child.stdout.take().expect("it is piped");
    let mut scanned = false;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let said: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        if !scanned {
            fake.tell(json!({ "cmd": "scan", "payload": said["qr"] }));
            scanned = true;
        }
    }
    assert!(child.wait().expect("a child of ours").success() && scanned);
}

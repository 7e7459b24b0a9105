//! What comes in from Telegram in other forms than a text, over a Bot API of our own that speaks the real wire protocol.

use serde_json::{Value, json};

use crate::support::house::QUICK;
use crate::support::telegram::scene::{FRIEND, entry};
use crate::support::telegram::service::{TOKEN, now};
use crate::telegram::Scene;

/// Another person who may speak.
const OTHER: i64 = FRIEND + 1;

/// A group in which they may.
const GROUP: i64 = -100_500;

/// Two people may speak, alone and in a group.
fn set(toml: &str) -> Scene {
    let scene = Scene::set_with("");
    scene.home.write("gateway.toml", format!("{QUICK}{}{toml}", scene.service.table()));
    scene.home.write(
        ".env",
        format!(
            "TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={FRIEND},{OTHER}\n\
             TELEGRAM_GROUP_POLICY=allowlist\nTELEGRAM_GROUP_ALLOWED_USERS={GROUP}\n"
        ),
    );
    scene
}

/// A message of the friend with this in it.
fn said(id: i64, fields: Value) -> Value {
    let mut message = json!({ "message_id": id, "date": now(), "chat": { "id": FRIEND, "type": "private" },
        "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" } });
    for (name, value) in fields.as_object().expect("fields") {
        message[name] = value.clone();
    }
    json!({ "message": message })
}

fn files(scene: &Scene) -> usize {
    std::fs::read_dir(scene.home.paths().telegram().media_dir()).expect("it is there").count()
}

#[test]
fn an_attachment_that_comes_too_slowly_is_left_out_and_stands_in_nobodys_way() {
    let scene = set("media_timeout = \"2s\"\n");
    scene.service.file("slow", "documents/file_1.pdf", &[b'x'; 5000]);
    scene.service.trickle("documents/file_1.pdf");
    let document = json!({ "file_id": "slow", "file_name": "slow.pdf", "file_size": 5000 });
    // They come in one answer.
    scene.service.push(said(1, json!({ "caption": "see it", "document": document })));
    scene.service.write(OTHER, OTHER, "meanwhile");
    let mut gateway = scene.connected();
    let since = entry(&gateway)["since"].clone();
    let meanwhile = scene.service.wait_sent(OTHER, "meanwhile");
    let told =
        scene.service.wait_sent(FRIEND, "I did not get your document slow.pdf: it took too long to fetch.");
    assert!(meanwhile.at < told.at, "the others did not wait for it");
    scene.answered("see it");
    scene.confirmed();
    scene.write("and on");
    scene.answered("and on");
    let entry = entry(&gateway);
    assert_eq!((&entry["state"], &entry["since"]), (&json!("connected"), &since), "{entry:#}");
    assert_eq!((scene.service.asked("getFile").len(), files(&scene)), (1, 0));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_comes_again_is_not_fetched_again() {
    let scene = set("");
    scene.service.file("f", "documents/file_1.pdf", b"%PDF-1.4 content");
    let update = said(1, json!({ "caption": "once", "document": { "file_id": "f", "file_size": 16 } }));
    let mut gateway = scene.connected();
    scene.service.push(update.clone());
    scene.answered("once");
    scene.confirmed();
    scene.service.push(update);
    scene.write("and on");
    scene.answered("and on");
    assert_eq!((scene.service.asked("getFile").len(), files(&scene)), (1, 1));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn every_part_of_an_album_is_answered_where_one_of_them_speaks_to_us() {
    let scene = set("");
    let part = |id: i64, album: &str, caption: Option<&str>| {
        let file = format!("f{id}");
        scene.service.file(&file, &format!("photos/{file}.jpg"), b"picture");
        let mut fields = json!({ "chat": { "id": GROUP, "type": "supergroup" }, "media_group_id": album,
            "photo": [{ "file_id": file, "width": 9, "height": 9 }] });
        if let Some(caption) = caption {
            fields["caption"] = json!(caption);
            fields["caption_entities"] = json!([{ "type": "mention", "offset": 0, "length": 16 }]);
        }
        scene.service.push(said(id, fields))
    };
    part(1, "a", None);
    part(2, "a", Some("@hermes_test_bot look"));
    part(3, "b", None);
    let mut gateway = scene.connected();
    scene.service.wait_sent(GROUP, "look");
    scene.confirmed();
    part(4, "a", None);
    scene.confirmed();
    scene.write("and on");
    scene.answered("and on");
    let asked = scene.service.asked("getFile");
    let fetched: Vec<&Value> = asked.iter().map(|asked| &asked.parameters["file_id"]).collect();
    assert_eq!(fetched, ["f1", "f2", "f4"]);
    assert_eq!(gateway.stop(), Some(0));
}

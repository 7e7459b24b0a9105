//! The images of a message, read for a model.

use base64::Engine;

use super::request::Image;
use crate::gateway::model::message::Attachment;

/// The largest image that is sent to the model, in bytes.
pub(super) const IMAGE_LEN_MAX: u64 = 4 << 20;

/// Images of one message that are sent to the model.
const IMAGES_MAX: usize = 4;

/// The images that a model can be shown. One that cannot be read stays words: the person hears of what can be answered.
pub(super) async fn images(attachments: &[Attachment]) -> Vec<Image> {
    let files: Vec<_> = attachments
        .iter()
        .filter_map(|attachment| {
            let mime = attachment.mime.as_deref()?.split(';').next()?.trim().to_ascii_lowercase();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
            let kind = mime.strip_prefix("image/")?;
            (!kind.is_empty() && kind.chars().all(plain)).then_some((attachment.path.clone()?, mime))
        })
        .take(IMAGES_MAX)
        .collect();
    if files.is_empty() {
        return Vec::new();
    }
    let read = tokio::task::spawn_blocking(move || {
        files
            .into_iter()
            .filter_map(|(path, mime)| match read_image(&path) {
                Ok(bytes) => {
                    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
                    Some(Image(format!("data:{mime};base64,{data}")))
                }
                Err(error) => {
                    tracing::info!(code = "image_unreadable", %error, "An image was not sent to the agent");
                    None
                }
            })
            .collect()
    });
    read.await.unwrap_or_default()
}

fn read_image(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    crate::file::read(path, IMAGE_LEN_MAX)
}

//! The agent of a fresh installation: it shows that the way there and back works, and how to go on.

use async_trait::async_trait;

use super::api::{About, Agent, AgentError, Turn, said};
use super::draft::Draft;

/// Repeats what it is told, and says that it does.
#[derive(Debug, Clone, Copy)]
pub struct Echo;

const FIRST: &str = "Hi, hermes is connected. No agent is set yet, so I only repeat what you write.

To connect one, add this to gateway.toml in the hermes folder:

```
[agent]
kind = \"openai\"
base_url = \"http://127.0.0.1:11434/v1\"
model = \"llama3.2\"
```

Any OpenAI-compatible service works; its key is read from OPENAI_API_KEY.";

#[async_trait]
impl Agent for Echo {
    async fn answer(&self, turn: Turn, _draft: &Draft) -> Result<String, AgentError> {
        let said = said(&turn.message);
        Ok(if turn.history.is_empty() {
            format!("{FIRST}\n\nYou wrote: {said}")
        } else {
            format!("Echo: {said}")
        })
    }

    fn about(&self) -> About {
        About { kind: "echo", ..About::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::identity::chat_key;
    use crate::gateway::model::message::testing::message;
    use crate::gateway::store::api::Exchange;
    use crate::platforms::Platform;

    #[tokio::test]
    async fn the_first_answer_says_what_it_is_and_how_to_go_on_and_later_ones_are_short() {
        let message = message("A", "15550101@s.whatsapp.net", "hello");
        let key = chat_key(Platform::Whatsapp, &message);
        let mut turn = Turn { key, session: "s1".into(), message, history: Vec::new() };
        let first = Echo.answer(turn.clone(), &Draft::default()).await.unwrap();
        assert!(
            first.contains("only repeat") && first.contains("[agent]") && first.ends_with("You wrote: hello")
        );
        let toml = first.split("```").nth(1).unwrap();
        let table: toml::Table = toml.parse().unwrap();
        assert_eq!(table["agent"]["kind"].as_str(), Some("openai"), "what it says can be pasted");
        turn.history.push(Exchange { said: "hello".into(), answered: first });
        assert_eq!(Echo.answer(turn, &Draft::default()).await.unwrap(), "Echo: hello");
    }
}

//! The owner's view of a failure: the answer that came back, with the words of the service.

use super::*;

fn turn_of(id: &str, text: &str) -> Turn {
    let message = message(id, "15550101@s.whatsapp.net", text);
    Turn { message, ..turn() }
}

async fn fail(agent: &Openai, id: &str) -> AgentError {
    agent.answer(turn_of(id, "hello"), &Draft::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_service_that_answers_with_a_failure_is_said_to_answer_so_and_one_that_is_gone_is_not() {
    let limit = r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429}}"#;
    for (status, body, why, said, code) in [
        (
            "429 Too Many Requests",
            limit,
            "answers 429 (rate limit)",
            "free-models-per-day",
            "agent_rate_limited",
        ),
        ("500 Internal Server Error", "", "answers 500", "", "agent_failed"),
        (
            "503 Slow Down",
            r#"{"error":"no worker is free"}"#,
            "answers 503",
            "no worker is free",
            "agent_failed",
        ),
    ] {
        let (agent, asked) = scripted(&[(status, body)]).await;
        for id in ["A", "B", "C"] {
            assert!(agent.about().trouble.is_none(), "{status}: {id} may be its message's own");
            fail(&agent, id).await;
        }
        let trouble = agent.about().trouble.unwrap();
        assert_eq!(trouble.ailment, Ailment::Away);
        assert!(trouble.why.contains(why) && trouble.why.contains(said), "{trouble:?}");
        assert!(!trouble.why.contains("does not answer"), "{trouble:?}");
        assert!(said.is_empty() || !trouble.briefly().contains(said), "people in a chat do not see it");
        assert!(trouble.briefly().contains(why), "{trouble:?}");
        let is_limit = code == "agent_rate_limited";
        assert_eq!(trouble.code, is_limit.then_some("agent_rate_limited"), "{status}");
        let waiting = fail(&agent, "D").await;
        assert_eq!(waiting.code, code, "{status}");
        assert!(waiting.detail.contains(why) && !waiting.told.contains("reached"), "{waiting:?}");
        assert!(matches!(waiting.again, Again::After(_)), "{waiting:?}");
        assert_eq!(asked.lock().unwrap().len(), 3, "{status}: nothing is asked meanwhile");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let agent = Openai::new(&config(&gone)).unwrap();
    fail(&agent, "A").await;
    let trouble = agent.about().trouble.unwrap();
    assert!(trouble.why.contains("does not answer") && trouble.code.is_none(), "{trouble:?}");
    assert_eq!(fail(&agent, "B").await.code, "agent_unavailable");
}

#[tokio::test]
async fn the_words_of_a_service_are_in_the_detail_and_nothing_of_a_secret_or_of_people_is() {
    for (body, expected) in [
        (r#"{"error":{"message":"No such parameter: top_z"}}"#, Some("No such parameter: top_z")),
        (r#"{"error":{"message":"Bad key canary-key-4711"}}"#, Some("Bad key <redacted>")),
        (r#"{"error":{"message":"Cannot parse: where is the boat of Miriam"}}"#, Some("(not shown")),
        (r#"{"error":{"message":"x","metadata":{"raw":"where is the boat"}}}"#, Some("x")),
        ("<html>where is the boat</html>", None),
    ] {
        let (agent, _asked) = scripted(&[("400 Bad Request", body)]).await;
        let turn = turn_of("A", "Tell me: where is the boat of Miriam?");
        let error = agent.answer(turn, &Draft::default()).await.unwrap_err();
        let said = error.detail.split_once("; it said: ").map(|(_, said)| said);
        assert_eq!(said.is_some(), expected.is_some(), "{error:?}");
        assert!(said.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{error:?}");
        assert!(!format!("{error:?}").contains("boat") && !format!("{error:?}").contains(KEY), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_named_with_its_target_and_without_what_may_be_secret() {
    for (target, named, advice) in [
        (
            "https://u:canary@other.test/v1/chat/completions?key=canary",
            "https://other.test/v1/chat/completions,",
            "is base_url https://other.test/v1?",
        ),
        ("/login?next=canary", "/login, which hermes does not follow", "correct base_url"),
    ] {
        let status = format!("307 Temporary Redirect\r\nlocation: {target}");
        let (agent, _asked) = scripted(&[(&status, "")]).await;
        let error = fail(&agent, "A").await;
        assert_eq!((error.code, error.again), ("agent_address_unknown", Again::Never));
        assert!(error.detail.contains("answers 307") && error.detail.contains(named), "{error:?}");
        assert!(error.detail.contains(advice) && !error.detail.contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn a_model_that_may_not_be_streamed_is_asked_for_whole_answers_from_then_on() {
    let refusal = r#"{"error":{"message":"Your organization must be verified to stream this model.","type":"invalid_request_error","param":"stream","code":"unsupported_value"}}"#;
    let (agent, asked) = scripted(&[("400 Bad Request", refusal), WHOLE]).await;
    for id in ["A", "B"] {
        let answer = agent.answer(turn_of(id, "hello"), &Draft::default()).await;
        assert_eq!(answer.as_deref(), Ok("whole"));
    }
    let streams: Vec<_> =
        asked.lock().unwrap().iter().map(|asked| asked.contains("\"stream\":true")).collect();
    assert_eq!(streams, [true, false, false]);
    assert!(agent.silence_max() >= WHOLE_LIMIT, "nothing comes before all of it is written");
    // One that refuses a whole answer for the same cause is not asked without end.
    let (agent, asked) = scripted(&[("400 Bad Request", refusal)]).await;
    assert_eq!(fail(&agent, "A").await.code, "agent_failed");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_message_that_a_moderation_refuses_says_nothing_about_the_service() {
    let refusal = r#"{"error":{"message":"m requires moderation on p. Your input was flagged for \"violence\".","code":403,"metadata":{"reasons":["violence"],"flagged_input":"hello"}}}"#;
    let (agent, _asked) = scripted(&[("403 Forbidden", refusal)]).await;
    for id in ["A", "B", "C", "D"] {
        let error = fail(&agent, id).await;
        assert_eq!((error.code, error.again), ("agent_content_refused", Again::Never));
        assert!(agent.about().trouble.is_none() && agent.wait().is_none());
    }
    let (agent, _asked) = scripted(&[("403 Forbidden", "<html>")]).await;
    let error = fail(&agent, "A").await;
    assert_eq!(error.code, "agent_access_refused");
    assert!(!error.told.contains("key") && agent.about().trouble.is_some(), "{error:?}");
}

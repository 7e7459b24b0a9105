//! An OpenAI-compatible service on loopback: its answers, the requests it got, and its failures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde_json::{Value, json};

/// A service that streams "answer N to: <the last message>", or the test's text, piece by piece.
pub(crate) struct AgentService {
    address: String,
    /// The requests, oldest first.
    pub(crate) asked: Arc<Mutex<Vec<Value>>>,
    /// True to answer 500.
    pub(crate) failing: Arc<Mutex<bool>>,
    /// Whole HTTP answers to questions whose last message contains a word; the connection closes after one.
    pub(crate) odd: Arc<Mutex<Vec<(&'static str, String)>>>,
    tale: Arc<Tale>,
}

/// An answer that a test gives in pieces. Every request gets it from its beginning.
#[derive(Default)]
struct Tale {
    told: Mutex<Told>,
    more: Condvar,
}

#[derive(Default)]
struct Told {
    /// `None`: there is no such answer, and requests are answered at once.
    pieces: Option<Vec<String>>,
    is_over: bool,
}

impl AgentService {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let service = Self {
            address,
            asked: Arc::default(),
            failing: Arc::default(),
            odd: Arc::default(),
            tale: Arc::default(),
        };
        let (asked, failing) = (Arc::clone(&service.asked), Arc::clone(&service.failing));
        let (odd, tale) = (Arc::clone(&service.odd), Arc::clone(&service.tale));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, failing, tale) = (Arc::clone(&asked), Arc::clone(&failing), Arc::clone(&tale));
                let odd = Arc::clone(&odd);
                // A client that has gone gets nothing.
                std::thread::spawn(move || drop(answer(stream, &asked, &failing, &odd, &tale)));
            }
        });
        service
    }

    /// Returns the part of `gateway.toml` that names it.
    pub(crate) fn table(&self) -> String {
        format!(
            "[agent]\nkind = \"openai\"\nbase_url = \"{}\"\nmodel = \"test\"\nsystem_prompt = \"Be brief.\"\n",
            self.address
        )
    }

    /// Adds a piece to the answer of every request from now on, until [`Self::end`].
    pub(crate) fn tell(&self, piece: &str) {
        let mut told = self.tale.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.pieces.get_or_insert_default().push(piece.to_owned());
        self.tale.more.notify_all();
    }

    /// Ends the answer.
    pub(crate) fn end(&self) {
        self.tale.told.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.tale.more.notify_all();
    }
}

fn answer(
    mut stream: TcpStream,
    asked: &Mutex<Vec<Value>>,
    failing: &Mutex<bool>,
    odd: &Mutex<Vec<(&'static str, String)>>,
    tale: &Tale,
) -> std::io::Result<()> {
    let Some(body) = question(&stream)? else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    let last = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    let count = {
        let mut asked = asked.lock().unwrap();
        asked.push(body);
        asked.len()
    };
    if *failing.lock().unwrap() {
        return stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let asked_of = last.to_string();
    let odd =
        odd.lock().unwrap().iter().find(|(word, _)| asked_of.contains(word)).map(|(_, raw)| raw.clone());
    if let Some(raw) = odd {
        return stream.write_all(raw.as_bytes());
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    let mut say = |piece: &str| {
        let event = json!({ "choices": [{ "delta": { "content": piece } }] });
        write!(stream, "data: {event}\r\n\r\n")
    };
    let is_told = tale.told.lock().unwrap_or_else(PoisonError::into_inner).pieces.is_some();
    if is_told {
        let mut said = 0;
        while let Some(pieces) = tale.beyond(said) {
            said += pieces.len();
            pieces.iter().try_for_each(|piece| say(piece))?;
        }
    } else {
        let text = format!("answer {count} to: {}", last.as_str().unwrap_or("something else"));
        text.split_inclusive(' ').try_for_each(say)?;
    }
    stream.write_all(b"data: [DONE]\n\n")
}

/// Reads a request. `None`: it asks for something else, as for the list of models.
fn question(stream: &TcpStream) -> std::io::Result<Option<Value>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.starts_with("POST ") {
        return Ok(None);
    }
    line.clear();
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body).unwrap()))
}

impl Tale {
    /// Returns the pieces after the first `said`, once there are more. `None`: it has ended.
    fn beyond(&self, said: usize) -> Option<Vec<String>> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let more = told.pieces.as_ref().map(|pieces| pieces[said..].to_vec()).unwrap_or_default();
            if !more.is_empty() {
                return Some(more);
            }
            if told.is_over {
                return None;
            }
            told = self.more.wait(told).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

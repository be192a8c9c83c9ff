//! The other side: a terminal that speaks to a live session.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use crossbeam_channel::{bounded, Receiver};

use super::directory::{live_sessions, open_directory, Live};
use super::host::{SocketError, SocketHost};
use super::protocol::{read_line, to_line, ClientMessage, ReadLine, ServerMessage};
use crate::api::{Command, Event, Outcome, Reply};

/// How many messages may wait to be shown.
const QUEUE: usize = 1024;

/// A connection to a session.
pub struct Client {
    stream: UnixStream,
    /// What the session sends; the end of it is the end of the session.
    pub incoming: Receiver<ServerMessage>,
    events: VecDeque<Event>,
    next_id: u64,
}

impl Client {
    /// The session that is asked for by name or pid; without either, the only one there is.
    pub fn connect(host: &dyn SocketHost, asked: Option<&str>) -> Result<Client, SocketError> {
        let mut live = live_sessions(&open_directory(host)?);
        let describe = |live: &[Live]| live.iter().map(|live| format!("  {} {}", live.pid, live.name)).collect();
        match (asked, live.len()) {
            (_, 0) => Err(SocketError::NoSession),
            (None, 1) => Client::open(live.remove(0).stream),
            (None, _) => Err(SocketError::Several { live: describe(&live) }),
            (Some(asked), _) => {
                let names = describe(&live);
                let (called, others): (Vec<Live>, Vec<Live>) =
                    live.into_iter().partition(|live| live.pid == asked || live.name == asked);
                let mut clients =
                    called.into_iter().map(|live| Client::open(live.stream)).collect::<Result<Vec<_>, _>>()?;
                if clients.is_empty() {
                    clients = debugging(others, asked);
                }
                match (clients.len(), clients.pop()) {
                    (1, Some(client)) => Ok(client),
                    (0, _) => Err(SocketError::NoSuchSession { asked: asked.to_owned(), live: names }),
                    _ => Err(SocketError::Several { live: names }),
                }
            }
        }
    }

    fn open(stream: UnixStream) -> Result<Client, SocketError> {
        let reading = stream.try_clone().map_err(SocketError::io("copying the socket"))?;
        let (sender, incoming) = bounded(QUEUE);
        thread::Builder::new()
            .name("rdbg-session".into())
            .spawn(move || {
                let mut reader = BufReader::new(reading);
                while let Ok(ReadLine::Line(line)) = read_line(&mut reader) {
                    match serde_json::from_slice(&line) {
                        Ok(message) => {
                            if sender.send(message).is_err() {
                                return;
                            }
                        }
                        Err(error) => tracing::warn!(%error, "the session sent something else"),
                    }
                }
            })
            .map_err(SocketError::io("starting a thread"))?;
        Ok(Client { stream, incoming, events: VecDeque::new(), next_id: 1 })
    }

    /// Sends a command and waits for its answer; events that come meanwhile are kept.
    pub fn request(&mut self, command: Command) -> Result<Outcome, SocketError> {
        self.ask(Some(command), None)
    }

    /// From now on events come too.
    pub fn subscribe(&mut self) -> Result<Outcome, SocketError> {
        self.ask(None, Some(true))
    }

    /// An event that came while an answer was waited for.
    pub fn take_kept_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn ask(&mut self, command: Option<Command>, subscribe: Option<bool>) -> Result<Outcome, SocketError> {
        let id = self.next_id;
        self.next_id += 1;
        let line = to_line(&ClientMessage { id, command, subscribe });
        self.stream.write_all(line.as_bytes()).map_err(|error| SocketError::Gone(error.to_string()))?;
        loop {
            let message = self.incoming.recv().map_err(|_| SocketError::Gone("it closed the connection".to_owned()))?;
            match message {
                ServerMessage { event: Some(event), .. } => self.events.push_back(event),
                ServerMessage { id: Some(answered), reply: Some(reply), .. } if answered == id => return Ok(Ok(reply)),
                ServerMessage { id: Some(answered), error: Some(error), .. } if answered == id => {
                    return Ok(Err(error));
                }
                ServerMessage { id: None, error: Some(error), .. } => return Ok(Err(error)),
                other => tracing::warn!(?other, "an answer to nothing"),
            }
        }
    }
}

/// The sessions whose processes have this pid, or execute a file of this name.
fn debugging(live: Vec<Live>, asked: &str) -> Vec<Client> {
    let mut found = Vec::new();
    for one in live {
        let Ok(mut client) = Client::open(one.stream) else { continue };
        let Ok(Ok(Reply::Status { inferiors, .. })) = client.request(Command::Status) else { continue };
        let matches = inferiors.iter().any(|row| {
            row.pid.to_string() == asked || row.exe.file_name().is_some_and(|name| name.to_string_lossy() == asked)
        });
        if matches {
            found.push(client);
        }
    }
    found
}

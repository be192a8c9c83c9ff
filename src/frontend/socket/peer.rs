//! A client, seen from the session.

use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, Receiver, Sender, TrySendError};

use super::protocol::{read_line, to_line, Ask, ClientMessage, ReadLine, ServerMessage, LINE_LIMIT};
use crate::api::{ApiError, Event, Reply, Request, Session, Toggle};

/// How many lines may wait for a client that reads slowly.
const QUEUE: usize = 4096;
/// How long a client may leave its lines unread.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// How many lines in a row may be rubbish.
const RUBBISH_LIMIT: u32 = 64;

/// One conversation: this thread reads and asks the engine, a second one writes, a third passes events on. None of
/// them can hold up the session: a client that does not read is dropped.
pub struct Peer<'a> {
    stream: &'a UnixStream,
    session: &'a Session,
    out: Sender<String>,
    subscribed: &'a AtomicBool,
}

impl Peer<'_> {
    /// Serves a client until it goes away or is dropped.
    pub fn serve(stream: &UnixStream, session: Session) -> io::Result<()> {
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        let (out, lines) = bounded(QUEUE);
        let (over, is_over) = bounded::<()>(0);
        let subscribed = AtomicBool::new(false);
        let served = thread::scope(|scope| {
            let events = Peer { stream, session: &session, out: out.clone(), subscribed: &subscribed };
            scope.spawn(move || events.pass_events(&is_over));
            scope.spawn(move || write_lines(stream, &lines));
            let peer = Peer { stream, session: &session, out, subscribed: &subscribed };
            let served = peer.read_lines();
            drop(over);
            drop(peer);
            let _ = stream.shutdown(Shutdown::Read);
            served
        });
        if session.requests.send(Request::Gone(session.client)).is_ok() {
            session.wake.wake();
        }
        let _ = stream.shutdown(Shutdown::Both);
        served
    }

    fn read_lines(&self) -> io::Result<()> {
        let mut reader = BufReader::new(self.stream);
        let mut rubbish = 0;
        loop {
            let line = match read_line(&mut reader)? {
                ReadLine::Line(line) => line,
                ReadLine::TooLong => {
                    let text = format!("a line has more than {LINE_LIMIT} bytes");
                    self.send(&ServerMessage::complaint(ApiError::user(text)));
                    return Ok(());
                }
                ReadLine::End => return Ok(()),
            };
            let answer = match serde_json::from_slice::<ClientMessage>(&line) {
                Ok(message) => {
                    rubbish = 0;
                    self.answer(message)
                }
                Err(error) => {
                    rubbish += 1;
                    ServerMessage::complaint(ApiError::user(format!("not a message: {error}")))
                }
            };
            if !self.send(&answer) || rubbish >= RUBBISH_LIMIT {
                return Ok(());
            }
        }
    }

    fn answer(&self, message: ClientMessage) -> ServerMessage {
        let id = message.id;
        let outcome = message.into_ask().and_then(|ask| match ask {
            Ask::Command(command) => self.session.request(command),
            Ask::Subscribe(toggle) => {
                self.subscribed.store(toggle == Toggle::On, Ordering::Release);
                Ok(Reply::Done)
            }
        });
        ServerMessage::answer(id, outcome)
    }

    /// Whether the line found room.
    fn send(&self, message: &ServerMessage) -> bool {
        self.out.send_timeout(to_line(message), WRITE_PATIENCE).is_ok()
    }

    /// Takes events off the engine's queue always, so that it never fills, and passes on those that are wanted.
    fn pass_events(&self, is_over: &Receiver<()>) {
        loop {
            crossbeam_channel::select! {
                recv(is_over) -> _ => return,
                recv(self.session.events) -> event => {
                    let Ok(event) = event else { break };
                    if !self.subscribed.load(Ordering::Acquire) {
                        continue;
                    }
                    let ended = event == Event::Ended;
                    match self.out.try_send(to_line(&ServerMessage::event(event))) {
                        Ok(()) if ended => break,
                        Ok(()) => {}
                        Err(TrySendError::Full(_)) => {
                            tracing::warn!(client = self.session.client.0, "a client that does not read is dropped");
                            let _ = self.stream.shutdown(Shutdown::Both);
                            return;
                        }
                        Err(TrySendError::Disconnected(_)) => return,
                    }
                }
            }
        }
    }
}

fn write_lines(mut stream: &UnixStream, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if stream.write_all(line.as_bytes()).is_err() {
            // The reader then sees the end of the stream.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

//! The pair of queues between a front end and the engine.

use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use super::{ApiError, Command, Event, Reply};
use crate::base::progress::{Progress, Ticket};

/// Which front end: the session's own is 0, a socket's clients count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub u32);

/// What a command came to.
pub type Outcome = Result<Reply, ApiError>;

/// What a front end puts on the engine's queue.
#[derive(Debug)]
pub enum Request {
    /// A command, and where its answer goes.
    Command {
        /// Who asks.
        client: ClientId,
        /// What.
        command: Command,
        /// Where the answer goes.
        answer: Sender<Outcome>,
        /// What it is called where it takes its time.
        ticket: Ticket,
    },
    /// From now on events go there too. A subscriber that does not keep up loses events, which are counted.
    Subscribe(Subscription),
    /// The front end has gone: its log breakpoints are deleted.
    Gone(ClientId),
}

/// A receiver of events.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Who.
    pub client: ClientId,
    /// Where they go.
    pub events: Sender<Event>,
}

/// A front end's end of the queues. `wake` is called after each request so that an engine that waits for its tracees
/// looks at its queue.
#[derive(Clone)]
pub struct Session {
    /// Who this is.
    pub client: ClientId,
    /// To the engine.
    pub requests: Sender<Request>,
    /// From the engine.
    pub events: Receiver<Event>,
    /// Wakes the engine.
    pub wake: wake::Wake,
    /// How far the engine is with what takes its time.
    pub progress: Progress,
}

/// The one callable of this room, boxed so that the engine's way of waking stays unknown here.
pub mod wake {
    use std::sync::Arc;

    /// Wakes the engine out of its wait.
    #[derive(Clone)]
    pub struct Wake(pub Arc<dyn Fn() + Send + Sync>);

    impl Wake {
        /// Wakes it.
        pub fn wake(&self) {
            (self.0)()
        }
    }
}

impl Session {
    /// Sends a command and waits for its answer. An engine that has ended answers with an error.
    pub fn request(&self, command: Command) -> Outcome {
        let (outcome, _) = self.begin(command);
        outcome.recv().unwrap_or_else(|_| Err(ApiError::internal("the session has ended")))
    }

    /// Sends a command; its answer comes later, or never where the engine has ended. With its ticket the wait for it can be
    /// broken off ([`Progress::cancel`]): then the answer is an error, and the command has done nothing.
    pub fn begin(&self, command: Command) -> (Receiver<Outcome>, Ticket) {
        let (answer, outcome) = crossbeam_channel::bounded(1);
        let ticket = self.progress.ticket();
        // An engine that has ended drops the answer's sender with the request.
        let _ = self.requests.send(Request::Command { client: self.client, command, answer, ticket });
        self.wake.wake();
        (outcome, ticket)
    }
}

//! Starting the tracer thread, and the handle to it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{bounded, unbounded, Sender};

use super::state::{Engine, Input};
use crate::api::{session::wake::Wake, ClientId, Event, Leave, Request, Session, Subscription};
use crate::base::{Inferior, Progress, Signal};
use crate::os::{Doorbell, Guardian, LiveInferior, OsError};

/// The engine, from outside its thread.
pub struct Handle {
    requests: Sender<Request>,
    inputs: Sender<Input>,
    doorbell: Doorbell,
    progress: Progress,
    thread: JoinHandle<()>,
}

/// A cheap way to make sessions and to end the engine, for other threads.
#[derive(Clone)]
pub struct Port {
    requests: Sender<Request>,
    inputs: Sender<Input>,
    doorbell: Doorbell,
    progress: Progress,
}

/// Starts the tracer thread, whose end the guardian waits for.
pub fn spawn(guardian: Guardian) -> Result<Handle, OsError> {
    Doorbell::install()?;
    let (requests, request_queue) = unbounded();
    let (inputs, input_queue) = unbounded();
    let (bell_out, bell_in) = bounded(1);
    let input_sender = inputs.clone();
    let progress = Progress::default();
    let reported = progress.clone();
    let thread = std::thread::Builder::new()
        .name("tracer".to_string())
        .spawn(move || {
            let doorbell = Doorbell::for_this_thread();
            if bell_out.send(doorbell.clone()).is_err() {
                return;
            }
            let inferior = LiveInferior::new(&doorbell);
            guardian.hold();
            let engine = Engine::new(inferior, request_queue, (input_sender, input_queue), doorbell);
            serve(engine.guarded_by(guardian).reporting_to(reported));
        })
        .map_err(|error| OsError::Thread { reason: error.to_string() })?;
    let doorbell = bell_in.recv().map_err(|_| OsError::Thread { reason: "the tracer thread did not start".into() })?;
    Ok(Handle { requests, inputs, doorbell, progress, thread })
}

/// Runs the engine; a fault of rdbg's own still leaves every target clean.
pub(super) fn serve<I: Inferior>(mut engine: Engine<I>) -> Engine<I> {
    while std::panic::catch_unwind(AssertUnwindSafe(|| engine.run())).is_err() {
        let text = "a fault in rdbg's engine: it lets go of every process and ends".to_string();
        engine.emit(Event::Notice { text });
        if std::panic::catch_unwind(AssertUnwindSafe(|| engine.leave_all(Leave::Default))).is_err() {
            return engine;
        }
        engine.end();
    }
    engine.guardian.dismiss();
    engine
}

impl Handle {
    /// What other threads need.
    pub fn port(&self) -> Port {
        let (requests, inputs) = (self.requests.clone(), self.inputs.clone());
        Port { requests, inputs, doorbell: self.doorbell.clone(), progress: self.progress.clone() }
    }

    /// Waits until the engine has left every process.
    pub fn join(self) {
        drop(self.requests);
        self.doorbell.ring();
        // A panic of the tracer thread was reported by `serve`.
        let _ = self.thread.join();
    }
}

impl Port {
    /// A front end's session, subscribed to events.
    pub fn session(&self, client: ClientId) -> Session {
        let (events, receiver) = unbounded();
        // An engine that has ended answers the first request with an error; nothing is to be done about it here.
        let _ = self.requests.send(Request::Subscribe(Subscription { client, events }));
        let doorbell = self.doorbell.clone();
        let wake = Wake(Arc::new(move || doorbell.ring()));
        wake.wake();
        Session { client, requests: self.requests.clone(), events: receiver, wake, progress: self.progress.clone() }
    }

    /// rdbg was sent SIGUSR1: a trace can have a probe on it.
    pub fn tell_own_signal(&self) {
        let _ = self.inputs.send(Input::OwnSignal);
        self.doorbell.ring();
    }

    /// Makes the engine leave every process and end, whatever it is doing.
    pub fn terminate(&self, signal: Signal) {
        let _ = self.inputs.send(Input::Terminate(signal));
        self.doorbell.ring();
    }
}

//! An engine of a few canned replies, for the tests of this room.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use crossbeam_channel::{unbounded, Sender};

use super::socket::Connect;
use crate::api::session::wake::Wake;
use crate::api::*;
use crate::base::{Pid, Progress, Tid, VirtAddr};

/// What the tests see of it.
#[derive(Clone)]
pub struct Fake {
    requests: Sender<Request>,
    /// Every command it was asked.
    pub asked: Arc<Mutex<Vec<Command>>>,
    /// Every client that went away.
    pub gone: Arc<Mutex<Vec<ClientId>>>,
}

impl Connect for Fake {
    fn connect(&self, client: ClientId) -> Session {
        let (sender, events) = unbounded();
        self.requests.send(Request::Subscribe(Subscription { client, events: sender })).unwrap();
        Session {
            client,
            requests: self.requests.clone(),
            events,
            wake: Wake(Arc::new(|| {})),
            progress: Progress::default(),
        }
    }
}

impl Fake {
    /// Starts it. The target stops at a breakpoint after the first `Continue`, and exits with status 7 after the next.
    pub fn start() -> Fake {
        let (requests, taken) = unbounded();
        let fake = Fake { requests, asked: Arc::default(), gone: Arc::default() };
        let (asked, gone) = (Arc::clone(&fake.asked), Arc::clone(&fake.gone));
        thread::spawn(move || {
            let mut engine = Canned::default();
            while let Ok(request) = taken.recv() {
                match request {
                    Request::Command { client, command, answer, .. } => {
                        asked.lock().unwrap().push(command.clone());
                        let (outcome, events) = engine.answer(client, command);
                        let _ = answer.send(outcome);
                        engine.tell(events);
                    }
                    Request::Subscribe(subscription) => engine.subscribers.push(subscription),
                    Request::Gone(client) => {
                        engine.subscribers.retain(|subscriber| subscriber.client != client);
                        gone.lock().unwrap().push(client);
                    }
                }
            }
        });
        fake
    }

    /// The commands so far, those of bookkeeping left out.
    pub fn commands(&self) -> Vec<Command> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|command| !matches!(command, Command::Status | Command::ListInferiors)).cloned().collect()
    }
}

#[derive(Default)]
struct Canned {
    subscribers: Vec<Subscription>,
    inferior: Option<InferiorRow>,
    stopped: Option<StopReason>,
    log: Option<(ClientId, u64)>,
    continued: u32,
    breakpoints: u32,
    epoch: u64,
}

pub fn thread_ref() -> ThreadRef {
    ThreadRef { number: 1, tid: Tid(100), pid: Pid(100), name: "fake".into() }
}

pub fn frame() -> FrameRow {
    let place = Place {
        addr: VirtAddr(0x40_1000),
        file_addr: None,
        module: Some("fake".into()),
        function: Some("main".into()),
        inlined_into: None,
        offset: 0,
        line: None,
    };
    FrameRow { number: 0, pc: place.addr, cfa: None, place, how: HowFound::Registers, arguments: None }
}

impl Canned {
    fn tell(&mut self, events: Vec<Event>) {
        for event in events {
            for subscriber in &self.subscribers {
                let _ = subscriber.events.send(event.clone());
            }
        }
    }

    fn stop(&mut self, reason: StopReason) -> Vec<Event> {
        self.stopped = Some(reason.clone());
        self.epoch += 1;
        let (epoch, frame) = (self.epoch, Some(frame()));
        vec![Event::Stopped {
            epoch,
            reason,
            thread: thread_ref(),
            frame,
            call: None,
            source: None,
            displays: Vec::new(),
        }]
    }

    fn answer(&mut self, client: ClientId, command: Command) -> (Outcome, Vec<Event>) {
        let none = Vec::new();
        match command {
            Command::Target { selector, .. } => self.target(selector),
            Command::Break { spec } => {
                self.breakpoints += 1;
                if let BreakpointAction::Log { count } = spec.action {
                    self.log = Some((client, count.unwrap_or(3)));
                }
                (Ok(Reply::Breakpoint { row: self.row(spec) }), none)
            }
            Command::Continue if self.stopped.is_none() => (Err(ApiError::user("nothing is stopped")), none),
            Command::Continue => {
                let events = self.go_on();
                (Ok(Reply::Resumed), events)
            }
            Command::StepInstruction { .. } => {
                let events = self.stop(StopReason::Step);
                (Ok(Reply::Resumed), events)
            }
            Command::Interrupt => {
                let events = self.stop(StopReason::Interrupt);
                (Ok(Reply::Done), events)
            }
            Command::Status => {
                let inferiors = self.inferior.iter().cloned().collect();
                (Ok(Reply::Status { stopped: self.stopped.clone(), inferiors }), none)
            }
            Command::ListInferiors => (Ok(Reply::Inferiors { rows: self.inferior.iter().cloned().collect() }), none),
            Command::Print { expression, .. } if expression == "bad" => (Err(ApiError::user("no such thing")), none),
            Command::Print { .. } => (Ok(Reply::Text { text: "$1 = 1".into() }), none),
            Command::Quit { .. } => (Ok(Reply::Done), vec![Event::Ended]),
            _ => (Ok(Reply::Done), none),
        }
    }

    fn target(&mut self, selector: TargetSelector) -> (Outcome, Vec<Event>) {
        let launched = if matches!(selector, TargetSelector::Launch { .. }) { Toggle::On } else { Toggle::Off };
        let exe = PathBuf::from("/bin/fake");
        let process = InferiorRow { number: 1, pid: Pid(100), exe, threads: 1, selected: Toggle::On, launched };
        match selector {
            TargetSelector::Name { name } if name == "nobody" => {
                return (Err(ApiError::user("no process is called nobody")), Vec::new());
            }
            TargetSelector::WaitFor { .. } => {
                self.inferior = Some(process.clone());
                let mut events = vec![Event::Caught { process, at: CaughtAt::FirstInstruction }];
                events.extend(self.stop(StopReason::Start));
                return (Ok(Reply::Waiting), events);
            }
            TargetSelector::Launch { .. } => self.stopped = Some(StopReason::Start),
            _ => {}
        }
        self.inferior = Some(process.clone());
        (Ok(Reply::Attached { process, stopped: launched }), Vec::new())
    }

    fn go_on(&mut self) -> Vec<Event> {
        self.stopped = None;
        self.continued += 1;
        if let Some((client, count)) = self.log.take() {
            let call = FunctionCall { function: "main".into(), module: None, arguments: Vec::new() };
            let hit = |count| Event::Hit {
                breakpoint: self.breakpoints,
                client,
                count,
                time_ns: 0,
                thread: thread_ref(),
                call: call.clone(),
                returned: None,
            };
            let mut events: Vec<Event> = (1..=count).map(hit).collect();
            events.push(Event::LogDone { breakpoint: self.breakpoints, client, hits: count });
            return events;
        }
        if self.continued == 1 {
            return self.stop(StopReason::Breakpoint { ids: vec![1] });
        }
        let launched = self.inferior.take().map_or(Toggle::Off, |row| row.launched);
        vec![Event::Exited { pid: Pid(100), status: 7, signal: None, launched }]
    }

    fn row(&self, spec: BreakpointSpec) -> BreakpointRow {
        BreakpointRow {
            id: self.breakpoints,
            location: spec.location,
            module: None,
            enabled: Toggle::On,
            temporary: spec.temporary,
            action: spec.action,
            condition: spec.condition,
            hits: 0,
            ignore: 0,
            locations: Vec::new(),
            total: 0,
            note: None,
        }
    }
}

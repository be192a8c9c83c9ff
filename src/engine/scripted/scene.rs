//! What the scripted tests begin with: a process of two threads that the engine is attached to.

use crossbeam_channel::{bounded, unbounded, Receiver};

use super::{Report, Scripted, TEXT};
use crate::api::{
    BreakpointAction, BreakpointSpec, ClientId, Command, Event, MaxRate, ModuleFilter, Reply, Subscription,
    TargetSelector, Toggle, Where,
};
use crate::base::{Pid, Tid, VirtAddr};
use crate::engine::process::remote::Wait;
use crate::engine::state::{Engine, Subscriber};
use crate::os::Doorbell;
use crate::target::breakpoint::INT3;

/// Numbers that no process of this machine has.
pub(super) const PID: Pid = Pid(5_000_100);
pub(super) const LEADER: Tid = Tid(5_000_100);
pub(super) const SECOND: Tid = Tid(5_000_101);
/// Where the breakpoint is.
pub(super) const SITE: VirtAddr = TEXT;

/// An engine on a scripted kernel, and what it tells.
pub(super) struct Scene {
    pub(super) engine: Engine<Scripted>,
    pub(super) events: Receiver<Event>,
}

impl Scene {
    /// A process of two threads, attached to and running.
    pub(super) fn attached() -> Scene {
        let mut kernel = Scripted::new();
        kernel.add_process(PID);
        kernel.add_thread(SECOND, PID);
        let ((_, requests), inputs) = (unbounded(), unbounded());
        let mut engine = Engine::new(kernel, requests, inputs, Doorbell::for_this_thread());
        let (to, events) = bounded(1000);
        engine.subscribers.push(Subscriber { to: Subscription { client: ClientId(0), events: to }, lost: 0 });
        let mut scene = Scene { engine, events };
        let selector = TargetSelector::Pid { pid: PID };
        scene.obey(Command::Target { selector, until_exec: None, hold: Toggle::Off });
        scene
    }

    /// The same with a breakpoint at SITE.
    pub(super) fn armed(action: BreakpointAction) -> Scene {
        let mut scene = Scene::attached();
        scene.break_at(SITE, action);
        assert_eq!(scene.kernel().byte(PID, SITE), INT3);
        scene
    }

    pub(super) fn break_at(&mut self, at: VirtAddr, action: BreakpointAction) -> u32 {
        let spec = BreakpointSpec {
            location: Where::Address(at.to_string()),
            module: ModuleFilter::Any,
            condition: None,
            temporary: Toggle::Off,
            action,
            ignore: 0,
            limit: 10,
            max_rate: MaxRate::Fit,
        };
        match self.obey(Command::Break { spec }) {
            Reply::Breakpoint { row } => row.id,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn obey(&mut self, command: Command) -> Reply {
        self.engine.obey(ClientId(0), command).expect("a command that can be obeyed")
    }

    pub(super) fn kernel(&mut self) -> &mut Scripted {
        &mut self.engine.inferior
    }

    /// Handles these reports, and what comes of them, to the end.
    pub(super) fn play(&mut self, reports: impl IntoIterator<Item = Report>) {
        self.kernel().script(reports);
        while let Some((tid, status)) = self.engine.next_report(Wait::Poll).expect("a script has no failures") {
            self.engine.handle(tid, status);
            self.engine.empty_outbox();
        }
    }

    pub(super) fn told(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    pub(super) fn hits(&self) -> u64 {
        self.engine.breakpoints.values().map(|one| one.hits).sum()
    }

    /// Nothing of rdbg's is left: no int3, nobody stands, nobody is traced.
    pub(super) fn assert_clean(&mut self, pid: Pid, tids: &[Tid]) {
        for at in 0..16 {
            assert_ne!(self.kernel().byte(pid, TEXT.offset(at)), INT3, "at {at}");
        }
        for tid in tids {
            assert!(!self.kernel().is_stopped(*tid), "{tid} stands");
            assert!(!self.engine.threads.contains_key(tid), "{tid} is traced");
        }
    }
}

//! Orders of events that are rare live, scripted: what the engine does to the tasks, and what it tells.

use crossbeam_channel::{bounded, unbounded};

use super::scene::{Scene, LEADER, PID, SECOND, SITE};
use super::{Call, Operation, Report, Scripted};
use crate::api::{BreakpointAction, ClientId, Command, Event, Leave, StopReason, Subscription, TargetSelector, Toggle};
use crate::base::{Pid, PtraceEvent, ResumeHow, Signal, Tid, WaitStatus};
use crate::engine::state::{Engine, Subscriber, World};
use crate::os::Doorbell;
use crate::target::breakpoint::INT3;
use crate::target::stop::TRAP_HWBKPT;
use crate::target::task::{RunState, StopKind};

/// A number that no process of this machine has.
const CHILD: Pid = Pid(5_000_200);
const GOES_ON: (ResumeHow, Option<Signal>) = (ResumeHow::Continue, None);

fn ended(tid: Tid) -> Report {
    Report::new(tid, WaitStatus::Signaled { signal: Signal::KILL })
}

#[test]
fn a_threads_first_stop_before_its_parents_clone_event() {
    for child_first in [true, false] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        let third = Tid(LEADER.0 + 2);
        scene.kernel().add_thread(third, PID);
        let mut reports = vec![Report::stop(third), Report::event(SECOND, PtraceEvent::Clone, third)];
        if !child_first {
            reports.reverse();
        }
        scene.play(reports);
        // Both go on, and the new thread's hits count.
        assert_eq!(scene.kernel().resumes_of(third), [GOES_ON]);
        assert_eq!(scene.kernel().resumes_of(SECOND), [GOES_ON]);
        scene.play([Report::trap(third, SITE)]);
        assert_eq!((scene.hits(), scene.kernel().pc(third)), (1, SITE.offset(1)));
        assert!(scene.engine.early.is_empty());
    }
}

#[test]
fn two_hits_on_one_site_at_once() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    scene.play([Report::trap(LEADER, SITE), Report::trap(SECOND, SITE)]);
    assert_eq!(scene.hits(), 2);
    for tid in [LEADER, SECOND] {
        // push rbp was emulated, and nobody was stopped for it.
        assert_eq!(scene.kernel().resumes_of(tid), [GOES_ON]);
        assert_eq!(scene.kernel().pc(tid), SITE.offset(1));
    }
    assert!(!scene.kernel().calls.iter().any(|call| matches!(call, Call::Interrupt(_))));
}

#[test]
fn two_stops_on_one_site_at_once_are_told_one_after_the_other() {
    let mut scene = Scene::armed(BreakpointAction::Stop);
    // The second's trap answers the interrupt that the first's stop makes.
    scene.kernel().answers.insert(SECOND, [Report::trap(SECOND, SITE)].into());
    scene.play([Report::trap(LEADER, SITE)]);
    let stops = |told: Vec<Event>| told.iter().filter(|event| matches!(event, Event::Stopped { .. })).count();
    assert_eq!((stops(scene.told()), scene.hits()), (1, 1));
    // It stands before the site, as if it had not come there yet.
    assert_eq!(scene.kernel().pc(SECOND), SITE);
    scene.kernel().answers.clear();
    scene.obey(Command::Continue);
    assert_eq!(scene.kernel().pc(LEADER), SITE.offset(1));
    scene.play([Report::trap(SECOND, SITE)]);
    assert_eq!((stops(scene.told()), scene.hits()), (1, 2));
    scene.obey(Command::Detach);
    scene.assert_clean(PID, &[LEADER, SECOND]);
}

#[test]
fn an_exec_by_another_thread_than_the_leader_with_sites_armed() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    // The thread that called execve has the leader's tid from now on; the message is its old one.
    scene.kernel().execute(PID);
    scene.play([Report::event(LEADER, PtraceEvent::Exec, SECOND)]);
    assert!(scene.told().iter().any(|event| matches!(event, Event::Executed { pid: PID, .. })));
    assert_eq!(scene.engine.threads.keys().copied().collect::<Vec<_>>(), [LEADER]);
    // The address means another instruction now: nothing was written to the new memory.
    assert_eq!(scene.kernel().byte(PID, SITE), 0x55);
    assert_eq!(scene.kernel().resumes_of(LEADER), [GOES_ON]);
    scene.obey(Command::Detach);
    scene.assert_clean(PID, &[LEADER]);
}

#[test]
fn an_exec_after_the_leader_has_gone() {
    let mut kernel = Scripted::new();
    kernel.add_process(PID);
    kernel.add_thread(SECOND, PID);
    kernel.script([Report::new(LEADER, WaitStatus::Exited { code: 0 })]);
    let ((_, requests), inputs) = (unbounded(), unbounded());
    let mut engine = Engine::new(kernel, requests, inputs, Doorbell::for_this_thread());
    let (to, events) = bounded(1000);
    engine.subscribers.push(Subscriber { to: Subscription { client: ClientId(0), events: to }, lost: 0 });
    let mut scene = Scene { engine, events };
    scene.play([]);
    scene.engine.early.clear();
    // A process without a leader is attached to by its threads.
    let selector = TargetSelector::Pid { pid: PID };
    scene.kernel().add_thread(Tid(LEADER.0 + 2), PID);
    scene.obey(Command::Target { selector, until_exec: None, hold: Toggle::Off });
    scene.kernel().execute(PID);
    scene.play([Report::event(LEADER, PtraceEvent::Exec, SECOND)]);
    assert_eq!(scene.engine.threads.keys().copied().collect::<Vec<_>>(), [LEADER]);
    assert_eq!(scene.kernel().resumes_of(LEADER), [GOES_ON]);
}

#[test]
fn a_kill_while_the_world_is_being_stopped() {
    let mut scene = Scene::armed(BreakpointAction::Stop);
    scene.kernel().answers.insert(SECOND, [ended(SECOND)].into());
    scene.kernel().script([Report::trap(LEADER, SITE)]);
    scene.play([]);
    scene.play([ended(LEADER)]);
    let told = scene.told();
    assert!(
        told.iter().any(|event| matches!(event, Event::Exited { pid: PID, signal: Some(Signal::KILL), .. })),
        "{told:?}"
    );
    assert_eq!((scene.engine.threads.len(), scene.engine.world), (0, World::Running));
    assert!(scene.engine.processes.is_empty() && scene.engine.spaces.is_empty());
}

#[test]
fn the_leader_exits_first() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    // A leader that has exited reports nothing until the last thread ends, and is found dead.
    scene.kernel().gone.extend([Operation::Interrupt, Operation::Regs, Operation::Maps].map(|one| (one, LEADER)));
    scene.play([Report::trap(SECOND, SITE)]);
    assert_eq!(scene.hits(), 1);
    scene.play([ended(SECOND)]);
    assert!(scene.engine.processes.contains_key(&PID));
    scene.play([Report::new(LEADER, WaitStatus::Exited { code: 3 })]);
    assert!(scene.told().iter().any(|event| matches!(event, Event::Exited { status: 3, .. })));
    assert!(scene.engine.processes.is_empty());
}

#[test]
fn gone_is_an_answer_from_every_operation() {
    const ALL: [Operation; 12] = [
        Operation::Interrupt,
        Operation::Resume,
        Operation::Detach,
        Operation::Regs,
        Operation::SetRegs,
        Operation::SetPc,
        Operation::SigInfo,
        Operation::EventMessage,
        Operation::ReadMem,
        Operation::WriteMem,
        Operation::Store,
        Operation::ThreadGroup,
    ];
    let mut asked = std::collections::HashSet::new();
    for operation in ALL {
        for action in [BreakpointAction::Count, BreakpointAction::Stop, BreakpointAction::Log { count: None }] {
            let mut scene = Scene::armed(action);
            scene.kernel().asked.borrow_mut().clear();
            let is_memory = matches!(operation, Operation::ReadMem | Operation::WriteMem);
            scene.kernel().gone.insert((operation, if is_memory { LEADER } else { SECOND }));
            let third = Tid(LEADER.0 + 2);
            scene.kernel().add_thread(third, PID);
            // Its end comes some time after the operation that found it gone.
            scene.kernel().answers.insert(SECOND, [ended(SECOND)].into());
            scene.play([
                Report::event(SECOND, PtraceEvent::Clone, third),
                Report::stop(third),
                Report::trap(SECOND, SITE),
            ]);
            scene.play([
                Report::trap(LEADER, SITE),
                Report::stop(SECOND),
                Report::new(SECOND, WaitStatus::GroupStop(Signal::STOP)),
            ]);
            scene.play([ended(SECOND)]);
            assert!(!scene.engine.threads.contains_key(&SECOND), "{operation:?}");
            assert!(scene.engine.threads.contains_key(&LEADER), "{operation:?}");
            scene.kernel().answers.clear();
            scene.obey(Command::Detach);
            asked.extend(scene.kernel().asked.borrow().iter().map(|(operation, _)| *operation));
            // Where all of the memory is gone there is nothing to restore.
            let restored = scene.kernel().byte(PID, SITE) == 0x55;
            assert!(restored || is_memory, "{operation:?} {action:?}");
        }
    }
    assert!(ALL.iter().all(|one| asked.contains(one)), "{asked:?}");
}

#[test]
fn a_vfork_childs_first_stop_before_or_after_its_parents_event() {
    for child_first in [true, false] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        scene.kernel().add_vfork(CHILD, PID);
        let mut reports = vec![Report::stop(CHILD.leader()), Report::event(SECOND, PtraceEvent::Vfork, CHILD.leader())];
        if !child_first {
            reports.reverse();
        }
        scene.play(reports);
        assert_eq!(scene.kernel().resumes_of(CHILD.leader()), [GOES_ON], "child first: {child_first}");
        // The child passes the parent's site uncounted, and the site stays.
        scene.play([Report::trap(CHILD.leader(), SITE)]);
        assert_eq!((scene.hits(), scene.kernel().byte(PID, SITE)), (0, INT3));
        // Its exec lets it go; the parent goes on with its site.
        scene.kernel().execute(CHILD);
        scene.play([
            Report::event(CHILD.leader(), PtraceEvent::Exec, CHILD.leader()),
            Report::event(SECOND, PtraceEvent::VforkDone, CHILD.leader()),
        ]);
        scene.assert_clean(CHILD, &[CHILD.leader()]);
        assert_eq!(scene.kernel().byte(PID, SITE), INT3);
        assert!(!scene.kernel().is_stopped(SECOND));
        scene.obey(Command::Detach);
        scene.assert_clean(PID, &[LEADER, SECOND]);
    }
}

#[test]
fn a_forked_child_that_is_not_followed_is_clean_whichever_comes_first() {
    for child_first in [true, false] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        scene.kernel().add_fork(CHILD, PID);
        assert_eq!(scene.kernel().byte(CHILD, SITE), INT3);
        let mut reports = vec![Report::stop(CHILD.leader()), Report::event(SECOND, PtraceEvent::Fork, CHILD.leader())];
        if !child_first {
            reports.reverse();
        }
        scene.play(reports);
        scene.assert_clean(CHILD, &[CHILD.leader()]);
        assert_eq!(scene.kernel().byte(PID, SITE), INT3);
        assert_eq!(scene.kernel().resumes_of(SECOND), [GOES_ON]);
    }
}

#[test]
fn a_child_that_was_forked_before_a_site_was_removed_and_reported_after_is_clean() {
    for follow in ["parent", "both"] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        scene.obey(Command::Set { name: "follow-fork-mode".into(), value: follow.into() });
        scene.kernel().add_fork(CHILD, PID);
        // The child has a copy of the int3; then the site goes, and another comes.
        scene.obey(Command::Delete { ids: Vec::new() });
        let later = SITE.offset(8);
        scene.break_at(later, BreakpointAction::Count);
        scene.play([Report::event(SECOND, PtraceEvent::Fork, CHILD.leader()), Report::stop(CHILD.leader())]);
        assert_eq!(scene.kernel().byte(CHILD, SITE), 0x55, "{follow}");
        let expected = if follow == "both" { INT3 } else { 0x55 };
        assert_eq!(scene.kernel().byte(CHILD, later), expected, "{follow}");
        assert!(!scene.kernel().is_stopped(CHILD.leader()));
    }
}

#[test]
fn a_thread_that_stands_inside_a_fork_or_clone_makes_no_other_call() {
    for event in [PtraceEvent::Fork, PtraceEvent::Clone, PtraceEvent::Vfork] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        scene.kernel().add_fork(CHILD, PID);
        scene.kernel().answers.insert(SECOND, [Report::event(SECOND, event, CHILD.leader())].into());
        scene.kernel().script([Report::stop(CHILD.leader())]);
        scene.obey(Command::Interrupt);
        // The kernel would write the result of the one over the number of the other.
        let state = scene.engine.threads[&SECOND].state;
        assert_eq!(state, RunState::Stopped(StopKind::Syscall), "{event:?}");
        assert_eq!(scene.engine.threads[&LEADER].state, RunState::Stopped(StopKind::Event));
    }
}

#[test]
fn a_child_that_is_forked_while_its_parent_is_left_is_left_too() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    scene.obey(Command::Set { name: "follow-fork-mode".into(), value: "both".into() });
    scene.kernel().add_fork(CHILD, PID);
    // The fork is what answers the interrupt of the detach.
    let fork = Report::event(SECOND, PtraceEvent::Fork, CHILD.leader());
    scene.kernel().answers.insert(SECOND, [fork].into());
    scene.kernel().script([Report::stop(CHILD.leader())]);
    scene.obey(Command::Quit { leave: Leave::Default });
    scene.assert_clean(PID, &[LEADER, SECOND]);
    scene.assert_clean(CHILD, &[CHILD.leader()]);
}

#[test]
fn a_child_that_is_killed_before_its_parents_event_is_read() {
    for status in [WaitStatus::Exited { code: 0 }, WaitStatus::Signaled { signal: Signal::KILL }] {
        for stop_seen in [true, false] {
            for follow in ["parent", "both"] {
                let mut scene = Scene::armed(BreakpointAction::Count);
                scene.obey(Command::Set { name: "follow-fork-mode".into(), value: follow.into() });
                scene.kernel().add_fork(CHILD, PID);
                let mut reports = vec![Report::new(CHILD.leader(), status)];
                if stop_seen {
                    reports.insert(0, Report::stop(CHILD.leader()));
                }
                reports.push(Report::event(SECOND, PtraceEvent::Fork, CHILD.leader()));
                scene.play(reports);
                assert!(!scene.engine.processes.contains_key(&CHILD), "{follow}, stop seen: {stop_seen}");
                assert!(!scene.engine.threads.contains_key(&CHILD.leader()));
                assert_eq!(scene.kernel().resumes_of(SECOND), [GOES_ON]);
            }
        }
    }
}

#[test]
fn a_child_whose_parent_is_killed_before_its_fork_event_goes_on_clean() {
    for child_first in [true, false] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        scene.kernel().add_fork(CHILD, PID);
        // The kernel gives an orphan to init.
        scene.kernel().parents.insert(CHILD, Pid(1));
        let mut reports = vec![Report::stop(CHILD.leader()), ended(SECOND), ended(LEADER)];
        if !child_first {
            reports.rotate_left(1);
        }
        scene.play(reports);
        scene.assert_clean(CHILD, &[CHILD.leader()]);
        assert!(scene.engine.early.is_empty());
    }
}

#[test]
fn a_trap_that_is_queued_behind_the_interrupt_is_collected_first() {
    for status in [WaitStatus::Event(PtraceEvent::Stop), WaitStatus::GroupStop(Signal::STOP)] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        // It has executed the int3: the stop comes first, with the pc past the site and SIGTRAP pending.
        scene.kernel().set_pending(SECOND, &[Signal::TRAP]);
        let first = Report::new(SECOND, status).at(SITE.offset(1));
        scene.kernel().answers.insert(SECOND, [first].into());
        scene.kernel().script([]);
        let begun = scene.kernel().calls.len();
        // What it reports when it is let run into its trap.
        scene.kernel().after_resume.insert(SECOND, [Report::trap(SECOND, SITE)].into());
        scene.obey(Command::Detach);
        assert!(scene.kernel().calls.len() > begun);
        scene.assert_clean(PID, &[LEADER, SECOND]);
        // Neither is the signal delivered, nor is the instruction left out.
        assert_eq!(scene.kernel().pc(SECOND), SITE, "{status:?}");
        assert!(scene.kernel().calls.contains(&Call::Detach(SECOND, None)), "{status:?}");
    }
}

#[test]
fn a_debug_registers_trap_that_is_queued_behind_the_interrupt_is_collected_too() {
    let mut scene = Scene::attached();
    scene.engine.registers_changes = 1;
    scene.kernel().debug_status.insert(LEADER, 0);
    scene.kernel().debug_status.insert(SECOND, 0b1);
    scene.kernel().set_pending(SECOND, &[Signal::TRAP]);
    let answer = Report::new(SECOND, WaitStatus::Event(PtraceEvent::Stop)).at(SITE.offset(8));
    scene.kernel().answers.insert(SECOND, [answer].into());
    let trap = Report::new(SECOND, WaitStatus::SignalDelivery(Signal::TRAP)).at(SITE.offset(8));
    scene.kernel().after_resume.insert(SECOND, [Report { code: TRAP_HWBKPT, ..trap }].into());
    scene.obey(Command::Detach);
    // Left pending, it would be the end of the program.
    assert!(scene.kernel().after_resume[&SECOND].is_empty(), "it was let run into its trap");
    assert!(scene.kernel().calls.contains(&Call::Detach(SECOND, None)));
    scene.assert_clean(PID, &[LEADER, SECOND]);
}

#[test]
fn a_signal_that_comes_instead_of_the_interrupts_answer_goes_along_at_detach() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    let signal = Report::new(SECOND, WaitStatus::SignalDelivery(Signal::TERM)).at(SITE.offset(8));
    scene.kernel().answers.insert(SECOND, [signal].into());
    scene.obey(Command::Detach);
    scene.assert_clean(PID, &[LEADER, SECOND]);
    assert!(scene.kernel().calls.contains(&Call::Detach(SECOND, Some(Signal::TERM))));
    assert!(scene.kernel().calls.contains(&Call::Detach(LEADER, None)));
}

#[test]
fn a_group_stop_while_the_world_is_being_stopped_stays_one() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    let stop = Report::new(SECOND, WaitStatus::GroupStop(Signal::STOP));
    scene.kernel().answers.insert(SECOND, [stop].into());
    scene.obey(Command::Interrupt);
    assert_eq!(scene.engine.world, World::Stopped);
    scene.obey(Command::Continue);
    // Not continued: only SIGCONT ends a group-stop.
    assert_eq!(scene.kernel().resumes_of(SECOND), [(ResumeHow::Listen, None)]);
    assert_eq!(scene.kernel().resumes_of(LEADER), [GOES_ON]);
    scene.play([Report::stop(SECOND)]);
    assert_eq!(scene.kernel().resumes_of(SECOND), [(ResumeHow::Listen, None), GOES_ON]);
}

#[test]
fn a_detach_while_threads_run_stops_them_first() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    scene.obey(Command::Detach);
    scene.assert_clean(PID, &[LEADER, SECOND]);
    for tid in [LEADER, SECOND] {
        let calls = &scene.kernel().calls;
        let interrupted = calls.iter().position(|call| *call == Call::Interrupt(tid));
        let detached = calls.iter().position(|call| *call == Call::Detach(tid, None));
        assert!(interrupted.is_some() && interrupted < detached, "{calls:?}");
    }
}

#[test]
fn a_trap_at_a_site_that_has_been_removed_sets_the_pc_back_and_nothing_else() {
    let mut scene = Scene::armed(BreakpointAction::Stop);
    scene.obey(Command::Delete { ids: Vec::new() });
    scene.play([Report::trap(SECOND, SITE)]);
    assert_eq!(scene.kernel().pc(SECOND), SITE);
    assert_eq!(scene.kernel().resumes_of(SECOND), [GOES_ON]);
    assert!(!scene.told().iter().any(|event| matches!(event, Event::Stopped { .. } | Event::SignalNoted { .. })));
}

#[test]
fn the_programs_own_trap_is_given_to_the_program() {
    let mut scene = Scene::armed(BreakpointAction::Stop);
    scene.play([Report::trap(SECOND, SITE.offset(0x100))]);
    let reason = StopReason::Signal { signal: Signal::TRAP };
    assert!(scene.told().iter().any(|event| matches!(event, Event::Stopped { reason: told, .. } if *told == reason)));
    scene.obey(Command::Continue);
    assert_eq!(scene.kernel().resumes_of(SECOND), [(ResumeHow::Continue, Some(Signal::TRAP))]);
    assert_eq!(scene.kernel().pc(SECOND), SITE.offset(0x101));
}

#[test]
fn a_sent_trap_that_has_swallowed_the_one_of_a_hit_is_told_of_before_the_site() {
    for executed in [false, true] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        // rbp is 0: where that is on top of the stack, `push rbp` was executed.
        scene.kernel().set_stack_top(SECOND, u8::from(!executed));
        let sent = WaitStatus::SignalDelivery(Signal::TRAP);
        scene.play([Report::new(SECOND, sent).at(SITE.offset(1))]);
        let reason = StopReason::Signal { signal: Signal::TRAP };
        let is_stop = |event: &Event| matches!(event, Event::Stopped { reason: told, .. } if *told == reason);
        assert!(scene.told().iter().any(is_stop));
        assert_eq!(scene.kernel().pc(SECOND), if executed { SITE.offset(1) } else { SITE });
        scene.obey(Command::Continue);
        assert_eq!(scene.kernel().resumes_of(SECOND), [(ResumeHow::Continue, Some(Signal::TRAP))]);
        scene.play([Report::trap(SECOND, SITE)]);
        assert_eq!(scene.hits(), 1);
    }
}

#[test]
fn text_that_has_changed_or_gone_under_a_site_is_not_written_to() {
    for gone in [false, true] {
        let mut scene = Scene::armed(BreakpointAction::Count);
        match gone {
            true => scene.kernel().unmap_text(PID),
            false => scene.kernel().poke(PID, SITE, 0x90),
        }
        scene.obey(Command::Detach);
        let told = scene.told();
        assert!(told.iter().any(|event| matches!(event, Event::Detached { pid: PID })), "{told:?}");
        if !gone {
            assert_eq!(scene.kernel().byte(PID, SITE), 0x90);
        }
        assert!(scene.engine.threads.is_empty());
    }
}

#[test]
fn a_thread_that_stops_too_late_for_its_process_is_let_go_when_it_does() {
    let mut scene = Scene::armed(BreakpointAction::Count);
    scene.kernel().silent.insert(SECOND);
    let begun = std::time::Instant::now();
    scene.obey(Command::Detach);
    // The others stand still for as long.
    assert!(begun.elapsed() < std::time::Duration::from_secs(4));
    scene.assert_clean(PID, &[LEADER]);
    scene.play([Report::trap(SECOND, SITE)]);
    // A trap from before the text was restored is no signal of the program's.
    assert_eq!(scene.kernel().pc(SECOND), SITE);
    assert!(scene.kernel().calls.contains(&Call::Detach(SECOND, None)));
    scene.assert_clean(PID, &[LEADER, SECOND]);
    assert!(scene.engine.late.is_empty());
}

#[test]
fn the_stack_of_a_thread_that_is_gone_is_not_walked() {
    let mut scene = Scene::armed(BreakpointAction::Stop);
    scene.kernel().gone.extend([Operation::ReadMem, Operation::Load].map(|one| (one, LEADER)));
    scene.play([Report::trap(SECOND, SITE)]);
    assert!(scene.told().iter().any(|event| matches!(event, Event::Stopped { .. })));
}

#[test]
fn a_signal_that_comes_while_the_world_is_stopped_is_told_before_it_is_delivered() {
    let mut scene = Scene::armed(BreakpointAction::Stop);
    let segv = Report::new(SECOND, WaitStatus::SignalDelivery(Signal::SEGV));
    scene.kernel().answers.insert(SECOND, [segv].into());
    scene.play([Report::trap(LEADER, SITE)]);
    let stopped_for = |told: Vec<Event>| -> Vec<StopReason> {
        let reason = |event| match event {
            Event::Stopped { reason, .. } => Some(reason),
            _ => None,
        };
        told.into_iter().filter_map(reason).collect()
    };
    assert_eq!(stopped_for(scene.told()), [StopReason::Breakpoint { ids: vec![1] }]);
    scene.obey(Command::Continue);
    assert_eq!(stopped_for(scene.told()), [StopReason::Signal { signal: Signal::SEGV }]);
    assert!(scene.kernel().resumes_of(SECOND).is_empty() && scene.kernel().is_stopped(LEADER));
    scene.obey(Command::Continue);
    assert_eq!(scene.kernel().resumes_of(SECOND), [(ResumeHow::Continue, Some(Signal::SEGV))]);
    assert_eq!(stopped_for(scene.told()), []);
    assert_eq!(scene.engine.world, World::Running);
}

#[test]
fn with_scheduler_locking_on_a_thread_that_ends_alone_leaves_nobody_standing_unheard() {
    for go in [Command::StepInstruction { kind: crate::api::StepKind::Into, count: 100 }, Command::Continue] {
        let mut scene = Scene::armed(BreakpointAction::Stop);
        scene.play([Report::trap(SECOND, SITE)]);
        scene.told();
        scene.obey(Command::Set { name: "scheduler-locking".to_string(), value: "on".to_string() });
        scene.obey(go);
        assert!(scene.kernel().is_stopped(LEADER));
        scene.play([Report::new(SECOND, WaitStatus::Exited { code: 0 })]);
        let told = scene.told();
        assert!(told.iter().any(|event| matches!(event, Event::Stopped { thread, .. } if thread.tid == LEADER)));
        assert_eq!(scene.engine.world, World::Stopped);
        scene.obey(Command::Continue);
        assert!(!scene.kernel().is_stopped(LEADER));
    }
}

#[test]
fn a_fault_in_the_engine_in_the_midst_of_a_hit_leaves_the_target_clean() {
    let faults =
        [Operation::SetPc, Operation::Regs, Operation::SigInfo, Operation::Load, Operation::Store, Operation::SetRegs];
    for fault in faults {
        let mut scene = Scene::armed(BreakpointAction::Count);
        scene.kernel().script([Report::trap(LEADER, SITE)]);
        scene.kernel().fault.set(Some(fault));
        let events = scene.events;
        scene = Scene { engine: crate::engine::spawn::serve(scene.engine), events };
        let told = scene.told();
        let is_told =
            |event: &Event| matches!(event, Event::Notice { text } if text.contains("a fault in rdbg's engine"));
        assert!(told.iter().any(is_told) || scene.kernel().fault.get().is_some(), "{fault:?}: {told:?}");
        scene.assert_clean(PID, &[LEADER, SECOND]);
    }
}

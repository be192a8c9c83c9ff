//! After rdbg has left, the target must be as it was found.

use super::procfs;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A look at a target before rdbg comes near it, for a stricter comparison after.
pub struct Guard {
    pid: u32,
    executable: BTreeSet<String>,
    caught: String,
}

impl Guard {
    /// Remembers the executable mappings and the signal handlers of a process.
    pub fn take(pid: u32) -> Guard {
        Guard { pid, executable: executable_names(pid), caught: caught(pid) }
    }

    /// As [`Guard::check`], and nothing executable was added, no signal handler left behind.
    #[track_caller]
    pub fn check_after(&self) {
        let mut problems = Guard::problems(self.pid);
        for name in executable_names(self.pid).difference(&self.executable) {
            problems.push(format!("new executable mapping: {name}"));
        }
        let now = caught(self.pid);
        if now != self.caught {
            problems.push(format!("signals caught were {}, are {now}", self.caught));
        }
        report(self.pid, &problems);
    }

    /// Panics unless the process lives, no thread of it is traced or stopped, and every executable page of a file
    /// holds the bytes of the file.
    #[track_caller]
    pub fn check(pid: u32) {
        report(pid, &Guard::problems(pid));
    }

    /// What [`Guard::check`] would complain of.
    pub fn problems(pid: u32) -> Vec<String> {
        let mut problems = Vec::new();
        match procfs::stat(pid) {
            None => return vec!["the process is gone".to_owned()],
            // A leader that has left by pthread_exit is a zombie too, with live threads beside it.
            Some(('Z' | 'X', ..)) if procfs::tasks(pid).len() < 2 => return vec!["the process has died".to_owned()],
            Some(_) => {}
        }
        for tid in procfs::tasks(pid) {
            let tracer = procfs::task_status(pid, tid, "TracerPid");
            if tracer.as_deref().is_some_and(|t| t != "0") {
                problems.push(format!("thread {tid} is traced by {}", tracer.unwrap_or_default()));
            }
            let state = procfs::task_status(pid, tid, "State").unwrap_or_default();
            if state.starts_with(['t', 'T']) {
                problems.push(format!("thread {tid} is stopped: {state}"));
            }
        }
        problems.extend(text_differences(pid));
        problems
    }
}

#[track_caller]
fn report(pid: u32, problems: &[String]) {
    assert!(
        problems.is_empty(),
        "process {pid} was not left as it was found:\n  {}\n{}",
        problems.join("\n  "),
        procfs::describe(pid)
    );
}

/// SigCgt without 32 and 33, for which glibc has handlers once a program has started a thread.
fn caught(pid: u32) -> String {
    let mask = procfs::task_status(pid, pid, "SigCgt").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    format!("{:016x}", mask.unwrap_or_default() & !(3 << 31))
}

struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: String,
}

/// /proc/PID, or the directory of a thread that lives where the leader has left before: a zombie has no memory.
fn directory(pid: u32) -> String {
    let dead = |tid: &u32| procfs::task_status(pid, *tid, "State").is_none_or(|state| state.starts_with(['Z', 'X']));
    if !dead(&pid) {
        return format!("/proc/{pid}");
    }
    let heir = procfs::tasks(pid).into_iter().find(|tid| !dead(tid));
    heir.map_or(format!("/proc/{pid}"), |tid| format!("/proc/{pid}/task/{tid}"))
}

fn executable_mappings(pid: u32) -> Vec<Mapping> {
    let text = fs::read_to_string(format!("{}/maps", directory(pid))).unwrap_or_default();
    let mut mappings = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(6, ' ');
        let (Some(range), Some(access), Some(offset)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if !access.contains('x') {
            continue;
        }
        let Some((start, end)) = range.split_once('-') else { continue };
        let number = |s| u64::from_str_radix(s, 16).expect("hexadecimal in /proc/PID/maps");
        let path = fields.nth(2).unwrap_or("").trim().to_owned();
        mappings.push(Mapping { start: number(start), end: number(end), offset: number(offset), path });
    }
    mappings
}

fn executable_names(pid: u32) -> BTreeSet<String> {
    // Without addresses: the stack, the heap and what is loaded later may come and go.
    executable_mappings(pid)
        .into_iter()
        .map(|m| if m.path.is_empty() { "anonymous".to_owned() } else { m.path })
        .collect()
}

fn text_differences(pid: u32) -> Vec<String> {
    let mut problems = Vec::new();
    let memory = match File::open(format!("{}/mem", directory(pid))) {
        Ok(memory) => memory,
        Err(error) => return vec![format!("/proc/{pid}/mem: {error}")],
    };
    let mut compared = 0;
    for mapping in executable_mappings(pid) {
        if !mapping.path.starts_with('/') || mapping.path.ends_with(" (deleted)") {
            continue;
        }
        let Ok(file) = File::open(format!("{}/root{}", directory(pid), mapping.path)) else { continue };
        let mut address = mapping.start;
        let mut expected = vec![0; 1 << 20];
        let mut found = vec![0; 1 << 20];
        while address < mapping.end {
            let wanted = expected.len().min((mapping.end - address) as usize);
            let in_file =
                file.read_at(&mut expected[..wanted], mapping.offset + (address - mapping.start)).unwrap_or(0);
            if in_file == 0 {
                break;
            }
            let bytes = &mut found[..in_file];
            if let Err(error) = memory.read_exact_at(bytes, address) {
                problems.push(format!("{}: {address:#x} is not readable: {error}", mapping.path));
                break;
            }
            for (i, (was, is)) in expected[..in_file].iter().zip(bytes.iter()).enumerate() {
                if was != is && problems.len() < 20 {
                    let at = address + i as u64;
                    let offset = mapping.offset + (at - mapping.start);
                    problems.push(format!(
                        "{at:#x} ({}, file offset {offset:#x}): {was:#04x} became {is:#04x}",
                        mapping.path
                    ));
                }
            }
            compared += in_file;
            address += in_file as u64;
        }
    }
    if compared == 0 {
        problems.push("no executable page of a file could be compared".to_owned());
    }
    problems
}

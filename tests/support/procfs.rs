//! What /proc says of a process, for checks and for the report of a test that ran into its deadline.

use std::fs;
use std::time::Duration;

/// (state letter, parent, name) from /proc/PID/stat.
pub fn stat(pid: u32) -> Option<(char, u32, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&text)
}

fn parse_stat(text: &str) -> Option<(char, u32, String)> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let mut rest = text.get(close + 2..)?.split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?, text[open + 1..close].to_owned()))
}

/// User and system time that the process has used, to the clock tick (10 ms).
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Thread ids of the process; empty when it is gone.
pub fn tasks(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut tids: Vec<u32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    tids.sort_unstable();
    tids
}

/// The value of a field of /proc/PID/task/TID/status, e.g. `TracerPid`.
pub fn task_status(pid: u32, tid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
    text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).map(|v| v.trim().to_owned())
}

/// Names of the threads, in the order of their ids.
pub fn thread_names(pid: u32) -> Vec<String> {
    tasks(pid).into_iter().filter_map(|tid| task_status(pid, tid, "Name")).collect()
}

/// Every process whose chain of parents leads to `pid`, nearest first.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        if let Some((_, parent, _)) = stat(child) {
            parents.push((child, parent));
        }
    }
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = parents.iter().filter(|(c, p)| *p == parent && !found.contains(c)).map(|(c, _)| *c);
        found.extend(children.collect::<Vec<_>>());
        next += 1;
    }
    found.split_off(1)
}

/// The processes of a process group.
pub fn group_members(group: u32) -> Vec<u32> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let field = text.rfind(')').and_then(|end| text.get(end + 2..)?.split(' ').nth(2)?.parse().ok());
        if field == Some(group) {
            members.push(pid);
        }
    }
    members
}

/// One line for each thread: state, tracer, name, system call, kernel function it waits in.
pub fn describe(pid: u32) -> String {
    let mut text = String::new();
    if stat(pid).is_none() {
        return format!("  {pid}: gone\n");
    }
    for tid in tasks(pid) {
        let field = |name| task_status(pid, tid, name).unwrap_or_default();
        let read = |name| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}")).unwrap_or_default();
        text += &format!(
            "  {pid}/{tid} {} state={} tracer={} pending={} syscall={} wchan={}{}\n",
            field("Name"),
            field("State"),
            field("TracerPid"),
            field("SigPnd"),
            read("syscall").trim(),
            read("wchan").trim(),
            wait_status(pid, tid)
                .filter(|status| *status != 0)
                .map_or(String::new(), |status| format!(" ended={status:#x}"))
        );
    }
    text
}

/// exit_code of proc(5): how a task that nobody has waited for has ended, as wait(2) would tell it.
fn wait_status(pid: u32, tid: u32) -> Option<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

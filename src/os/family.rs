//! Which processes belong to rdbg's own surroundings: a tracer that stops its own terminal waits for itself.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::base::Pid;

use super::proc;

/// Ancestors are looked for up to this depth: pids can be given out again meanwhile.
const DEPTH: usize = 64;

/// rdbg and what carries it: its ancestors, its pipeline, and whatever draws its terminal.
#[derive(Clone, Debug)]
pub struct Family {
    own: Pid,
    ancestors: HashSet<Pid>,
    group: i32,
    /// What ancestors without a terminal execute: terminals' servers, sshd. Their clients are among their equals.
    programs: HashSet<PathBuf>,
}

/// Whether a process can be traced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It can, as far as can be seen from outside.
    Free,
    /// It is rdbg's own, or carries it.
    Family,
    /// Somebody traces it.
    Traced,
    /// It is no program: a kernel thread, or a process that has ended.
    NoProgram,
}

impl Family {
    /// As it is now.
    pub fn read() -> Family {
        let own = Pid(std::process::id() as i32);
        let group = proc::read_stat(own.leader()).map_or(0, |stat| stat.group);
        let mut family = Family { own, ancestors: HashSet::new(), group, programs: HashSet::new() };
        let mut next = proc::read_stat(own.leader()).map(|stat| stat.parent);
        while let Ok(pid) = next {
            if pid.0 <= 0 || family.ancestors.len() >= DEPTH || !family.ancestors.insert(pid) {
                break;
            }
            let stat = proc::read_stat(pid.leader());
            if stat.as_ref().is_ok_and(|stat| stat.terminal == 0) {
                family.programs.extend(proc::read_exe(pid));
            }
            next = stat.map(|stat| stat.parent);
        }
        // A shell without a terminal is a container's first process, not what draws one.
        family.programs.retain(|exe| !is_shell(exe));
        family
    }

    /// What is to be thought of a process; `None`: it has gone.
    pub fn standing(&self, pid: Pid) -> Option<Standing> {
        let status = proc::read_status(pid.leader()).ok()?;
        let stat = proc::read_stat(pid.leader()).ok()?;
        let is_own = pid == self.own || stat.parent == self.own || self.ancestors.contains(&pid);
        Some(match () {
            () if status.kernel_thread || stat.kernel_thread || matches!(status.state, 'Z' | 'X') => {
                Standing::NoProgram
            }
            () if is_own || stat.group == self.group => Standing::Family,
            () if status.tracer.is_some() => Standing::Traced,
            () if proc::read_exe(pid).is_ok_and(|exe| self.programs.contains(&exe)) => Standing::Family,
            () => Standing::Free,
        })
    }
}

fn is_shell(exe: &std::path::Path) -> bool {
    let name = exe.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, "sh" | "dash" | "bash" | "zsh" | "fish" | "busybox" | "ksh" | "ash")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rdbg_its_parents_and_its_children_are_family() {
        let family = Family::read();
        let own = Pid(std::process::id() as i32);
        let parent = proc::read_stat(own.leader()).unwrap().parent;
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        for pid in [own, parent, Pid(child.id() as i32)] {
            assert_eq!(family.standing(pid), Some(Standing::Family), "{pid}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(family.standing(Pid(child.id() as i32)), None);
    }
}

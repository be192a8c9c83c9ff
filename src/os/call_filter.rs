//! A seccomp filter by which a launched program stops for some of its system calls, and makes the others at full speed
//! (seccomp(2); Documentation/userspace-api/seccomp_filter.rst).

use super::proc;
use crate::base::Tid;

/// SECCOMP_RET_DATA of rdbg's filter: tells its events from those of a filter that the program has put in itself.
pub const CALL_FILTER_DATA: u16 = 0x7264;
/// Calls of 64-bit code (include/uapi/linux/audit.h, AUDIT_ARCH_X86_64).
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// `nr` and `arch` in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// A comparison and an answer for each call, and five statements around them, are within the kernel's BPF_MAXINSNS.
const MOST_CALLS: usize = 1024;

/// A filter that reports these calls to the tracer and allows all others; none where there is nothing to report.
pub(super) fn program(numbers: &[u32]) -> Vec<libc::sock_filter> {
    if numbers.is_empty() || numbers.len() > MOST_CALLS {
        return Vec::new();
    }
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |at| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at);
    let unless_equal = |value| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, value);
    let answer = |value| statement(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    let is_64_bit = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, AUDIT_ARCH_X86_64);
    let report = answer(libc::SECCOMP_RET_TRACE | u32::from(CALL_FILTER_DATA));
    let allow = answer(libc::SECCOMP_RET_ALLOW);
    // With nothing but comparisons of the number the kernel finds out beforehand which calls are always allowed, and
    // runs no filter for them (kernel/seccomp.c, seccomp_cache_prepare).
    let mut statements = vec![load(ARCH), is_64_bit, allow, load(NUMBER)];
    statements.extend(numbers.iter().flat_map(|number| [unless_equal(*number), report]));
    statements.push(allow);
    statements
}

/// Puts a filter into the calling thread, for good. Where the user may not do that otherwise, no program that it executes
/// gains privileges from then on; one that is traced by such a user gains none anyway (execve(2)).
///
/// # Safety
/// Makes system calls only, so that it can be called between fork and exec.
pub(super) unsafe fn install(statements: &[libc::sock_filter]) -> bool {
    let program = libc::sock_fprog { len: statements.len() as u16, filter: statements.as_ptr().cast_mut() };
    // SAFETY: the statements outlive the call, which copies them and writes nothing.
    let put_in = || unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) == 0 };
    // SAFETY: prctl gets numbers.
    put_in() || unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 } && put_in()
}

/// Whether a task that this thread has forked has one filter more than this thread. Kernels before 5.9 do not tell.
pub fn has_call_filter(tid: Tid) -> bool {
    let count = |tid| proc::read_status(tid).ok().and_then(|status| status.seccomp_filters);
    count(tid).zip(count(Tid(std::process::id() as i32))).is_some_and(|(its, own)| its == own + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter answers to a call: BPF's few instructions that it has.
    fn run(statements: &[libc::sock_filter], arch: u32, number: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let one = &statements[at];
            at += 1;
            match u32::from(one.code) & 0x07 {
                libc::BPF_LD => loaded = if one.k == ARCH { arch } else { number },
                libc::BPF_JMP => at += usize::from(if loaded == one.k { one.jt } else { one.jf }),
                _ => return one.k,
            }
        }
    }

    #[test]
    fn only_the_calls_that_are_asked_for_are_reported() {
        let reported = libc::SECCOMP_RET_TRACE | u32::from(CALL_FILTER_DATA);
        let wanted: Vec<u32> = (0..450).filter(|number| number % 3 == 0).collect();
        let statements = program(&wanted);
        for number in 0..500 {
            let expected = if wanted.contains(&number) { reported } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(run(&statements, AUDIT_ARCH_X86_64, number), expected, "{number}");
            // AUDIT_ARCH_I386: other numbers.
            assert_eq!(run(&statements, 0x4000_0003, number), libc::SECCOMP_RET_ALLOW);
        }
        assert!(program(&[]).is_empty() && program(&vec![1; MOST_CALLS + 1]).is_empty());
    }
}

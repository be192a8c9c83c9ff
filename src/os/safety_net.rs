//! The code of the safety net: a SIGTRAP handler that is put into a target (engine/process/net has the when and the where).
//!
//! It runs there, without rdbg: position-independent, with no stack but the signal's frame, no library, no data but the
//! table behind it. What it meets, by siginfo's si_code (sigaction(2)) and the interrupted rip:
//! - an int3 of rdbg's (SI_KERNEL, rip one past a site): writes the byte back through /proc/self/mem and lets the thread
//!   execute the instruction; where that cannot be, sends it to the instruction's copy; where there is none, has it try
//!   again, for the guardian to restore the byte meanwhile;
//! - one that rdbg had dealt with when it died (SI_KERNEL, rip at a site or in a copy): goes on;
//! - a single-step, over a system call too, or a debug register that outlived rdbg (TRAP_TRACE, TRAP_BRKPT, TRAP_HWBKPT):
//!   goes on, with TF cleared, and with RF set so that a register that waits for this very instruction lets it pass;
//! - anything else is none of rdbg's: the default action is restored, and the signal sent again with its siginfo.

use std::arch::global_asm;

use crate::arch::SLOT_SIZE;

/// Where the table begins, bytes from the code's start: the number of entries and 8 bytes of nothing, then 16 bytes for each.
pub const NET_TABLE: u64 = 4096;
/// The most sites that it covers.
pub const NET_SITES: u64 = 65_535;

/// Where siginfo_t and ucontext_t have what the code uses (asm/siginfo.h, asm/sigcontext.h; 8 bytes a register).
const SI_CODE: usize = 8;
const UC_RIP: usize = std::mem::offset_of!(libc::ucontext_t, uc_mcontext) + libc::REG_RIP as usize * 8;
const UC_EFLAGS: usize = std::mem::offset_of!(libc::ucontext_t, uc_mcontext) + libc::REG_EFL as usize * 8;

global_asm!(
    ".pushsection .rodata.rdbg_net, \"a\"",
    // Seen by the other objects that the compiler may split the crate into, and not outside of the program.
    ".globl rdbg_net_begin, rdbg_net_restorer, rdbg_net_end",
    ".hidden rdbg_net_begin, rdbg_net_restorer, rdbg_net_end",
    ".balign 16",
    "rdbg_net_begin:",
    "mov rbp, rdx",
    "mov rax, [rdx + {rip}]",
    "mov ecx, [rsi + {code}]",
    "cmp ecx, {kernel}",
    "je 2f",
    "cmp ecx, {trace}",
    "je 1f",
    "cmp ecx, {call}",
    "je 1f",
    "cmp ecx, {hardware}",
    "jne 9f",
    "1: and qword ptr [rbp + {eflags}], -257",
    "or qword ptr [rbp + {eflags}], 65536",
    "ret",
    // Which site: rbx its entry, r9 how many are left.
    "2: lea rbx, [rip + rdbg_net_begin + {table}]",
    "mov r9, [rbx]",
    "3: add rbx, 16",
    "sub r9, 1",
    "jc 9f",
    "mov r10, rax",
    "sub r10, [rbx]",
    "cmp r10, 1",
    "jb 8f",
    "je 4f",
    "mov r11, [rbx + 8]",
    "shr r11, 8",
    "jz 3b",
    "mov r10, rax",
    "sub r10, r11",
    "cmp r10, {slot}",
    "jae 3b",
    "8: ret",
    // openat(AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC), pwrite64, close.
    "4: mov eax, {openat}",
    "mov edi, -100",
    "lea rsi, [rip + 7f]",
    "mov edx, 0x80002",
    "syscall",
    "test eax, eax",
    "js 5f",
    "mov r12d, eax",
    "mov edi, eax",
    "mov eax, {pwrite}",
    "lea rsi, [rbx + 8]",
    "mov edx, 1",
    "mov r10, [rbx]",
    "syscall",
    "mov r13, rax",
    "mov eax, {close}",
    "mov edi, r12d",
    "syscall",
    "cmp r13, 1",
    "je 6f",
    "5: mov rax, [rbx + 8]",
    "shr rax, 8",
    "jz 6f",
    "mov [rbp + {rip}], rax",
    "ret",
    "6: mov rax, [rbx]",
    "mov [rbp + {rip}], rax",
    "ret",
    "7: .asciz \"/proc/self/mem\"",
    // rt_sigaction(SIGTRAP, SIG_DFL); rt_tgsigqueueinfo of the same siginfo, which comes when this signal's frame is left.
    "9: mov r12, rsi",
    "xor eax, eax",
    "push rax",
    "push rax",
    "push rax",
    "push rax",
    "mov rsi, rsp",
    "xor edx, edx",
    "mov r10d, 8",
    "mov edi, {trap}",
    "mov eax, {sigaction}",
    "syscall",
    "add rsp, 32",
    "mov eax, {getpid}",
    "syscall",
    "mov ebx, eax",
    "mov eax, {gettid}",
    "syscall",
    "mov esi, eax",
    "mov edi, ebx",
    "mov edx, {trap}",
    "mov r10, r12",
    "mov eax, {queue}",
    "syscall",
    "ret",
    "rdbg_net_restorer:",
    "mov eax, {sigreturn}",
    "syscall",
    "rdbg_net_end:",
    ".popsection",
    rip = const UC_RIP,
    eflags = const UC_EFLAGS,
    code = const SI_CODE,
    // SI_KERNEL, TRAP_BRKPT, TRAP_TRACE, TRAP_HWBKPT.
    kernel = const 0x80,
    call = const 1,
    trace = const 2,
    hardware = const 4,
    table = const NET_TABLE,
    slot = const SLOT_SIZE,
    trap = const libc::SIGTRAP,
    openat = const libc::SYS_openat,
    pwrite = const libc::SYS_pwrite64,
    close = const libc::SYS_close,
    sigaction = const libc::SYS_rt_sigaction,
    getpid = const libc::SYS_getpid,
    gettid = const libc::SYS_gettid,
    queue = const libc::SYS_rt_tgsigqueueinfo,
    sigreturn = const libc::SYS_rt_sigreturn,
);

unsafe extern "C" {
    static rdbg_net_begin: u8;
    static rdbg_net_restorer: u8;
    static rdbg_net_end: u8;
}

/// The code, to be put at the start of a page. The handler is its first byte.
pub fn net_code() -> &'static [u8] {
    let (begin, end) = (&raw const rdbg_net_begin, &raw const rdbg_net_end);
    // SAFETY: both are labels of one section of read-only data, the second behind the first.
    unsafe { std::slice::from_raw_parts(begin, end as usize - begin as usize) }
}

/// Where in the code the handler returns to.
pub fn net_restorer() -> u64 {
    (&raw const rdbg_net_restorer as usize - &raw const rdbg_net_begin as usize) as u64
}

/// What rt_sigaction(2) is to be given for a net at `at`: struct sigaction of the kernel (asm/signal.h). On the thread's
/// alternate stack if it has one, with every other signal blocked meanwhile.
pub fn net_action(at: u64) -> [u8; 32] {
    /// SA_RESTORER of asm/signal.h.
    const SA_RESTORER: u64 = 0x0400_0000;
    let flags = (libc::SA_SIGINFO | libc::SA_ONSTACK) as u64 | SA_RESTORER;
    let mut bytes = [0; 32];
    for (slot, word) in bytes.chunks_exact_mut(8).zip([at, flags, at + net_restorer(), u64::MAX]) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// An entry of the table. A site of 0 is none.
pub fn net_entry(site: u64, original: u8, copy: Option<u64>) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&site.to_le_bytes());
    bytes[8..].copy_from_slice(&(copy.unwrap_or(0) << 8 | u64::from(original)).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a child: maps the net with `entry` for a function that begins with an int3, calls it, and gives what it returned.
    fn call_patched(entry: impl Fn(u64, u64) -> [u8; 16], raise: Option<i32>) -> i32 {
        // SAFETY: everything is done in a child of one thread, to memory that it has just mapped.
        unsafe {
            match libc::fork() {
                0 => {
                    let rwx = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
                    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                    let net = libc::mmap(std::ptr::null_mut(), 3 * 4096, rwx, flags, -1, 0).cast::<u8>();
                    net.copy_from(net_code().as_ptr(), net_code().len());
                    // The function: mov eax, 7 (its first byte an int3); ret. Its copy: mov eax, 8; ret.
                    let (function, copy) = (net.add(8192), net.add(8192 + 64));
                    function.copy_from([0xcc, 7, 0, 0, 0, 0xc3].as_ptr(), 6);
                    copy.copy_from([0xb8, 8, 0, 0, 0, 0xc3].as_ptr(), 6);
                    let table = net.add(NET_TABLE as usize);
                    table.cast::<u64>().write(1);
                    table.add(16).copy_from(entry(function as u64, copy as u64).as_ptr(), 16);
                    let action = net_action(net as u64);
                    libc::syscall(libc::SYS_rt_sigaction, libc::SIGTRAP, action.as_ptr(), 0, 8);
                    if let Some(signal) = raise {
                        libc::raise(signal);
                    }
                    let call: extern "C" fn() -> i32 = std::mem::transmute(function);
                    libc::_exit(call() + 16 * i32::from(*function == 0xcc));
                }
                child => {
                    let mut status = 0;
                    libc::waitpid(child, &mut status, 0);
                    if libc::WIFEXITED(status) {
                        libc::WEXITSTATUS(status)
                    } else {
                        -libc::WTERMSIG(status)
                    }
                }
            }
        }
    }

    #[test]
    fn the_handler_restores_the_byte_and_the_instruction_is_executed() {
        assert_eq!(call_patched(|site, _| net_entry(site, 0xb8, None), None), 7);
        assert_eq!(call_patched(|site, copy| net_entry(site, 0xb8, Some(copy)), None), 7);
    }

    #[test]
    fn what_is_not_of_the_table_ends_the_process_as_it_would_have() {
        assert_eq!(call_patched(|site, _| net_entry(site + 64, 0xb8, None), None), -libc::SIGTRAP);
        assert_eq!(call_patched(|site, _| net_entry(site, 0xb8, None), Some(libc::SIGTRAP)), -libc::SIGTRAP);
    }

    #[test]
    fn the_code_fits_before_its_table() {
        assert!(net_code().len() < NET_TABLE as usize && net_restorer() < net_code().len() as u64);
    }
}

// The least that a tracer can do per hit of a breakpoint, with the int3 left in place: what rdbg is measured against.
// It trusts that every SIGTRAP is the int3's, that the int3 displaced `push rbp`, and that a copy of it exists.
//
// floor PID WORK COPY HOW [SPIN]     (addresses in hex)
//   copy      waitpid, POKEUSER rip, CONT: a count needs no more
//   regs      waitpid, GETREGS, POKEUSER rip, CONT: what a condition on registers needs
//   sure      the same, and GETSIGINFO: which site was hit, and that it was no SIGTRAP from elsewhere
//   peek      rip alone instead of all registers (PEEKUSER), and GETSIGINFO: as sure, where nothing but a count is wanted
//   emulate   waitpid, GETREGS, POKEDATA, SETREGS, CONT: push rbp carried out by the tracer
// SPIN: for so many microseconds it asks again and again for the next report before it lets itself be put to sleep.
// Prints, when the process has ended, the number of hits and the CPU time that it took itself, microseconds a hit.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static pid_t next_report(int *status, long spin_us) {
    if (spin_us > 0) {
        int64_t end = now_us() + spin_us;
        do {
            pid_t tid = waitpid(-1, status, __WALL | WNOHANG);
            if (tid != 0) return tid;
        } while (now_us() < end);
    }
    return waitpid(-1, status, __WALL);
}

int main(int argc, char **argv) {
    if (argc != 5 && argc != 6) return 2;
    long spin_us = argc == 6 ? atol(argv[5]) : 0;
    pid_t pid = atoi(argv[1]);
    unsigned long at = strtoul(argv[2], NULL, 16), copy = strtoul(argv[3], NULL, 16);
    char how = argv[4][0];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    struct dirent *task;
    while (tasks && (task = readdir(tasks)))
        if (task->d_name[0] != '.' && ptrace(PTRACE_SEIZE, atoi(task->d_name), 0, 0) != 0) perror("seize");
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int mem = open(path, O_RDWR);
    if (pwrite(mem, "\xcc", 1, at) != 1) return perror("int3"), 1;
    long hits = 0;
    for (;;) {
        int status;
        pid_t tid = next_report(&status, spin_us);
        if (tid < 0) break;
        if (!WIFSTOPPED(status)) continue;
        if (WSTOPSIG(status) != SIGTRAP || status >> 16) {
            ptrace(PTRACE_CONT, tid, 0, status >> 16 ? 0 : WSTOPSIG(status));
            continue;
        }
        hits++;
        struct user_regs_struct regs;
        if (how == 'p') regs.rip = ptrace(PTRACE_PEEKUSER, tid, offsetof(struct user, regs.rip), 0);
        else if (how != 'c') ptrace(PTRACE_GETREGS, tid, 0, &regs);
        siginfo_t info;
        if (how == 's' || how == 'p') ptrace(PTRACE_GETSIGINFO, tid, 0, &info);
        if (how == 'e') {
            regs.rsp -= 8;
            ptrace(PTRACE_POKEDATA, tid, regs.rsp, regs.rbp);
            ptrace(PTRACE_SETREGS, tid, 0, &regs);
        } else {
            ptrace(PTRACE_POKEUSER, tid, offsetof(struct user, regs.rip), copy);
        }
        ptrace(PTRACE_CONT, tid, 0, 0);
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    printf("%ld hits, %.1f us of CPU a hit\n", hits, hits ? cpu_us / hits : 0);
}

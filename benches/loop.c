// A program that calls `work` all the time, for tools that count the calls.
//
// loop THREADS MODE SECONDS
//   all    every thread calls `work`
//   spin   the first thread calls `work`, the others `other`
// Every 200 ms a line: calls of work per second, calls of other per second.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// `work` begins as most functions do. `work_copy` is what a tracer would put into a scratch page: the displaced
// instruction and the way back; floor.c uses it. `other` has the same instructions as `work`.
__asm__(".text\n.balign 16\n.globl work\n.type work, @function\n"
        "work: push %rbp\n mov %rsp, %rbp\n lea 1(%rdi), %rax\n pop %rbp\n ret\n.size work, . - work\n"
        ".balign 16\n.globl other\n.type other, @function\n"
        "other: push %rbp\n mov %rsp, %rbp\n lea 1(%rdi), %rax\n pop %rbp\n ret\n.size other, . - other\n"
        ".balign 16\n.globl work_copy\n.type work_copy, @function\n"
        "work_copy: push %rbp\n jmp work + 1\n.size work_copy, . - work_copy\n");
long work(long);
long other(long);

enum { THREADS = 64, BATCH = 16, WINDOW_NS = 200000000 };

static struct {
    _Alignas(64) atomic_long calls;
} counts[THREADS];
static atomic_int over;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void call(long (*function)(long), int who) {
    for (long i = 0; i < BATCH; i++) {
        function(i + 2);
        atomic_store_explicit(&counts[who].calls, counts[who].calls + 1, memory_order_relaxed);
    }
}

static long (*role[THREADS])(long);

static void *run(void *argument) {
    int who = (int)(intptr_t)argument;
    while (!over) call(role[who], who);
    return NULL;
}

static void sums(int threads, long *works, long *others) {
    *works = *others = 0;
    for (int i = 0; i < threads; i++) *(role[i] == work ? works : others) += counts[i].calls;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    int all = argc <= 2 || strcmp(argv[2], "all") == 0;
    double seconds = argc > 3 ? atof(argv[3]) : 3;
    if (threads < 1 || threads > THREADS) return 2;
    pthread_t ids[THREADS];
    for (int i = 0; i < threads; i++) role[i] = i == 0 || all ? work : other;
    for (int i = 1; i < threads; i++) pthread_create(&ids[i], NULL, run, (void *)(intptr_t)i);
    int64_t start = now(), last = start, at = start;
    long works, others, w0 = 0, o0 = 0;
    while (at - start < seconds * 1e9) {
        call(work, 0);
        at = now();
        if (at - last < WINDOW_NS) continue;
        sums(threads, &works, &others);
        double s = (at - last) / 1e9;
        printf("%.0f %.0f\n", (works - w0) / s, (others - o0) / s);
        fflush(stdout);
        w0 = works, o0 = others, last = at;
    }
    over = 1;
    for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
    sums(threads, &works, &others);
    printf("total %ld %.3f\n", works, (now() - start) / 1e9);
}

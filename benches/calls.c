// A program that makes system calls all the time: getppid, and once in `EVERY` of them listen on no descriptor.
//
// calls COUNT
// Prints the nanoseconds of one call, of the median of windows.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EVERY = 10000, WINDOWS = 20 };

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int by_size(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 1000000;
    double windows[WINDOWS];
    for (int window = 0; window < WINDOWS; window++) {
        int64_t began = now();
        for (long i = 1; i <= count / WINDOWS; i++) {
            syscall(SYS_getppid);
            if (i % EVERY == 0) listen(-1, 0);
        }
        windows[window] = (double)(now() - began) / (count / WINDOWS);
    }
    qsort(windows, WINDOWS, sizeof *windows, by_size);
    printf("ns_per_call %.1f\n", windows[WINDOWS / 2]);
    return 0;
}

// A process whose clock-reading thread shows how long it was kept from running.
//
// still THREADS SECONDS     THREADS - 1 of them wait for ever; prints the number of gaps above 20 us, the longest, and the
//                           sum of those above 50 us, in microseconds
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void *wait_for_ever(void *arg) {
    for (;;) pause();
    return arg;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_t one;
    for (int i = 1; i < atoi(argv[1]); i++)
        if (pthread_create(&one, &small, wait_for_ever, 0) != 0) return perror("pthread_create"), 1;
    double end = now() + atof(argv[2]) * 1e6, last = now(), longest = 0, sum = 0;
    long gaps = 0;
    while (last < end) {
        double t = now(), gap = t - last;
        last = t;
        if (gap < 20) continue;
        gaps++;
        if (gap > longest) longest = gap;
        if (gap > 50) sum += gap;
    }
    printf("%ld %.0f %.0f\n", gaps, longest, sum);
    return 0;
}

// How long a process's first thread stands in a ptrace-stop, by looking at it all the time from another CPU.
//
// stood PID SECONDS     prints: all of its stops together, the longest, how far two looks are apart, in microseconds
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

// proc(5): the state follows the name, which ends with the last bracket.
static int stands(int fd) {
    char text[512];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    if (got <= 0) exit(1);
    text[got] = 0;
    const char *end = strrchr(text, ')');
    return end && (end[2] == 't' || end[2] == 'T');
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", atoi(argv[1]), atoi(argv[1]));
    int fd = open(path, O_RDONLY);
    if (fd < 0) return perror(path), 1;
    double begin = now(), end = begin + atof(argv[2]) * 1e6, before = begin, since = 0, all = 0, longest = 0;
    long looks = 0;
    for (double at = begin; at < end; looks++) {
        int stood = stands(fd);
        at = now();
        // From the look before the first that saw it, so that it is not shorter than it was.
        if (stood && since == 0) since = before;
        if (!stood && since > 0) {
            double took = at - since;
            all += took;
            if (took > longest) longest = took;
            since = 0;
        }
        before = at;
    }
    printf("%.0f %.0f %.1f\n", all, longest, (end - begin) / looks);
}

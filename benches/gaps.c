// A closed-loop HTTP/1.1 client on one kept-alive connection: how long the server stood still at the longest.
//
// gaps PORT SECONDS     prints: median and 99th percentile of the round trips, and the three longest, in microseconds
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int order(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(0x7f000001)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) return perror("connect"), 1;
    const char *request = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
    size_t room = 1 << 20, count = 0;
    double *took = malloc(room * sizeof *took), start = now(), end = start + atof(argv[2]) * 1e6;
    char answer[65536];
    while (now() < end && count < room) {
        double begin = now();
        if (write(fd, request, strlen(request)) < 0) return perror("write"), 1;
        if (read(fd, answer, sizeof answer) <= 0) return perror("read"), 1;
        took[count++] = now() - begin;
        usleep(200);
    }
    qsort(took, count, sizeof *took, order);
    printf("%.0f %.0f %.0f %.0f %.0f\n", took[count / 2], took[count * 99 / 100], took[count - 1], took[count - 2],
           took[count - 3]);
}

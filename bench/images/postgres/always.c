/* Preloaded while a database is initialised: the same time, and the same random bytes, always. */
#include <string.h>
#include <sys/time.h>
#include <time.h>

static const time_t now = 1735689600;

time_t time(time_t *result) {
    if (result) *result = now;
    return now;
}

int gettimeofday(struct timeval *result, void *zone) {
    (void)zone;
    result->tv_sec = now;
    result->tv_usec = 0;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *result) {
    (void)clock;
    result->tv_sec = now;
    result->tv_nsec = 0;
    return 0;
}

int RAND_status(void) { return 1; }

int RAND_bytes(unsigned char *bytes, int count) {
    memset(bytes, 42, count);
    return 1;
}

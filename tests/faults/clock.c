/*
 * A clock for one process: preloaded, it lets the wall clock stand at the second that the file $CLOCK holds, as eight
 * octets; 0 is the real time. The other clocks are as they are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *now;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CLOCK");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapped = mmap(NULL, sizeof *now, PROT_READ, MAP_SHARED, file, 0);

	if (mapped != MAP_FAILED)
		now = mapped;
	close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	long failed = syscall(SYS_clock_gettime, clock, time);

	if (!failed && now && *now && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		time->tv_sec = *now;
		time->tv_nsec = 0;
	}
	return failed ? -1 : 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec found;
	int failed = clock_gettime(CLOCK_REALTIME, &found);

	(void)zone;
	time->tv_sec = found.tv_sec;
	time->tv_usec = found.tv_nsec / 1000;
	return failed;
}

time_t time(time_t *where)
{
	struct timespec found;

	clock_gettime(CLOCK_REALTIME, &found);
	if (where)
		*where = found.tv_sec;
	return found.tv_sec;
}

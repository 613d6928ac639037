/*
 * Random reads of 4 KiB of one file, one after another, at aligned offsets that are the same in every run.
 *
 *     random-reads direct FILE READS       past the page cache (O_DIRECT)
 *     random-reads buffered FILE READS     through it, without read-ahead
 *
 * Prints the nanoseconds that one read takes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define SEED 88172645463325252ull

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int fail(const char *what) {
	perror(what);
	return 1;
}

int main(int argc, char **argv) {
	if (argc != 4)
		return 2;
	int direct = !strcmp(argv[1], "direct");
	int fd = open(argv[2], O_RDONLY | (direct ? O_DIRECT : 0));
	if (fd < 0)
		return fail(argv[2]);
	if (!direct && posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM))
		return fail("fadvise");
	uint64_t blocks = lseek(fd, 0, SEEK_END) / BLOCK, state = SEED;
	long reads = strtol(argv[3], 0, 10);
	void *block;
	if (blocks == 0 || reads <= 0 || posix_memalign(&block, BLOCK, BLOCK))
		return 2;
	double start = now();
	for (long i = 0; i < reads; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		if (pread(fd, block, BLOCK, state % blocks * BLOCK) != BLOCK)
			return fail("read");
	}
	printf("%.1f\n", (now() - start) / reads);
	return 0;
}

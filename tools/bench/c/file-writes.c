/*
 * Writing and reading one file.
 *
 *     file-writes fill FILE BYTES          makes it, a mebibyte at a time, and has it brought to stable storage
 *     file-writes scan FILE BYTES          reads it, a mebibyte at a time
 *     file-writes random FILE WRITES       4 KiB at random places of it, and fsync(2) at the end
 *     file-writes direct FILE WRITES       4 KiB at random places of it, past the page cache (O_DIRECT)
 *     file-writes synced FILE WRITES       makes it of pieces of 4 KiB, each with an fsync(2)
 *
 * Prints the nanoseconds that all bytes take (fill, scan), or one write. Data are noise, all pieces different.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE (1 << 20)
#define BLOCK 4096
#define SEED 88172645463325252ull

static uint64_t state = SEED;

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint64_t noise(void) {
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static int fail(const char *what) {
	perror(what);
	return 1;
}

int main(int argc, char **argv) {
	if (argc != 4)
		return 2;
	const char *how = argv[1];
	long amount = strtol(argv[3], 0, 10);
	int makes = !strcmp(how, "fill") || !strcmp(how, "synced"), is_whole = !strcmp(how, "fill") || !strcmp(how, "scan");
	int flags = !strcmp(how, "scan") ? O_RDONLY : O_WRONLY;
	if (makes)
		flags |= O_CREAT | O_EXCL;
	if (!strcmp(how, "direct"))
		flags |= O_DIRECT;
	int fd = open(argv[2], flags, 0644);
	if (fd < 0)
		return fail(argv[2]);
	uint64_t blocks = lseek(fd, 0, SEEK_END) / BLOCK, *piece;
	if (amount <= 0 || (!makes && blocks == 0) || posix_memalign((void **)&piece, BLOCK, PIECE))
		return 2;
	for (size_t i = 0; i < PIECE / sizeof *piece; i++)
		piece[i] = noise();
	size_t size = is_whole ? PIECE : BLOCK;
	long times = is_whole ? amount / PIECE : amount;
	double start = now();
	for (long i = 0; i < times; i++) {
		*piece = noise();
		off_t at = makes || is_whole ? (off_t)(i * size) : (off_t)(noise() % blocks * BLOCK);
		ssize_t done = flags == O_RDONLY ? pread(fd, piece, size, at) : pwrite(fd, piece, size, at);
		if (done != (ssize_t)size)
			return fail(how);
		if (!strcmp(how, "synced") && fsync(fd))
			return fail("fsync");
	}
	if (flags != O_RDONLY && fsync(fd))
		return fail("fsync");
	printf("%.1f\n", (now() - start) / (is_whole ? 1 : times));
	return 0;
}

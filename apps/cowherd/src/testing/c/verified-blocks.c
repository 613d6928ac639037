/*
 * verified-blocks work FILE TABLE SEED ROUNDS PROCESSES
 * verified-blocks check FILE TABLE
 *
 * Several processes write to one file, over each other. Each block says of itself which one it is, its generation and who wrote it, and
 * fills up with what follows from these; the generations stand in a table that the processes have in common. A process locks a row of
 * blocks, looks whether they are the last that anybody has written, writes new ones, and looks again; each of it in one of several ways:
 * read(2) and write(2), vectors of buffers, mapped memory, past the cache. In between it syncs, drops what is cached, punches holes, reads
 * where others write. In the end the table lies in TABLE, for `check` when the volume has been mounted again. At the first block that is
 * wrong the process says which, and the exit status is 1.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK_BYTES 4096
#define BLOCKS 2048
#define ROW_MAX 24
#define WORDS (BLOCK_BYTES / 8)
#define FILE_BYTES ((size_t)BLOCKS * BLOCK_BYTES)

/* Of the last block that was written in a place; generation 0 is a hole. */
struct last {
	uint64_t generation, writer;
};

static uint64_t buffer[ROW_MAX * WORDS] __attribute__((aligned(BLOCK_BYTES)));
static struct last *table;
static uint8_t *map;
static int fd, direct;
static uint64_t state, self;
static const char *path;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t below(size_t bound)
{
	return next() % bound;
}

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "process %llu: %s: %s\n", (unsigned long long)self, what, strerror(errno));
	exit(1);
}

static void fill(uint64_t *words, size_t block, struct last last)
{
	uint64_t word = (block << 32 ^ last.generation * 0x9e3779b97f4a7c15) + last.writer;
	int i;

	words[0] = block;
	words[1] = last.generation;
	words[2] = last.writer;
	for (i = 3; i < WORDS; i++) {
		word = word * 6364136223846793005 + 1442695040888963407;
		words[i] = last.generation % 4 ? word : word >> 60; /* some compress well */
	}
}

static void check(const uint64_t *words, size_t block, const char *how)
{
	uint64_t wanted[WORDS];
	struct last last = table[block];
	int i;

	if (last.generation)
		fill(wanted, block, last);
	else
		memset(wanted, 0, sizeof wanted);
	if (memcmp(words, wanted, sizeof wanted) == 0)
		return;
	for (i = 0; words[i] == wanted[i]; i++)
		;
	fprintf(stderr, "process %llu, %s: block %zu of generation %llu of %llu, word %d is %llx, not %llx\n", (unsigned long long)self, how,
		block, (unsigned long long)last.generation, (unsigned long long)last.writer, i, (unsigned long long)words[i],
		(unsigned long long)wanted[i]);
	fprintf(stderr, "it says: block %llu, generation %llu of %llu\n", (unsigned long long)words[0], (unsigned long long)words[1],
		(unsigned long long)words[2]);
	exit(1);
}

/* Each buffer of its own for a block. */
static void vectors_of(struct iovec *vectors, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		vectors[i] = (struct iovec){ buffer + i * WORDS, BLOCK_BYTES };
}

static void read_row(size_t first, size_t count)
{
	static const char *ways[] = { "read", "read by vectors", "mapped memory", "read past the cache" };
	off_t at = (off_t)(first * BLOCK_BYTES);
	ssize_t bytes = (ssize_t)(count * BLOCK_BYTES);
	size_t way = below(4), i;
	struct iovec vectors[ROW_MAX];

	vectors_of(vectors, count);
	switch (way) {
	case 0: must(pread(fd, buffer, (size_t)bytes, at) == bytes, ways[way]); break;
	case 1: must(preadv(fd, vectors, (int)count, at) == bytes, ways[way]); break;
	case 2: memcpy(buffer, map + at, (size_t)bytes); break;
	default: must(pread(direct, buffer, (size_t)bytes, at) == bytes, ways[way]);
	}
	for (i = 0; i < count; i++)
		check(buffer + i * WORDS, first + i, ways[way]);
}

static void write_row(size_t first, size_t count)
{
	off_t at = (off_t)(first * BLOCK_BYTES);
	ssize_t bytes = (ssize_t)(count * BLOCK_BYTES);
	struct iovec vectors[ROW_MAX];
	size_t i;

	if (below(16) == 0) {
		must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, bytes) == 0, "punch");
		for (i = 0; i < count; i++)
			table[first + i] = (struct last){ 0, 0 };
		return;
	}
	for (i = 0; i < count; i++) {
		table[first + i] = (struct last){ table[first + i].generation + 1, self };
		fill(buffer + i * WORDS, first + i, table[first + i]);
	}
	vectors_of(vectors, count);
	switch (below(4)) {
	case 0: must(pwrite(fd, buffer, (size_t)bytes, at) == bytes, "write"); break;
	case 1: must(pwritev(fd, vectors, (int)count, at) == bytes, "write by vectors"); break;
	case 2:
		memcpy(map + at, buffer, (size_t)bytes);
		must(below(4) || msync(map + at, (size_t)bytes, MS_SYNC) == 0, "msync");
		break;
	default: must(pwrite(direct, buffer, (size_t)bytes, at) == bytes, "write past the cache");
	}
}

static void lock(size_t first, size_t count, short type)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET };

	range.l_start = (off_t)(first * BLOCK_BYTES);
	range.l_len = (off_t)(count * BLOCK_BYTES);
	must(fcntl(fd, F_OFD_SETLKW, &range) == 0, "lock");
}

static void beside(void)
{
	size_t at = below(FILE_BYTES - sizeof buffer);

	switch (below(6)) {
	case 0: must((below(2) ? fsync(fd) : fdatasync(fd)) == 0, "sync"); break;
	case 1: posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); break;
	case 2: must(pread(fd, buffer, sizeof buffer, (off_t)at) == sizeof buffer, "read what others write"); break;
	case 3: madvise(map, FILE_BYTES, MADV_DONTNEED); break;
	case 4: must(sync_file_range(fd, (off_t)at, sizeof buffer, SYNC_FILE_RANGE_WRITE) == 0, "begin to write back"); break;
	default: must(lseek(fd, (off_t)at, SEEK_HOLE) >= (off_t)at, "seek");
	}
}

static void open_all(int flags)
{
	fd = open(path, flags, 0644);
	direct = open(path, (flags & O_ACCMODE) | O_DIRECT);
	must(fd >= 0 && direct >= 0, "open");
	must((flags & O_ACCMODE) == O_RDONLY || ftruncate(fd, FILE_BYTES) == 0, "ftruncate");
	map = mmap(NULL, FILE_BYTES, PROT_READ | ((flags & O_ACCMODE) == O_RDWR ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	must(map != MAP_FAILED, "mmap");
}

static void work(uint64_t seed, long rounds)
{
	long i;

	state = (seed * 1000003 + self) * 0x9e3779b97f4a7c15 | 1;
	open_all(O_RDWR | O_CREAT);
	for (i = 0; i < rounds; i++) {
		size_t first = below(BLOCKS), count = 1 + below(below(3) ? 4 : ROW_MAX);

		if (first + count > BLOCKS)
			count = BLOCKS - first;
		lock(first, count, F_WRLCK);
		read_row(first, count);
		write_row(first, count);
		if (below(2))
			read_row(first, count);
		lock(first, count, F_UNLCK);
		if (below(8) == 0)
			beside();
	}
	must(fsync(fd) == 0, "the last sync");
	exit(0);
}

static int check_all(void)
{
	size_t block;

	open_all(O_RDONLY);
	for (block = 0; block < BLOCKS; block++)
		read_row(block, 1);
	return 0;
}

int main(int argc, char **argv)
{
	int works = argc == 7 && strcmp(argv[1], "work") == 0, processes = works ? atoi(argv[6]) : 0, status, bad = 0, kept;

	if (!works && !(argc == 4 && strcmp(argv[1], "check") == 0))
		return 2;
	path = argv[2];
	kept = open(argv[3], O_RDWR | O_CREAT, 0644);
	must(kept >= 0 && ftruncate(kept, sizeof *table * BLOCKS) == 0, "the table");
	table = mmap(NULL, sizeof *table * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, kept, 0);
	must(table != MAP_FAILED, "the table");
	if (!works)
		return state = 1, check_all();
	for (self = 1; self <= (uint64_t)processes; self++) {
		pid_t child = fork();

		must(child >= 0, "fork");
		if (child == 0)
			work(strtoull(argv[4], NULL, 10), atol(argv[5]));
	}
	while (wait(&status) > 0)
		bad |= status;
	return bad != 0;
}

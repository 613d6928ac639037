/*
 * synced-files write DIRECTORY LOG     works until it is killed, or the filesystem is, or that can't write any more
 * synced-files check DIRECTORY LOG     says what is missing of what the log holds; exit status 1 if something is
 *
 * Files of all sizes are made, synced, and then told of in a line of the log, which lies elsewhere: number and seed. A file is
 * written under another name and renamed over `current` in between, a removed file is open all the while, and names come and go
 * unsynced. What the log tells of has to be there after a crash, whole, and `current` is one of its generations, whole, no older than
 * the last that was told of.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_MAX_BYTES (300 << 10)
#define ROUNDS_MAX 1000000

static uint8_t bytes[SIZE_MAX_BYTES + 8], seen[SIZE_MAX_BYTES + 8];

/* Fills `bytes` with what file `number` holds; gives its length. The number stands first. */
static size_t content(uint64_t number)
{
	uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
	size_t length, i;

	state ^= state >> 29;
	length = 8 + (state >> 8) % (number % 5 ? 9000 : SIZE_MAX_BYTES - 8);
	for (i = 0; i < length; i++) {
		state = state * 6364136223846793005 + 1442695040888963407;
		bytes[i] = (uint8_t)(state >> 56);
	}
	memcpy(bytes, &number, 8);
	return length;
}

static int ended(const char *what)
{
	if (errno == ENOTCONN || errno == ECONNABORTED || errno == EIO || errno == EROFS || errno == ENOSPC)
		exit(0); /* the filesystem was killed, or its device has failed */
	perror(what);
	exit(1);
}

/* Writes a file in pieces and syncs it. */
static void put(int directory, const char *name, uint64_t number)
{
	size_t length = content(number), at = 0;
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		ended(name);
	while (at < length) {
		size_t piece = length - at < 50000 ? length - at : 50000;
		ssize_t written = write(fd, bytes + at, piece);

		if (written < 0)
			ended("write");
		at += (size_t)written;
	}
	if ((number % 2 ? fsync(fd) : fdatasync(fd)) < 0)
		ended("fsync");
	close(fd);
}

static void work(int directory, FILE *log)
{
	char name[64];
	uint64_t i;
	int gone = openat(directory, "gone", O_RDWR | O_CREAT, 0600);

	if (gone < 0 || write(gone, bytes, sizeof bytes) < 0 || unlinkat(directory, "gone", 0) < 0)
		ended("gone");
	for (i = 1; i < ROUNDS_MAX; i++) {
		if (i % 3 == 0) {
			put(directory, "next", i);
			if (renameat(directory, "next", directory, "current") < 0)
				ended("rename");
		} else {
			snprintf(name, sizeof name, "file-%llu", (unsigned long long)i);
			put(directory, name, i);
		}
		snprintf(name, sizeof name, "unsynced-%llu", (unsigned long long)i);
		if (mkdirat(directory, name, 0755) < 0 || (i % 2 && unlinkat(directory, name, AT_REMOVEDIR) < 0))
			ended(name);
		if (pwrite(gone, &i, sizeof i, (off_t)(i * 4096)) < 0)
			ended("gone");
		if (fsync(directory) < 0)
			ended("fsync of the directory");
		fprintf(log, "%llu\n", (unsigned long long)i);
		fflush(log);
	}
}

static ssize_t get(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, seen, sizeof seen);

	if (fd >= 0)
		close(fd);
	return length;
}

static int check(int directory, FILE *log)
{
	uint64_t i, current = 0, generation;
	unsigned long long number;
	char name[64];
	int missing = 0;
	ssize_t length;

	while (fscanf(log, "%llu", &number) == 1) {
		i = number;
		if (i % 3 == 0) {
			current = i;
			continue;
		}
		snprintf(name, sizeof name, "file-%llu", number);
		length = get(directory, name);
		if (length != (ssize_t)content(i) || memcmp(seen, bytes, (size_t)length) != 0) {
			printf("%s isn't what was synced: %zd bytes\n", name, length);
			missing = 1;
		}
	}
	length = get(directory, "current");
	if (length >= 8) {
		memcpy(&generation, seen, 8);
		if (generation < current || generation % 3 || length != (ssize_t)content(generation) ||
		    memcmp(seen, bytes, (size_t)length) != 0) {
			printf("current is no whole generation: %llu of %llu, %zd bytes\n", (unsigned long long)generation,
			       (unsigned long long)current, length);
			missing = 1;
		}
	} else if (current != 0) {
		printf("current is gone: %zd bytes\n", length);
		missing = 1;
	}
	if (get(directory, "gone") >= 0) {
		printf("the removed file is back\n");
		missing = 1;
	}
	return missing;
}

int main(int argc, char **argv)
{
	int writes = argc == 4 && strcmp(argv[1], "write") == 0, directory;
	FILE *log;

	if (argc != 4)
		return 2;
	directory = open(argv[2], O_RDONLY | O_DIRECTORY);
	log = fopen(argv[3], writes ? "w" : "r");
	if (directory < 0 || !log)
		return 2;
	if (!writes)
		return check(directory, log);
	work(directory, log);
	return 0;
}

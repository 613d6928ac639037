/*
 * synced-rounds write DIRECTORY LOG WORKERS     works until it is killed, or the filesystem is
 * synced-rounds check DIRECTORY LOG WORKERS     says what is wrong with what the workers left; exit status 1 if something is
 *
 * Each worker has a folder and a log, LOG-0 and so on, which lies elsewhere. In each round it brings changes of every kind to stable storage, each
 * in another way, and then writes the round's number to the log: a record appended (fdatasync), a slot overwritten in space that was set aside
 * (O_DSYNC), a page of a mapped file (msync), a size (fsync), an attribute, a file that is closed and renamed over another, and names that come and
 * go (fsync of the folder). After a crash everything of the rounds in the log is there, and of the next round, which was under way, a
 * beginning; of no other round is there anything. The renamed file is whole in any case.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE 4096
#define SLOTS 64
#define PAGES 16
#define RECORD_MAX 9000
#define ROUNDS_MAX 1000000

static uint8_t bytes[RECORD_MAX], seen[RECORD_MAX];
static int folder, wrong;
static const char *who;

/* Fills `bytes` with what round `round` writes to place `kind`. The round stands first. */
static void fill(uint64_t round, uint64_t kind, size_t length)
{
	uint64_t state = (round * 8 + kind) * 0x9e3779b97f4a7c15 + 1;
	size_t i;

	for (i = 0; i < length; i++) {
		state = state * 6364136223846793005 + 1442695040888963407;
		bytes[i] = (uint8_t)(state >> 56);
	}
	memcpy(bytes, &round, sizeof round);
}

static size_t record_length(uint64_t round)
{
	return 8 + round * 701 % (RECORD_MAX - 8);
}

static off_t cut_size(uint64_t round)
{
	return (off_t)(round * 7919 % 100000);
}

static const char *name_of(const char *prefix, uint64_t round)
{
	static char names[4][64];
	static int next;
	char *name = names[next = (next + 1) % 4];

	snprintf(name, sizeof names[0], "%s-%llu", prefix, (unsigned long long)round);
	return name;
}

static void ended(const char *what)
{
	if (errno == ENOTCONN || errno == ECONNABORTED || errno == EIO)
		_exit(0); /* the filesystem was killed */
	perror(what);
	_exit(1);
}

static int need(int result, const char *what)
{
	if (result < 0)
		ended(what);
	return result;
}

static int open_file(const char *name, int flags)
{
	return need(openat(folder, name, O_RDWR | O_CREAT | flags, 0644), name);
}

static void put(int fd, size_t length, off_t at, const char *what)
{
	ssize_t written = pwrite(fd, bytes, length, at);

	need(written < 0 ? -1 : 0, what);
	if ((size_t)written != length) {
		errno = EPROTO;
		ended(what);
	}
}

/* Puts a file in place of another, as editors do that don't sync. */
static void replace(uint64_t round)
{
	int next = open_file("next", O_TRUNC);
	size_t length = record_length(round);

	fill(round, 3, length);
	put(next, length, 0, "next");
	need(close(next), "close");
	need(renameat(folder, "next", folder, "current"), "renameat");
}

/* A SIGBUS means that the mapped file has gone with its filesystem. */
static void work(FILE *log)
{
	int records = open_file("records", 0), slots = open_file("slots", O_DSYNC), pages = open_file("pages", 0);
	int cut = open_file("cut", 0);
	off_t end = 0;
	uint8_t *mapped;
	uint64_t round;

	if ((errno = posix_fallocate(slots, 0, SLOTS * PAGE)) != 0)
		ended("posix_fallocate");
	need(ftruncate(pages, PAGES * PAGE), "ftruncate");
	mapped = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, pages, 0);
	if (mapped == MAP_FAILED)
		ended("mmap");
	for (round = 1; round < ROUNDS_MAX; round++) {
		size_t length = record_length(round);
		uint8_t *page = mapped + round % PAGES * PAGE;

		fill(round, 0, length);
		put(records, length, end, "records");
		end += (off_t)length;
		need(fdatasync(records), "fdatasync");
		fill(round, 1, PAGE);
		put(slots, PAGE, (off_t)(round % SLOTS * PAGE), "slots");
		fill(round, 2, PAGE);
		memcpy(page, bytes, PAGE);
		need(msync(page, PAGE, MS_SYNC), "msync");
		need(ftruncate(cut, cut_size(round)), "ftruncate");
		need(fsync(cut), "fsync");
		need(fsetxattr(records, "user.round", &round, sizeof round, 0), "fsetxattr");
		replace(round);
		close(open_file(name_of("name", round), O_EXCL));
		need(linkat(folder, name_of("name", round), folder, name_of("link", round), 0), "linkat");
		if (round > 1) {
			need(unlinkat(folder, name_of("name", round - 1), 0), "unlinkat");
			need(renameat(folder, name_of("link", round - 1), folder, "moved"), "renameat");
		}
		need(fsync(folder), "fsync of the folder");
		fprintf(log, "%llu\n", (unsigned long long)round);
		fflush(log);
	}
}

static void complain(const char *what, uint64_t last, long long found)
{
	printf("%s: %s after round %llu: %lld\n", who, what, (unsigned long long)last, found);
	wrong = 1;
}

static size_t get(const char *name, size_t length, off_t at)
{
	int fd = openat(folder, name, O_RDONLY);
	ssize_t got = fd < 0 ? 0 : pread(fd, seen, length, at);

	if (fd >= 0)
		close(fd);
	return got < 0 ? 0 : (size_t)got;
}

static off_t size_of(const char *name)
{
	struct stat status;

	return fstatat(folder, name, &status, 0) < 0 ? -1 : status.st_size;
}

static void check_records(uint64_t last)
{
	uint64_t round, length, left;
	off_t at = 0, size = size_of("records");

	for (round = 1; round <= last; round++, at += (off_t)length) {
		length = record_length(round);
		fill(round, 0, length);
		if (get("records", length, at) != length || memcmp(seen, bytes, length) != 0)
			return complain("a record isn't what was synced", last, (long long)round);
	}
	left = size > at ? (uint64_t)(size - at) : 0;
	length = record_length(last + 1);
	fill(last + 1, 0, length);
	if (left > length || get("records", left, at) != left || memcmp(seen, bytes, left) != 0)
		complain("there is more than the beginning of the next record", last, (long long)left);
}

/* Each of `count` pages has what the last round that wrote it left. The one of the round under way may be torn if `tears`. */
static void check_pages(const char *name, uint64_t kind, uint64_t count, int tears, uint64_t last)
{
	uint64_t place, round, found;

	for (place = 0; place < count; place++) {
		if (last < place)
			continue;
		round = last - (last - place) % count;
		if (round == 0 || (tears && (last + 1) % count == place))
			continue;
		if (get(name, PAGE, (off_t)(place * PAGE)) != PAGE)
			return complain(name, last, -1);
		memcpy(&found, seen, sizeof found);
		if (found != round && !(found == last + 1 && found % count == place))
			return complain(name, last, (long long)found);
		fill(found, kind, PAGE);
		if (memcmp(seen, bytes, PAGE) != 0)
			return complain(name, last, (long long)place);
	}
}

static void check_replaced(uint64_t last)
{
	uint64_t round = 0;
	size_t length = get("current", RECORD_MAX, 0);

	if (length == 0 && last == 0)
		return;
	if (length >= sizeof round)
		memcpy(&round, seen, sizeof round);
	fill(round, 3, record_length(round));
	if ((round != last && round != last + 1) || length != record_length(round) || memcmp(seen, bytes, length) != 0)
		complain("the file that was renamed over another", last, (long long)round);
}

/* Names are made and removed one after another: what is there is what was there after one of the steps. */
static void check_names(uint64_t last)
{
	int next = size_of(name_of("name", last + 1)) == 0, next_link = size_of(name_of("link", last + 1)) == 0;
	int name = size_of(name_of("name", last)) == 0, link = size_of(name_of("link", last)) == 0;
	int state = next << 3 | next_link << 2 | name << 1 | link;

	/* 3: none of the next round; 11: its name; 15: its link too; 13, 12: one after the other of the last round went */
	if (last > 0 && state != 3 && state != 11 && state != 15 && state != 13 && state != 12)
		complain("names", last, state);
	if (last > 1 && (size_of(name_of("name", last - 1)) >= 0 || size_of(name_of("link", last - 1)) >= 0))
		complain("a name that was removed is back", last, 0);
	if (last > 1 && size_of("moved") != 0)
		complain("a name that was moved is gone", last, 0);
}

static void check(FILE *log)
{
	unsigned long long last = 0;
	uint64_t round = 0;
	char *path = NULL;
	off_t size;

	while (fscanf(log, "%llu", &last) == 1)
		;
	check_records(last);
	check_pages("slots", 1, SLOTS, 0, last);
	check_pages("pages", 2, PAGES, 1, last);
	size = size_of("cut");
	if (last > 0 && size != cut_size(last) && size != cut_size(last + 1))
		complain("the size of the file that is cut", last, (long long)size);
	if (asprintf(&path, "/proc/self/fd/%d/records", folder) < 0)
		exit(2);
	if (last > 0 && getxattr(path, "user.round", &round, sizeof round) != sizeof round)
		complain("the attribute is gone", last, errno);
	else if (round != last && round != last + 1)
		complain("the attribute", last, (long long)round);
	check_replaced(last);
	check_names(last);
	free(path);
}

int main(int argc, char **argv)
{
	int writes = argc == 5 && strcmp(argv[1], "write") == 0, workers, i, status, failed = 0;
	char path[4096];

	if (argc != 5)
		return 2;
	workers = atoi(argv[4]);
	for (i = 0; i < workers; i++) {
		if (fork() != 0)
			continue;
		snprintf(path, sizeof path, "%s-%d", argv[3], i);
		FILE *log = fopen(path, writes ? "w" : "r");
		snprintf(path, sizeof path, "%s/%d", argv[2], i);
		if (writes && mkdir(path, 0755) < 0)
			ended(path);
		who = path;
		folder = open(path, O_RDONLY | O_DIRECTORY);
		if (folder < 0 || !log)
			_exit(folder < 0 && errno == ENOTCONN ? 0 : 2);
		if (writes)
			work(log);
		else
			check(log);
		fflush(stdout);
		_exit(wrong);
	}
	for (i = 0; i < workers; i++) {
		if (wait(&status) < 0)
			return 2;
		if (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : !(writes && WTERMSIG(status) == SIGBUS))
			failed = 1;
	}
	return failed;
}

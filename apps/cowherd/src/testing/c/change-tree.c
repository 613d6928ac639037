/*
 * change-tree DIRECTORY SEED
 *
 * Changes what is in a tree, whatever that is: of its files some are written to in the middle, by write(2), mapped memory or past the
 * cache, others appended to, cut, punched, made longer, renamed, exchanged, replaced, copied, linked, removed, given attributes and
 * access lists; links and nodes are replaced and removed; directories get new files of all sizes and all kinds, some are renamed, some
 * removed with all that they hold. One after another gets the next of these, so that each comes to pass in a small tree too. Some of
 * it is synced. In the end it prints how often each was done, and how often it was told that a tree can only be read ("read only"), that
 * there is no room ("full") or that a file can't go elsewhere ("apart"). Any other error ends it, with exit status 1.
 *
 * Linked statically, it runs in a guest that has nothing else.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BYTES_MAX (300 << 10)
#define NAMES_MAX 20000
#define KINDS_MAX 64
/* Directories below this depth get something new only now and then. */
#define DEPTH_FILLED 2
#define REMOVED_EVERY 9
#define RENAMED_EVERY 5
/* With less, a page more may find none. */
#define ROOM_LEAST (4 << 20)

static uint8_t bytes[BYTES_MAX] __attribute__((aligned(4096)));
static uint64_t state;
static unsigned long long seed;
static unsigned turn, serial;
static int top, moved = -1;
static const char *kinds[KINDS_MAX];
static int counts[KINDS_MAX];

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t below(size_t bound)
{
	return bound ? next() % bound : 0;
}

/* Random bytes, or such as compress well. */
static const uint8_t *some(size_t length)
{
	uint64_t word = next();
	size_t i;

	for (i = 0; i < length; i++) {
		if (i % 8 == 0 && (word & 3))
			word = next() | 3;
		bytes[i] = (uint8_t)(word >> (i % 8 * 8));
	}
	return bytes;
}

static void count(const char *kind)
{
	int i;

	for (i = 0; kinds[i] && strcmp(kinds[i], kind) != 0; i++)
		;
	kinds[i] = kind;
	counts[i]++;
}

/* Whether a call did what it was to do; if not, it was refused for a reason that there may be. */
static int did(const char *kind, long result)
{
	if (result >= 0) {
		count(kind);
		return 1;
	}
	switch (errno) {
	case EROFS: count("read only"); return 0;
	case ENOSPC: count("full"); return 0;
	case EXDEV: count("apart"); return 0;
	}
	perror(kind);
	exit(1);
}

static void sure(long result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static const char *new_name(const char *what)
{
	static char names[4][64];
	char *name = names[serial % 4];

	snprintf(name, sizeof names[0], "%s-%llu-%u", what, seed, serial++);
	return name;
}

/* Written data may find no room as late as here. */
static void done(int fd, int sync)
{
	if (sync && fsync(fd) < 0)
		did("sync", -1);
	if (close(fd) < 0)
		did("close", -1);
}

static int make_file(int dir, const char *name, size_t length)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600 | (int)below(0100));

	if (!did("make", fd))
		return 0;
	did("fill", pwrite(fd, some(length), length, 0));
	done(fd, below(3) == 0);
	return 1;
}

static sigjmp_buf bus_error;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(bus_error, 1);
}

/* A page of mapped memory that finds no room is a signal: it must be for want of room. */
static void no_page(int fd)
{
	struct statvfs room;

	sure(fstatvfs(fd, &room), "fstatvfs");
	if (room.f_bavail * room.f_bsize > ROOM_LEAST) {
		fprintf(stderr, "bus error with %llu bytes of room\n", (unsigned long long)room.f_bavail * room.f_bsize);
		exit(1);
	}
	count("full");
}

static void write_mapped(int fd, size_t size)
{
	size_t at = below(size), length = 1 + below(size - at < 9000 ? size - at : 9000), page = at & ~(size_t)4095;
	uint8_t *map = mmap(NULL, at + length - page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page);

	sure(map == MAP_FAILED ? -1 : 0, "mmap");
	signal(SIGBUS, on_bus_error);
	if (sigsetjmp(bus_error, 1)) {
		no_page(fd);
		munmap(map, at + length - page);
		return;
	}
	memcpy(map + at - page, some(length), length);
	if (msync(map, at + length - page, MS_SYNC) == 0)
		count("map");
	else
		did("map", -1);
	munmap(map, at + length - page);
}

static void write_directly(int dir, const char *name, size_t size)
{
	int fd = openat(dir, name, O_WRONLY | O_DIRECT);
	size_t at = below(size) & ~(size_t)4095, length = (1 + below(8)) << 12;

	if (!did("open directly", fd))
		return;
	did("write directly", pwrite(fd, some(length), length, (off_t)at));
	done(fd, 0);
}

static void copy(int dir, int fd, size_t size)
{
	int to = openat(dir, new_name("copy"), O_WRONLY | O_CREAT | O_EXCL, 0644);
	loff_t from = 0, at = (loff_t)(below(2) << 12);

	if (!did("copy", to))
		return;
	while (from < (loff_t)size && did("copy", copy_file_range(fd, &from, to, &at, size - (size_t)from, 0)))
		;
	done(to, 1);
}

/* An entry of a list as it lies in an attribute: tag, permissions, id. */
struct entry {
	uint16_t tag, permissions;
	uint32_t id;
};

static void give_list(int fd)
{
	struct {
		uint32_t version;
		struct entry entries[5];
	} list = { 2, { { 1, 6, -1 }, { 2, 4, 1000 + (uint32_t)below(9) }, { 4, 4, -1 }, { 0x10, 6, -1 }, { 0x20, 0, -1 } } };

	did("access list", fsetxattr(fd, "system.posix_acl_access", &list, sizeof list, 0));
}

static void give_attribute(int fd, const char *name)
{
	size_t length = 1 + below(below(4) ? 60 : 900);

	did("attribute", fsetxattr(fd, name, some(length), length, 0));
}

static void set_what_stat_shows(int dir, const char *name)
{
	struct timespec times[2] = { { 1000000 + (time_t)below(1 << 30), (long)below(1000000000) },
				     { 1000000 + (time_t)below(1 << 30), (long)below(1000000000) } };

	if (!did("owner", fchownat(dir, name, (uid_t)below(3000), (gid_t)below(3000), AT_SYMLINK_NOFOLLOW)))
		return;
	did("times", utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW));
}

/* To the directory for what was moved, which is made for the first. */
static void move(int dir, const char *name)
{
	if (moved < 0) {
		const char *there = new_name("moved");

		if (!did("directory", mkdirat(top, there, 0755)))
			return;
		moved = openat(top, there, O_RDONLY | O_DIRECTORY);
		sure(moved, there);
	}
	did("move", renameat(dir, name, moved, new_name("from")));
}

static void remove_opened(int dir, const char *name, int fd)
{
	if (!did("remove", unlinkat(dir, name, 0)))
		return;
	if (pwrite(fd, some(5000), 5000, 0) < 0)
		did("write", -1);
}

/* Gives a file the next turn; `size`: in bytes. */
static void change_file(int dir, const char *name, size_t size)
{
	const char *fresh;
	size_t length = 1 + below(below(3) ? 5000 : 90000);
	int fd = openat(dir, name, O_RDWR | O_NOFOLLOW);

	if (!did("open", fd))
		return;
	switch (turn++ % 24) {
	case 0: did("overwrite", pwrite(fd, some(length), length, (off_t)below(size))); break;
	case 1: did("append", pwrite(fd, some(length), length, (off_t)size)); break;
	case 2: did("cut", ftruncate(fd, (off_t)below(size))); break;
	case 3: did("lengthen", ftruncate(fd, (off_t)(size + length))); break;
	case 4: did("rename", renameat(dir, name, dir, new_name("renamed"))); break;
	case 5: did("remove", unlinkat(dir, name, 0)); break;
	case 6: give_attribute(fd, "user.changed"); break;
	case 7: did("link", linkat(dir, name, dir, new_name("link"), 0)); break;
	case 8: copy(dir, fd, size); break;
	case 9: did("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)below(size), (off_t)length)); break;
	case 10:
		if (size)
			write_mapped(fd, size);
		break;
	case 11: set_what_stat_shows(dir, name); break;
	case 12: write_directly(dir, name, size); break;
	case 13: did("set aside", fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)size, (off_t)length)); break;
	case 14: give_list(fd); break;
	case 15: move(dir, name); break;
	case 16:
		fresh = new_name("fresh");
		if (make_file(dir, fresh, length))
			did("replace", renameat(dir, fresh, dir, name));
		break;
	case 17:
		fresh = new_name("fresh");
		if (make_file(dir, fresh, length))
			did("exchange", renameat2(dir, fresh, dir, name, RENAME_EXCHANGE));
		break;
	case 18: did("mode", fchmod(fd, 0400 | (mode_t)below(04000))); break;
	case 19: remove_opened(dir, name, fd); break;
	case 20: did("zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)below(size), (off_t)length)); break;
	case 21: did("empty", ftruncate(fd, 0)); break;
	case 22: give_attribute(fd, "trusted.changed"); break;
	default: did("overwrite all", pwrite(fd, some(size < BYTES_MAX ? size : BYTES_MAX), size < BYTES_MAX ? size : BYTES_MAX, 0));
	}
	done(fd, below(3) == 0);
}

/* A symlink, or a node of another kind. */
static void change_other(int dir, const char *name)
{
	const char *fresh;

	switch (turn++ % 4) {
	case 0: did("remove", unlinkat(dir, name, 0)); break;
	case 1:
		fresh = new_name("fresh");
		if (did("symlink", symlinkat("somewhere/else", dir, fresh)))
			did("replace", renameat(dir, fresh, dir, name));
		break;
	case 2: set_what_stat_shows(dir, name); break;
	default: did("rename", renameat(dir, name, dir, new_name("renamed")));
	}
}

/* Gives a directory one of each kind. */
static void make_all(int dir)
{
	const char *name;
	int made, i;

	make_file(dir, new_name("empty"), 0);
	make_file(dir, new_name("inline"), 1 + below(200));
	make_file(dir, new_name("small"), 1 + below(9000));
	make_file(dir, new_name("large"), 60000 + below(BYTES_MAX - 60000));
	did("symlink", symlinkat("to/nothing", dir, new_name("symlink")));
	did("pipe", mkfifoat(dir, new_name("pipe"), 0644));
	did("device", mknodat(dir, new_name("device"), S_IFCHR | 0600, 0x0103));
	give_attribute(dir, "user.directory");
	name = new_name("dir");
	if (!did("directory", mkdirat(dir, name, 02755)))
		return;
	made = openat(dir, name, O_RDONLY | O_DIRECTORY);
	sure(made, name);
	for (i = 0; i < 5; i++)
		make_file(made, new_name("file"), below(i * 3000));
	done(made, 1);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted; ends with NULL. Nothing is freed: it ends soon. */
static char **names_of(int dir)
{
	char **names = calloc(NAMES_MAX + 1, sizeof *names);
	DIR *list = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY));
	struct dirent *entry;
	size_t n = 0;

	sure(list && names ? 0 : -1, "opendir");
	while (n < NAMES_MAX && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names[n++] = strdup(entry->d_name);
	closedir(list);
	qsort(names, n, sizeof *names, by_name);
	return names;
}

static void remove_all(int parent, const char *name)
{
	int dir = openat(parent, name, O_RDONLY | O_DIRECTORY);
	char **names;
	struct stat status;

	sure(dir, name);
	for (names = names_of(dir); *names; names++) {
		sure(fstatat(dir, *names, &status, AT_SYMLINK_NOFOLLOW), *names);
		if (S_ISDIR(status.st_mode))
			remove_all(dir, *names);
		else
			did("remove", unlinkat(dir, *names, 0));
	}
	close(dir);
	did("remove directory", unlinkat(parent, name, AT_REMOVEDIR));
}

static void change_all(int dir, int depth)
{
	char **names;
	struct stat status;
	static unsigned directories;

	for (names = names_of(dir); *names; names++) {
		sure(fstatat(dir, *names, &status, AT_SYMLINK_NOFOLLOW), *names);
		if (S_ISREG(status.st_mode)) {
			change_file(dir, *names, (size_t)status.st_size);
		} else if (S_ISDIR(status.st_mode)) {
			int inner = openat(dir, *names, O_RDONLY | O_DIRECTORY);

			sure(inner, *names);
			change_all(inner, depth + 1);
			close(inner);
			if (depth == 0)
				continue; /* subvolumes stand here */
			directories++;
			if (directories % REMOVED_EVERY == 0)
				remove_all(dir, *names);
			else if (directories % RENAMED_EVERY == 0)
				did("rename directory", renameat(dir, *names, dir, new_name("renamed")));
		} else {
			change_other(dir, *names);
		}
	}
	if (depth <= DEPTH_FILLED || below(8) == 0)
		make_all(dir);
}

int main(int argc, char **argv)
{
	int i;

	if (argc != 3)
		return 2;
	seed = strtoull(argv[2], NULL, 10);
	state = (seed + 1) * 0x9e3779b97f4a7c15;
	turn = (unsigned)seed;
	top = open(argv[1], O_RDONLY | O_DIRECTORY);
	sure(top, argv[1]);
	change_all(top, 0);
	for (i = 0; kinds[i]; i++)
		printf("%s %d\n", kinds[i], counts[i]);
	return 0;
}

/*
 * Makes files, fills them, and looks at them.
 */
#include "harness.h"

#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

const char *const type_names[TYPES] = {"file", "directory", "symlink", "fifo", "socket", "device"};

int types_here(void)
{
	return is_root ? TYPES : DEVICE;
}

/* A call on a path, as it is shown when it fails. */
static long must(struct place place, const char *call, const char *path, long result)
{
	char text[320];

	if (result != -1)
		return result;
	snprintf(text, sizeof text, "%s(\"%.200s\")", call, path);
	return check_ok(place, text, result);
}

void make_file_(struct place place, const char *path, mode_t mode)
{
	close(must(place, "open", path, open(path, O_CREAT | O_EXCL | O_WRONLY, mode)));
}

void make_dir_(struct place place, const char *path, mode_t mode)
{
	must(place, "mkdir", path, mkdir(path, mode));
}

int open_new_(struct place place, const char *path)
{
	return must(place, "open", path, open(path, O_CREAT | O_EXCL | O_RDWR, 0644));
}

void write_text_(struct place place, const char *path, const char *text)
{
	int fd = must(place, "open", path, open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644));

	check_equal(place, "write of a text", strlen(text), must(place, "write", path, write(fd, text, strlen(text))));
	must(place, "close", path, close(fd));
}

const char *text_of_(struct place place, const char *path)
{
	static char text[4096];
	int fd = must(place, "open", path, open(path, O_RDONLY));
	long length = must(place, "read", path, read(fd, text, sizeof text - 1));

	text[length] = 0;
	close(fd);
	return text;
}

struct stat stat_of_(struct place place, const char *path)
{
	struct stat status;

	must(place, "lstat", path, lstat(path, &status));
	return status;
}

struct stat fstat_of_(struct place place, int fd)
{
	struct stat status;

	check_ok(place, "fstat", fstat(fd, &status));
	return status;
}

bool exists_(struct place place, const char *path)
{
	struct stat status;
	int result = lstat(path, &status);

	if (result && errno != ENOENT)
		must(place, "lstat", path, result);
	return result == 0;
}

/* The byte at an offset: no two blocks of 4 KiB are alike, and none is zero. */
static unsigned char pattern_at(off_t offset, unsigned seed)
{
	uint64_t mixed = (offset / 8 + 1) * 0x9e3779b97f4a7c15u + seed * 0xc2b2ae3d27d4eb4fu;

	mixed ^= mixed >> 29;
	return (mixed >> 8 * (offset & 7)) | 1;
}

void fill_pattern(void *buffer, off_t offset, size_t size, unsigned seed)
{
	unsigned char *bytes = buffer;

	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern_at(offset + i, seed);
}

static unsigned char chunk[256 * KIB], wanted[256 * KIB];

void write_pattern_(struct place place, int fd, off_t offset, size_t size, unsigned seed)
{
	for (size_t done = 0; done < size;) {
		size_t length = size - done < sizeof chunk ? size - done : sizeof chunk;

		fill_pattern(chunk, offset + done, length, seed);
		done += check_ok(place, "pwrite", pwrite(fd, chunk, length, offset + done));
	}
}

/* Reads all of a part, which must be there. */
static void read_part(struct place place, int fd, off_t offset, size_t size)
{
	for (size_t done = 0; done < size;) {
		long length = check_ok(place, "pread", pread(fd, chunk + done, size - done, offset + done));

		if (length == 0)
			check_equal(place, "the file's end as read", offset + size, offset + done);
		done += length;
	}
}

void expect_pattern_(struct place place, int fd, off_t offset, size_t size, unsigned seed)
{
	char what[96];

	for (size_t done = 0; done < size; done += sizeof chunk) {
		size_t length = size - done < sizeof chunk ? size - done : sizeof chunk;

		read_part(place, fd, offset + done, length);
		fill_pattern(wanted, offset + done, length, seed);
		snprintf(what, sizeof what, "the file from %ld on (pattern %u)", (long)(offset + done), seed);
		check_bytes(place, what, wanted, chunk, length);
	}
}

void expect_zeros_(struct place place, int fd, off_t offset, size_t size)
{
	char what[96];

	for (size_t done = 0; done < size; done += sizeof chunk) {
		size_t length = size - done < sizeof chunk ? size - done : sizeof chunk;

		read_part(place, fd, offset + done, length);
		snprintf(what, sizeof what, "the file from %ld on", (long)(offset + done));
		check_zeros(place, what, chunk, length);
	}
}

static void make_socket(struct place place, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = must(place, "socket", path, socket(AF_UNIX, SOCK_STREAM, 0));

	if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= (int)sizeof address.sun_path)
		fail(place, "a path that a socket's address takes", path);
	must(place, "bind", path, bind(fd, (struct sockaddr *)&address, sizeof address));
	close(fd);
}

void make_of_type_(struct place place, enum type type, const char *path)
{
	switch (type) {
	case FILE_:
		make_file_(place, path, 0644);
		break;
	case DIRECTORY:
		make_dir_(place, path, 0755);
		break;
	case SYMLINK:
		must(place, "symlink", path, symlink("nowhere", path));
		break;
	case FIFO:
		must(place, "mkfifo", path, mkfifo(path, 0644));
		break;
	case SOCKET:
		make_socket(place, path);
		break;
	case DEVICE:
		must(place, "mknod", path, mknod(path, S_IFCHR | 0644, makedev(1, 3)));
		break;
	case TYPES:
		break;
	}
}

int entries_of_(struct place place, const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	must(place, "opendir", path, directory ? 0 : -1);
	errno = 0;
	for (struct dirent *entry; (entry = readdir(directory));)
		count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	must(place, "readdir", path, errno ? -1 : 0);
	closedir(directory);
	return count;
}

int longest_name(void)
{
	struct statvfs space;

	check_ok(HERE, "statvfs", statvfs(".", &space));
	check_true(HERE, "names may have 255 to 2000 bytes", space.f_namemax >= 255 && space.f_namemax <= 2000);
	return space.f_namemax;
}

void drop_pages_(struct place place, int fd)
{
	check_ok(place, "fsync", fsync(fd));
	check_equal(place, "posix_fadvise(POSIX_FADV_DONTNEED)", 0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}

/* A server in userspace may take its time from a clock of milliseconds. */
#define CLOCK_SLACK_NS 2000000L

static long ns_between(struct timespec from, struct timespec to)
{
	return (to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec;
}

/* The clock that Linux's filesystems take their times from; it stands still between ticks. */
static struct timespec coarse_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME_COARSE, &time);
	return time;
}

void tick(void)
{
	struct timespec before = coarse_time();

	do
		pause_ms(10);
	while (ns_between(before, coarse_time()) < 2 * CLOCK_SLACK_NS);
}

struct watch watch_(struct place place, const char *path)
{
	struct watch watched = {.path = path, .before = stat_of_(place, path)};

	tick();
	watched.since = coarse_time();
	return watched;
}

const char *changed_(struct place place, const struct watch *watched)
{
	static char letters[4];
	struct stat after = stat_of_(place, watched->path);
	struct timespec now, before[] = {watched->before.st_atim, watched->before.st_mtim, watched->before.st_ctim};
	struct timespec times[] = {after.st_atim, after.st_mtim, after.st_ctim};
	int count = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	for (int i = 0; i < 3; i++) {
		if (ns_between(before[i], times[i]) == 0)
			continue;
		letters[count++] = "amc"[i];
		if (ns_between(watched->since, times[i]) < -CLOCK_SLACK_NS || ns_between(times[i], now) < 0) {
			char text[96];

			snprintf(text, sizeof text, "%ctime is %ld ns after the call began, %ld ns before it ended", "amc"[i],
				 ns_between(watched->since, times[i]), ns_between(times[i], now));
			fail(place, "the new time is the time of the call", text);
		}
	}
	letters[count] = 0;
	return letters;
}

uint32_t random_below(uint32_t *state, uint32_t bound)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint64_t)(*state >> 8) * bound >> 24;
}

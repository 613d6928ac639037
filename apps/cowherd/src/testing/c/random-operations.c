/*
 * random-operations DIRECTORY MODELS SEED OPERATIONS PROCESSES
 *
 * Each of the processes works on a file of its own in DIRECTORY, with as many operations at random, and compares what it reads with
 * a model in memory: read, write, append, mapped memory, truncate, fallocate in all its modes, copies within the file, seeking of
 * data and holes, sync, another descriptor, another name. In the end the models lie in MODELS under the names of the files, to be
 * compared when the volume has been mounted again. At the first difference a process says what came before, and the exit status
 * is 1.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE_MAX_BYTES (768 << 10)
#define SPAN_MAX_BYTES (96 << 10)
#define LOG_LINES 20
#define LINE_BYTES 100
#define PATH_BYTES 4096

static uint8_t model[SIZE_MAX_BYTES], buffer[SIZE_MAX_BYTES];
static size_t size;
static char path[PATH_BYTES], other_path[PATH_BYTES];
static int fd = -1;
static uint64_t state;
static char lines[LOG_LINES][LINE_BYTES];
static long done;

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

static void note(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(lines[done % LOG_LINES], LINE_BYTES, format, values);
	va_end(values);
}

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
	int error = errno;
	va_list values;
	long i;

	for (i = done < LOG_LINES ? 0 : done - LOG_LINES + 1; i <= done; i++)
		fprintf(stderr, "%s %ld: %s\n", path, i, lines[i % LOG_LINES]);
	fprintf(stderr, "%s: ", path);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fprintf(stderr, " (%s)\n", strerror(error));
	exit(1);
}

static void must(int holds, const char *what)
{
	if (!holds)
		fail("%s failed", what);
}

/* Places are on the edges of blocks more often than chance would have it. */
static size_t place(size_t bound)
{
	size_t at = below(bound);

	return next() % 3 ? at : at & ~(size_t)4095;
}

static size_t span(size_t at)
{
	size_t length = 1 + below(next() % 4 ? 5000 : SPAN_MAX_BYTES);

	if (next() % 3 == 0)
		length = (length + 4095) & ~(size_t)4095;
	return at + length > SIZE_MAX_BYTES ? SIZE_MAX_BYTES - at : length;
}

static void fill(uint8_t *bytes, size_t length)
{
	uint64_t word = next();
	size_t i;

	if (next() % 4 == 0) {
		memset(bytes, (int)(word & 0xff), length); /* compresses well */
		return;
	}
	for (i = 0; i < length; i++) {
		if (i % 8 == 0)
			word = next();
		bytes[i] = (uint8_t)(word >> (i % 8 * 8));
	}
}

static void grow(size_t end)
{
	if (end <= size)
		return;
	memset(model + size, 0, end - size);
	size = end;
}

static void same(const uint8_t *seen, size_t at, size_t length, const char *how)
{
	size_t i;

	if (memcmp(seen, model + at, length) == 0)
		return;
	for (i = 0; seen[i] == model[at + i]; i++)
		;
	fail("%s of %zu at %zu: byte %zu is %02x, not %02x", how, length, at, at + i, seen[i], model[at + i]);
}

static void open_again(int flags)
{
	if (fd >= 0)
		must(close(fd) == 0, "close");
	fd = open(path, O_RDWR | flags, 0644);
	must(fd >= 0, "open");
}

static void read_some(void)
{
	size_t at = place(SIZE_MAX_BYTES), length = span(at), there = at >= size ? 0 : size - at < length ? size - at : length;
	ssize_t got;

	note("read %zu at %zu of %zu", length, at, size);
	got = pread(fd, buffer, length, (off_t)at);
	if (got != (ssize_t)there)
		fail("read gave %zd, not %zu", got, there);
	same(buffer, at, there, "read");
}

static void write_some(void)
{
	size_t at = next() % 8 ? place(SIZE_MAX_BYTES) : size, length = span(at);

	if (length == 0)
		return;
	note("write %zu at %zu of %zu", length, at, size);
	grow(at + length);
	fill(model + at, length);
	must(pwrite(fd, model + at, length, (off_t)at) == (ssize_t)length, "write");
}

static void append_some(void)
{
	size_t at = size, length = span(at);
	int appending;

	if (length == 0)
		return;
	note("append %zu at %zu", length, at);
	grow(at + length);
	fill(model + at, length);
	appending = open(path, O_WRONLY | O_APPEND);
	must(appending >= 0, "open");
	must(write(appending, model + at, length) == (ssize_t)length, "append");
	must(close(appending) == 0, "close");
}

static void truncate_it(void)
{
	size_t end = place(SIZE_MAX_BYTES);

	note("truncate %zu of %zu", end, size);
	must(ftruncate(fd, (off_t)end) == 0, "ftruncate");
	grow(end);
	size = end;
}

static void map_some(int writes)
{
	size_t at = place(size), length = span(at), page = at & ~(size_t)4095;
	uint8_t *mapped;

	if (size == 0)
		return;
	if (at + length > size)
		length = size - at;
	note("%s mapped %zu at %zu of %zu", writes ? "write" : "read", length, at, size);
	mapped = mmap(NULL, at + length - page, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)page);
	must(mapped != MAP_FAILED, "mmap");
	if (writes) {
		fill(model + at, length);
		memcpy(mapped + at - page, model + at, length);
		if (next() % 2)
			must(msync(mapped, at + length - page, MS_SYNC) == 0, "msync");
	} else {
		same(mapped + at - page, at, length, "mapped read");
	}
	must(munmap(mapped, at + length - page) == 0, "munmap");
}

static void allocate(void)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[below(sizeof modes / sizeof *modes)];
	size_t at = place(SIZE_MAX_BYTES), length = span(at), end = at + length;

	if (length == 0)
		return;
	note("fallocate mode %d, %zu at %zu of %zu", mode, length, at, size);
	must(fallocate(fd, mode, (off_t)at, (off_t)length) == 0, "fallocate");
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(end);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) && at < size)
		memset(model + at, 0, (end < size ? end : size) - at);
}

static void copy_some(void)
{
	size_t from = place(size), length = span(from), to = place(SIZE_MAX_BYTES);
	loff_t in = (loff_t)from, out = (loff_t)to;

	if (from + length > size)
		length = size - from;
	if (to + length > SIZE_MAX_BYTES)
		length = SIZE_MAX_BYTES - to;
	if (length == 0 || (from < to + length && to < from + length))
		return;
	note("copy %zu from %zu to %zu of %zu", length, from, to, size);
	grow(to + length);
	memcpy(model + to, model + from, length);
	while (length > 0) {
		ssize_t copied = copy_file_range(fd, &in, fd, &out, length, 0);

		must(copied > 0, "copy_file_range");
		length -= (size_t)copied;
	}
}

/* What is said to be a hole holds zeros: also where the data is in the kernel's cache only. */
static void seek(void)
{
	size_t at = place(size), i;
	off_t hole, data;

	if (size == 0)
		return;
	note("seek from %zu of %zu", at, size);
	hole = lseek(fd, (off_t)at, SEEK_HOLE);
	if (hole < (off_t)at || hole > (off_t)size)
		fail("the hole is at %lld", (long long)hole);
	if ((size_t)hole == size) {
		errno = 0;
		return;
	}
	data = lseek(fd, hole, SEEK_DATA);
	if (data < 0) {
		must(errno == ENXIO, "SEEK_DATA");
		data = (off_t)size;
	}
	for (i = (size_t)hole; i < (size_t)data; i++)
		if (model[i])
			fail("there is data at %zu, in a hole from %lld to %lld", i, (long long)hole, (long long)data);
}

static void read_directly(void)
{
	size_t at = below(SIZE_MAX_BYTES) & ~(size_t)4095, there = at >= size ? 0 : size - at;
	static uint8_t aligned[64 << 10] __attribute__((aligned(4096)));
	int direct = open(path, O_RDONLY | O_DIRECT);
	ssize_t got;

	if (there > sizeof aligned)
		there = sizeof aligned;
	note("read directly at %zu of %zu", at, size);
	must(direct >= 0, "open directly");
	got = pread(direct, aligned, sizeof aligned, (off_t)at);
	if (got != (ssize_t)there)
		fail("direct read gave %zd, not %zu", got, there);
	same(aligned, at, there, "direct read");
	must(close(direct) == 0, "close");
}

static void write_directly(void)
{
	static uint8_t aligned[64 << 10] __attribute__((aligned(4096)));
	size_t at = below(SIZE_MAX_BYTES - sizeof aligned) & ~(size_t)4095, length = (1 + below(16)) * 4096;
	int direct = open(path, O_WRONLY | O_DIRECT);

	note("write directly %zu at %zu of %zu", length, at, size);
	must(direct >= 0, "open directly");
	fill(aligned, length);
	grow(at + length);
	memcpy(model + at, aligned, length);
	must(pwrite(direct, aligned, length, (off_t)at) == (ssize_t)length, "direct write");
	must(close(direct) == 0, "close");
}

static void rename_it(void)
{
	char kept[PATH_BYTES];

	note("rename");
	must(rename(path, other_path) == 0, "rename");
	memcpy(kept, path, sizeof kept);
	memcpy(path, other_path, sizeof kept);
	memcpy(other_path, kept, sizeof kept);
}

/* The open file loses its name, and another takes it over: nothing of the first may be seen in it. */
static void replace_it(void)
{
	note("replace %zu", size);
	must(unlink(path) == 0, "unlink");
	must(pread(fd, buffer, size, 0) == (ssize_t)size, "read of an unlinked file");
	same(buffer, 0, size, "read of an unlinked file");
	size = 0;
	open_again(O_CREAT | O_EXCL);
}

static void check_size(void)
{
	struct stat status;

	must(fstat(fd, &status) == 0, "fstat");
	if ((size_t)status.st_size != size)
		fail("the size is %lld, not %zu", (long long)status.st_size, size);
}

static void operate(void)
{
	switch (below(40)) {
	case 0 ... 8: read_some(); break;
	case 9 ... 18: write_some(); break;
	case 19: append_some(); break;
	case 20 ... 22: truncate_it(); break;
	case 23 ... 25: map_some(0); break;
	case 26 ... 28: map_some(1); break;
	case 29 ... 31: allocate(); break;
	case 32: copy_some(); break;
	case 33: seek(); break;
	case 34: read_directly(); break;
	case 35: write_directly(); break;
	case 36:
		note("sync");
		must((next() % 2 ? fsync(fd) : fdatasync(fd)) == 0, "sync");
		break;
	case 37:
		note("open again");
		open_again(0);
		break;
	case 38:
		note("forget");
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		break;
	default:
		if (next() % 8 == 0)
			replace_it();
		else
			rename_it();
	}
	check_size();
}

static void save(const char *models, int number)
{
	char to[PATH_BYTES], from[PATH_BYTES];
	FILE *file;

	snprintf(from, sizeof from, "%.*s/file-%d", (int)(strrchr(path, '/') - path), path, number);
	must(strcmp(path, from) == 0 || rename(path, from) == 0, "rename");
	snprintf(to, sizeof to, "%s/file-%d", models, number);
	file = fopen(to, "w");
	must(file && fwrite(model, 1, size, file) == size && fclose(file) == 0, "the model's own file");
}

static void work(const char *directory, const char *models, uint64_t seed, long operations, int number)
{
	state = (seed * 1000003 + (uint64_t)number + 1) * 0x9e3779b97f4a7c15;
	snprintf(path, sizeof path, "%s/file-%d", directory, number);
	snprintf(other_path, sizeof other_path, "%s/other-%d", directory, number);
	open_again(O_CREAT | O_EXCL);
	for (done = 0; done < operations; done++)
		operate();
	must(pread(fd, buffer, sizeof buffer, 0) == (ssize_t)size, "the last read");
	same(buffer, 0, size, "the last read");
	must(close(fd) == 0, "close");
	save(models, number);
}

int main(int argc, char **argv)
{
	int processes, i, status, bad = 0;

	if (argc != 6)
		return 2;
	processes = atoi(argv[5]);
	for (i = 0; i < processes; i++) {
		pid_t child = fork();

		if (child < 0)
			return 2;
		if (child == 0) {
			work(argv[1], argv[2], strtoull(argv[3], NULL, 10), atol(argv[4]), i);
			exit(0);
		}
	}
	while (wait(&status) > 0)
		bad |= status;
	return bad != 0;
}

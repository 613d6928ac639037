/* Many changes by chance to one file, which is compared with a copy in memory all the time. */
#include "harness.h"

#include <sys/mman.h>

#define SIZE_MAX_ (384 * KIB)

/* What the file should be. */
static unsigned char model[SIZE_MAX_];
static long size;
static uint32_t state;

static long any(long bound)
{
	return random_below(&state, bound);
}

static void compare(int fd)
{
	static unsigned char seen[SIZE_MAX_];

	EQ(size, fstat_of(fd).st_size);
	for (long done = 0; done < size;) {
		long length = OK(pread(fd, seen + done, size - done, done));

		CHECK(length > 0);
		done += length;
	}
	BYTES(model, seen, size);
}

static void change_size(long to)
{
	if (to > size)
		memset(model + size, 0, to - size);
	size = to;
}

static void do_write(int fd, long offset, long length, unsigned seed)
{
	if (length == 0)
		return;
	if (offset + length > size)
		change_size(offset + length);
	fill_pattern(model + offset, offset, length, seed);
	write_pattern(fd, offset, length, seed);
}

static void do_mapped_write(int fd, long offset, long length, unsigned seed)
{
	if (offset >= size)
		return;
	if (offset + length > size)
		length = size - offset;

	unsigned char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);
	fill_pattern(model + offset, offset, length, seed);
	fill_pattern(map + offset, offset, length, seed);
	BYTES(model, map, size);
	OK(munmap(map, size));
}

static void do_punch(int fd, long offset, long length)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length + 1)) {
		EQ(EOPNOTSUPP, errno);
		return;
	}
	for (long at = offset; at <= offset + length && at < size; at++)
		model[at] = 0;
}

static void run(uint32_t seed, int steps, bool mapped)
{
	int fd = open_new("f");

	state = seed;
	size = 0;
	for (int step = 0; step < steps; step++) {
		long length = any(8) ? any(10000) : any(100000), offset = any(SIZE_MAX_ - length);

		context("seed %u, step %d", seed, step);
		switch (any(10)) {
		case 0: {
			long to = any(SIZE_MAX_);

			OK(ftruncate(fd, to));
			change_size(to);
			break;
		}
		case 1:
			do_punch(fd, offset, length);
			break;
		case 2:
		case 3:
			if (mapped)
				do_mapped_write(fd, offset, length, step);
			break;
		case 4:
			compare(fd);
			break;
		case 5:
			if (!any(5))
				drop_pages(fd);
			break;
		case 6: {
			close(fd);
			fd = OK(open("f", O_RDWR));
			break;
		}
		default:
			do_write(fd, offset, length, step);
		}
	}
	compare(fd);
	drop_pages(fd);
	compare(fd);
	close(fd);
	OK(unlink("f"));
}

CASE(calls, "a file under writes, truncations and holes by chance is what it should be")
{
	for (uint32_t seed = 1; seed <= 4; seed++)
		run(seed, 400, false);
}

CASE(calls_and_mappings, "and also with writes through mappings in between")
{
	for (uint32_t seed = 11; seed <= 14; seed++)
		run(seed, 400, true);
}

/* fallocate(2): each of its modes, where the filesystem has it. */
#include "harness.h"

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* A file with a pattern, open. */
static int file_of(long size)
{
	int fd = open_new("f");

	write_pattern(fd, 0, size, 1);
	return fd;
}

static long space_of(int fd)
{
	OK(fsync(fd));
	return fstat_of(fd).st_blocks * 512;
}

CASE(reserves, "mode 0 reserves space and lengthens the file by zeros")
{
	int fd = open_new("f");

	OPTIONAL(fallocate(fd, 0, 0, MIB));
	EQ(MIB, size_of("f"));
	CHECK(space_of(fd) >= MIB);
	expect_zeros(fd, 0, MIB);
	write_pattern(fd, 4000, 10000, 1);
	drop_pages(fd);
	expect_zeros(fd, 0, 4000);
	expect_pattern(fd, 4000, 10000, 1);
	expect_zeros(fd, 14000, MIB - 14000);
}

CASE(keeps_contents, "mode 0 leaves what is there, and fills the holes between with zeros")
{
	int fd = open_new("f");

	write_pattern(fd, 10000, 5000, 1);
	write_pattern(fd, 500000, 5000, 1);
	OPTIONAL(fallocate(fd, 0, 5000, 600000));
	drop_pages(fd);
	EQ(605000, size_of("f"));
	CHECK(space_of(fd) >= 590000);
	expect_zeros(fd, 0, 10000);
	expect_pattern(fd, 10000, 5000, 1);
	expect_zeros(fd, 15000, 485000);
	expect_pattern(fd, 500000, 5000, 1);
	expect_zeros(fd, 505000, 100000);
}

CASE(never_shortens, "mode 0 within a file changes neither its size nor its bytes")
{
	int fd = file_of(100000);

	OPTIONAL(fallocate(fd, 0, 10, 1000));
	EQ(100000, size_of("f"));
	expect_pattern(fd, 0, 100000, 1);
}

CASE(keep_size, "FALLOC_FL_KEEP_SIZE reserves space beyond the end, which reads as nothing until the file grows")
{
	int fd = file_of(5000);

	OPTIONAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MIB));
	EQ(5000, size_of("f"));
	CHECK(space_of(fd) >= MIB);
	EQ(0, OK(pread(fd, (char[1]){0}, 1, 5000)));
	write_pattern(fd, 20000, 100, 2);
	EQ(20100, size_of("f"));
	OK(ftruncate(fd, 300000));
	drop_pages(fd);
	expect_pattern(fd, 0, 5000, 1);
	expect_zeros(fd, 5000, 15000);
	expect_pattern(fd, 20000, 100, 2);
	expect_zeros(fd, 20100, 279900);
}

CASE(punch, "FALLOC_FL_PUNCH_HOLE makes a hole of zeros, gives the space back, and keeps the size")
{
	int fd = file_of(MIB);
	long before = space_of(fd);

	OPTIONAL(fallocate(fd, PUNCH, 256 * KIB, 512 * KIB));
	EQ(MIB, size_of("f"));
	CHECK(space_of(fd) <= before - 448 * KIB);
	expect_pattern(fd, 0, 256 * KIB, 1);
	expect_zeros(fd, 256 * KIB, 512 * KIB);
	expect_pattern(fd, 768 * KIB, 256 * KIB, 1);
	drop_pages(fd);
	expect_pattern(fd, 0, 256 * KIB, 1);
	expect_zeros(fd, 256 * KIB, 512 * KIB);
	expect_pattern(fd, 768 * KIB, 256 * KIB, 1);
}

CASE(punch_anywhere, "a hole may begin and end within a block")
{
	static const struct {
		long offset, length;
	} holes[] = {{1, 1}, {4095, 2}, {5000, 100}, {0, 4097}, {4097, 8190}, {99999, 1}, {12345, 54321}};

	for (int i = 0; i < ARRAY_LENGTH(holes); i++)
		for (int dropped = 0; dropped < 2; dropped++) {
			long start = holes[i].offset, end = start + holes[i].length;

			context("%ld bytes at %ld", holes[i].length, start);

			int fd = file_of(100000);

			if (dropped)
				drop_pages(fd);
			OPTIONAL(fallocate(fd, PUNCH, start, holes[i].length));
			drop_pages(fd);
			expect_pattern(fd, 0, start, 1);
			expect_zeros(fd, start, holes[i].length);
			expect_pattern(fd, end, 100000 - end, 1);
			close(fd);
			OK(unlink("f"));
		}
}

CASE(punch_beyond_the_end, "a hole across or beyond the end doesn't lengthen the file")
{
	int fd = file_of(10000);

	OPTIONAL(fallocate(fd, PUNCH, 6000, MIB));
	EQ(10000, size_of("f"));
	OK(fallocate(fd, PUNCH, MIB, MIB));
	EQ(10000, size_of("f"));
	expect_pattern(fd, 0, 6000, 1);
	expect_zeros(fd, 6000, 4000);
}

CASE(punch_everything, "a file that is all hole takes no space, and can be written again")
{
	int fd = file_of(200000);

	OPTIONAL(fallocate(fd, PUNCH, 0, 200000));
	expect_zeros(fd, 0, 200000);
	CHECK(space_of(fd) <= 4096);
	write_pattern(fd, 70000, 70000, 2);
	drop_pages(fd);
	expect_zeros(fd, 0, 70000);
	expect_pattern(fd, 70000, 70000, 2);
	expect_zeros(fd, 140000, 60000);
}

CASE(punch_needs_keep_size, "FALLOC_FL_PUNCH_HOLE alone is EOPNOTSUPP")
{
	int fd = file_of(10000);

	FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	expect_pattern(fd, 0, 10000, 1);
}

CASE(zero_range, "FALLOC_FL_ZERO_RANGE makes zeros, wherever they begin, and lengthens the file if need be")
{
	int fd = file_of(100000);

	OPTIONAL(fallocate(fd, FALLOC_FL_ZERO_RANGE, 12345, 54321));
	drop_pages(fd);
	expect_pattern(fd, 0, 12345, 1);
	expect_zeros(fd, 12345, 54321);
	expect_pattern(fd, 66666, 100000 - 66666, 1);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 99000, 51000));
	EQ(150000, size_of("f"));
	drop_pages(fd);
	expect_pattern(fd, 66666, 99000 - 66666, 1);
	expect_zeros(fd, 99000, 51000);
}

CASE(zero_range_keep_size, "FALLOC_FL_ZERO_RANGE with FALLOC_FL_KEEP_SIZE doesn't lengthen the file")
{
	int fd = file_of(10000);

	OPTIONAL(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 5000, 100000));
	EQ(10000, size_of("f"));
	expect_pattern(fd, 0, 5000, 1);
	expect_zeros(fd, 5000, 5000);
	OK(ftruncate(fd, 200000));
	expect_zeros(fd, 5000, 195000);
}

CASE(collapse, "FALLOC_FL_COLLAPSE_RANGE takes a part out, and what is behind moves up")
{
	int fd = file_of(512 * KIB);
	char wanted[64 * KIB], seen[64 * KIB];

	OPTIONAL(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 64 * KIB, 128 * KIB));
	EQ(384 * KIB, size_of("f"));
	for (int pass = 0; pass < 2; pass++) {
		expect_pattern(fd, 0, 64 * KIB, 1);
		for (long at = 64 * KIB; at < 384 * KIB; at += 64 * KIB) {
			fill_pattern(wanted, at + 128 * KIB, sizeof wanted, 1);
			EQ(sizeof seen, OK(pread(fd, seen, sizeof seen, at)));
			BYTES(wanted, seen, sizeof seen);
		}
		drop_pages(fd);
	}
	FAILS(EINVAL, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 100, 4096));
	FAILS(EINVAL, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 64 * KIB, 100));
	FAILS(EINVAL, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 320 * KIB, 64 * KIB));
	FAILS_EITHER(EINVAL, EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 64 * KIB));
	EQ(384 * KIB, size_of("f"));
}

CASE(insert, "FALLOC_FL_INSERT_RANGE puts a hole in, and what was there moves down")
{
	int fd = file_of(256 * KIB);
	char wanted[64 * KIB], seen[64 * KIB];

	OPTIONAL(fallocate(fd, FALLOC_FL_INSERT_RANGE, 64 * KIB, 128 * KIB));
	EQ(384 * KIB, size_of("f"));
	for (int pass = 0; pass < 2; pass++) {
		expect_pattern(fd, 0, 64 * KIB, 1);
		expect_zeros(fd, 64 * KIB, 128 * KIB);
		for (long at = 192 * KIB; at < 384 * KIB; at += 64 * KIB) {
			fill_pattern(wanted, at - 128 * KIB, sizeof wanted, 1);
			EQ(sizeof seen, OK(pread(fd, seen, sizeof seen, at)));
			BYTES(wanted, seen, sizeof seen);
		}
		drop_pages(fd);
	}
	FAILS(EINVAL, fallocate(fd, FALLOC_FL_INSERT_RANGE, 100, 4096));
	FAILS(EINVAL, fallocate(fd, FALLOC_FL_INSERT_RANGE, 384 * KIB, 64 * KIB));
	FAILS_EITHER(EINVAL, EOPNOTSUPP, fallocate(fd, FALLOC_FL_INSERT_RANGE | FALLOC_FL_COLLAPSE_RANGE, 0, 64 * KIB));
}

CASE(unshare, "FALLOC_FL_UNSHARE_RANGE leaves the bytes as they are")
{
	int fd = file_of(100000);

	OPTIONAL(fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 50000));
	drop_pages(fd);
	EQ(100000, size_of("f"));
	expect_pattern(fd, 0, 100000, 1);
}

CASE(refusals, "empty and negative ranges, descriptors that can't be written, other types of files")
{
	int fd = file_of(10000), reading = OK(open("f", O_RDONLY));

	OPTIONAL(fallocate(fd, 0, 0, 1));
	FAILS(EINVAL, fallocate(fd, 0, 0, 0));
	FAILS(EINVAL, fallocate(fd, 0, -1, 10));
	FAILS(EINVAL, fallocate(fd, 0, 0, -1));
	FAILS(EBADF, fallocate(reading, 0, 0, 10));
	FAILS(EBADF, fallocate(reading, PUNCH, 0, 10));
	FAILS(EFBIG, fallocate(fd, 0, INT64_MAX - 5, 10));
	FAILS(EOPNOTSUPP, fallocate(fd, 1 << 20, 0, 10));
	OK(mkfifo("p", 0644));

	int fifo = OK(open("p", O_RDWR));

	FAILS(ESPIPE, fallocate(fifo, 0, 0, 10));
	EQ(10000, size_of("f"));
	expect_pattern(fd, 0, 10000, 1);
}

CASE(posix_fallocate, "posix_fallocate lengthens a file everywhere")
{
	int fd = file_of(5000);

	EQ(0, posix_fallocate(fd, 3000, 50000));
	EQ(53000, size_of("f"));
	expect_pattern(fd, 0, 5000, 1);
	expect_zeros(fd, 5000, 48000);
	EQ(EINVAL, posix_fallocate(fd, 0, -1));
}

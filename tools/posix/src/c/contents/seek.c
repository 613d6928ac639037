/*
 * lseek(2) with SEEK_DATA and SEEK_HOLE: where a file has data. Holes are at least 1 MiB here, so that every filesystem
 * sees them.
 */
#include "harness.h"

/* A hole's edges are known to the block: so much may count as data around what was written. */
#define BLOCK (64 * KIB)

/* Data begin at `offset`, or in a block that begins a little before. */
#define EXPECT_DATA(fd, from, offset)                                                              \
	do {                                                                                       \
		long seen_ = OK(lseek(fd, from, SEEK_DATA));                                       \
		CHECK(seen_ >= (from));                                                            \
		CHECK(seen_ <= (offset));                                                          \
		CHECK(seen_ > (offset) - BLOCK);                                                   \
	} while (0)
/* A hole begins at `offset`, or at the end of a block a little behind. */
#define EXPECT_HOLE(fd, from, offset)                                                              \
	do {                                                                                       \
		long seen_ = OK(lseek(fd, from, SEEK_HOLE));                                       \
		CHECK(seen_ >= (offset));                                                          \
		CHECK(seen_ < (offset) + BLOCK);                                                   \
	} while (0)

CASE(no_holes, "a file without holes is data up to its end, where a hole begins")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 10000, 1);
	for (int pass = 0; pass < 2; pass++) {
		EQ(0, OK(lseek(fd, 0, SEEK_DATA)));
		EQ(5000, OK(lseek(fd, 5000, SEEK_DATA)));
		EQ(9999, OK(lseek(fd, 9999, SEEK_DATA)));
		EQ(10000, OK(lseek(fd, 0, SEEK_HOLE)));
		EQ(10000, OK(lseek(fd, 9999, SEEK_HOLE)));
		OK(fsync(fd));
	}
}

CASE(end, "at the end and beyond there is nothing: ENXIO")
{
	int fd = open_new("f");

	FAILS(ENXIO, lseek(fd, 0, SEEK_DATA));
	FAILS(ENXIO, lseek(fd, 0, SEEK_HOLE));
	write_pattern(fd, 0, 100, 1);
	FAILS(ENXIO, lseek(fd, 100, SEEK_DATA));
	FAILS(ENXIO, lseek(fd, 100, SEEK_HOLE));
	FAILS(ENXIO, lseek(fd, 5000, SEEK_HOLE));
	EQ(0, OK(lseek(fd, 0, SEEK_CUR)));
}

CASE(hole_first, "a file that begins with a hole")
{
	int fd = open_new("f");

	write_pattern(fd, 2 * MIB, 10000, 1);
	for (int pass = 0; pass < 2; pass++) {
		EXPECT_DATA(fd, 0, 2 * MIB);
		EXPECT_DATA(fd, MIB, 2 * MIB);
		EQ(0, OK(lseek(fd, 0, SEEK_HOLE)));
		EQ(MIB, OK(lseek(fd, MIB, SEEK_HOLE)));
		EQ(2 * MIB + 10000, OK(lseek(fd, 2 * MIB, SEEK_HOLE)));
		EQ(2 * MIB + 5, OK(lseek(fd, 2 * MIB + 5, SEEK_DATA)));
		OK(fsync(fd));
	}
}

CASE(hole_between, "a hole between data")
{
	int fd = open_new("f");

	write_pattern(fd, 0, BLOCK, 1);
	write_pattern(fd, 4 * MIB, BLOCK, 1);
	for (int pass = 0; pass < 2; pass++) {
		EQ(0, OK(lseek(fd, 0, SEEK_DATA)));
		EXPECT_HOLE(fd, 0, BLOCK);
		EXPECT_DATA(fd, MIB, 4 * MIB);
		EQ(MIB, OK(lseek(fd, MIB, SEEK_HOLE)));
		EQ(4 * MIB + BLOCK, OK(lseek(fd, 4 * MIB, SEEK_HOLE)));
		drop_pages(fd);
	}
}

CASE(hole_last, "a hole at the end has no data behind it")
{
	int fd = open_new("f");

	write_pattern(fd, 0, BLOCK, 1);
	OK(ftruncate(fd, 4 * MIB));
	for (int pass = 0; pass < 2; pass++) {
		EXPECT_HOLE(fd, 0, BLOCK);
		FAILS(ENXIO, lseek(fd, MIB, SEEK_DATA));
		EQ(MIB, OK(lseek(fd, MIB, SEEK_HOLE)));
		drop_pages(fd);
	}
}

CASE(nothing_but_hole, "a file that was only lengthened is a hole")
{
	int fd = open_new("f");

	OK(ftruncate(fd, 4 * MIB));
	FAILS(ENXIO, lseek(fd, 0, SEEK_DATA));
	EQ(0, OK(lseek(fd, 0, SEEK_HOLE)));
	EQ(4 * MIB - 1, OK(lseek(fd, 4 * MIB - 1, SEEK_HOLE)));
}

CASE(punched, "a hole that was punched is one")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 4 * MIB, 1);
	OK(fsync(fd));
	OPTIONAL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 2 * MIB));
	EXPECT_HOLE(fd, 0, MIB);
	EXPECT_DATA(fd, MIB + BLOCK, 3 * MIB);
	EQ(4 * MIB, OK(lseek(fd, 3 * MIB, SEEK_HOLE)));
}

CASE(offset, "the offset moves to what was found, and stays when nothing was")
{
	int fd = open_new("f");

	write_pattern(fd, 2 * MIB, 10000, 1);

	long found = OK(lseek(fd, 0, SEEK_DATA));

	EQ(found, OK(lseek(fd, 0, SEEK_CUR)));
	FAILS(ENXIO, lseek(fd, 3 * MIB, SEEK_DATA));
	EQ(found, OK(lseek(fd, 0, SEEK_CUR)));
	EQ(2 * MIB + 10000, OK(lseek(fd, 2 * MIB, SEEK_HOLE)));
	EQ(0, OK(read(fd, (char[1]){0}, 1)));
}

CASE(by_chance, "walking from data to hole to data finds everything that was written")
{
	uint32_t state = 1;
	static char bytes[BLOCK];

	for (int round = 0; round < 5; round++) {
		long size = 8 * MIB, at = 0, written = 0, walked = 0, end = 0;
		int fd = open_new("f");

		OK(ftruncate(fd, size));
		for (int i = 0; i < 8; i++) {
			long offset = random_below(&state, size - BLOCK), length = 1 + random_below(&state, BLOCK);

			write_pattern(fd, offset, length, 1);
		}
		for (long offset = 0; offset < size; offset += BLOCK) {
			OK(pread(fd, bytes, BLOCK, offset));
			for (long i = 0; i < BLOCK; i++)
				written += bytes[i] != 0;
		}
		for (int steps = 0; at < size; steps++) {
			CHECK(steps < 1000);
			at = lseek(fd, end, SEEK_DATA);
			if (at < 0) {
				EQ(ENXIO, errno);
				break;
			}
			CHECK(at >= end);
			end = OK(lseek(fd, at, SEEK_HOLE));
			CHECK(end > at);
			for (long offset = at; offset < end; offset += BLOCK) {
				long length = end - offset < BLOCK ? end - offset : BLOCK;

				EQ(length, OK(pread(fd, bytes, length, offset)));
				for (long i = 0; i < length; i++)
					walked += bytes[i] != 0;
			}
			at = end;
		}
		EQ(written, walked);
		close(fd);
		OK(unlink("f"));
	}
}

/* copy_file_range(2), and FICLONE where the filesystem has it. */
#include "harness.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

/* Copies all, in as many calls as it takes. */
static void copy_all(int from, long from_offset, int to, long to_offset, long size)
{
	loff_t in = from_offset, out = to_offset;

	for (long done = 0; done < size;) {
		long length = OPTIONAL(copy_file_range(from, &in, to, &out, size - done, 0));

		CHECK(length > 0);
		done += length;
		EQ(from_offset + done, in);
		EQ(to_offset + done, out);
	}
}

/* A part of `fd` is the pattern from `origin` on. */
static void expect_moved(int fd, long offset, long size, long origin, unsigned seed)
{
	char *wanted = malloc(size), *seen = malloc(size);

	fill_pattern(wanted, origin, size, seed);
	EQ(size, OK(pread(fd, seen, size, offset)));
	BYTES(wanted, seen, size);
	free(wanted);
	free(seen);
}

CASE(whole, "a whole file is copied, also one that was just written")
{
	int from = open_new("f"), to = open_new("g");

	write_pattern(from, 0, 4 * MIB + 123, 1);
	copy_all(from, 0, to, 0, 4 * MIB + 123);
	EQ(4 * MIB + 123, size_of("g"));
	expect_pattern(to, 0, 4 * MIB + 123, 1);
	drop_pages(to);
	expect_pattern(to, 0, 4 * MIB + 123, 1);
	expect_pattern(from, 0, 4 * MIB + 123, 1);
}

CASE(parts, "parts are copied from anywhere to anywhere, and what is around them stays")
{
	static const struct {
		long from, to, size;
	} parts[] = {{0, 1, 10}, {5000, 100, 4096}, {4096, 8192, 4096}, {12345, 54321, 33333}, {1, 99990, 10}};

	for (int i = 0; i < ARRAY_LENGTH(parts); i++) {
		long start = parts[i].to, end = start + parts[i].size;

		context("%ld bytes from %ld to %ld", parts[i].size, parts[i].from, start);

		int from = open_new("f"), to = open_new("g");

		write_pattern(from, 0, 100000, 1);
		write_pattern(to, 0, 100000, 2);
		copy_all(from, parts[i].from, to, start, parts[i].size);
		drop_pages(to);
		EQ(100000, size_of("g"));
		expect_pattern(to, 0, start, 2);
		expect_moved(to, start, parts[i].size, parts[i].from, 1);
		expect_pattern(to, end, 100000 - end, 2);
		close(from);
		close(to);
		OK(unlink("f"));
		OK(unlink("g"));
	}
}

CASE(own_offsets, "without offsets given, those of the files are used and moved")
{
	int from = open_new("f"), to = open_new("g");

	write_pattern(from, 0, 10000, 1);
	OK(lseek(from, 4000, SEEK_SET));
	OK(lseek(to, 100, SEEK_SET));
	for (long done = 0; done < 5000;)
		done += OPTIONAL(copy_file_range(from, NULL, to, NULL, 5000 - done, 0));
	EQ(9000, OK(lseek(from, 0, SEEK_CUR)));
	EQ(5100, OK(lseek(to, 0, SEEK_CUR)));
	EQ(5100, size_of("g"));
	expect_zeros(to, 0, 100);
	expect_moved(to, 100, 5000, 4000, 1);
}

CASE(at_the_end, "copying stops at the end of the file, and gives 0 there")
{
	int from = open_new("f"), to = open_new("g");
	loff_t in = 4000, out = 0;

	write_pattern(from, 0, 5000, 1);
	EQ(1000, OPTIONAL(copy_file_range(from, &in, to, &out, 100000, 0)));
	EQ(0, OK(copy_file_range(from, &in, to, &out, 100000, 0)));
	in = 1000000;
	EQ(0, OK(copy_file_range(from, &in, to, &out, 10, 0)));
	in = 0;
	EQ(0, OK(copy_file_range(from, &in, to, &out, 0, 0)));
	EQ(1000, size_of("g"));
}

CASE(beyond_the_end, "copying to beyond the end leaves a hole before it")
{
	int from = open_new("f"), to = open_new("g");

	write_pattern(from, 0, 5000, 1);
	write_pattern(to, 0, 100, 2);
	copy_all(from, 0, to, 70000, 5000);
	EQ(75000, size_of("g"));
	expect_pattern(to, 0, 100, 2);
	expect_zeros(to, 100, 69900);
	expect_moved(to, 70000, 5000, 0, 1);
}

CASE(within_a_file, "a file's parts can be copied to other parts of it, unless they overlap")
{
	int fd = open_new("f");
	loff_t in = 0, out = 1000;

	write_pattern(fd, 0, 100000, 1);
	copy_all(fd, 0, fd, 200000, 50000);
	expect_pattern(fd, 0, 100000, 1);
	expect_moved(fd, 200000, 50000, 0, 1);
	FAILS(EINVAL, copy_file_range(fd, &in, fd, &out, 2000, 0));
	in = 1000;
	out = 0;
	FAILS(EINVAL, copy_file_range(fd, &in, fd, &out, 2000, 0));
	FAILS(EINVAL, copy_file_range(fd, &in, fd, &in, 10, 0));
	expect_pattern(fd, 0, 100000, 1);
}

CASE(independent, "original and copy go their own ways afterwards")
{
	int from = open_new("f"), to = open_new("g");

	write_pattern(from, 0, 200000, 1);
	copy_all(from, 0, to, 0, 200000);
	write_pattern(from, 50000, 10000, 2);
	write_pattern(to, 100000, 10000, 3);
	OK(ftruncate(from, 60000));
	drop_pages(from);
	drop_pages(to);
	expect_pattern(from, 0, 50000, 1);
	expect_pattern(from, 50000, 10000, 2);
	expect_pattern(to, 0, 100000, 1);
	expect_pattern(to, 100000, 10000, 3);
	expect_pattern(to, 110000, 90000, 1);
	OK(unlink("f"));
	close(from);
	expect_pattern(to, 0, 100000, 1);
}

CASE(holes, "holes are copied as zeros")
{
	int from = open_new("f"), to = open_new("g");

	write_pattern(from, 300000, 1000, 1);
	OK(ftruncate(from, 600000));
	write_pattern(to, 0, 600000, 2);
	copy_all(from, 0, to, 0, 600000);
	drop_pages(to);
	expect_zeros(to, 0, 300000);
	expect_pattern(to, 300000, 1000, 1);
	expect_zeros(to, 301000, 299000);
}

CASE(refusals, "flags, descriptors that can't be read or written, other types of files")
{
	int from = open_new("f"), to = open_new("g");
	loff_t in = 0, out = 0;

	write_pattern(from, 0, 100, 1);
	OPTIONAL(copy_file_range(from, &in, to, &out, 10, 0));

	int reading = OK(open("g", O_RDONLY)), writing = OK(open("f", O_WRONLY));
	int appending = OK(open("g", O_WRONLY | O_APPEND)), directory = OK(open(".", O_RDONLY));

	OK(mkfifo("p", 0644));

	int fifo = OK(open("p", O_RDWR));

	FAILS(EINVAL, copy_file_range(from, NULL, to, NULL, 10, 0x8000));
	FAILS(EBADF, copy_file_range(from, NULL, reading, NULL, 10, 0));
	FAILS(EBADF, copy_file_range(writing, NULL, to, NULL, 10, 0));
	FAILS(EBADF, copy_file_range(from, NULL, appending, NULL, 10, 0));
	FAILS(EISDIR, copy_file_range(directory, NULL, to, NULL, 10, 0));
	FAILS(EINVAL, copy_file_range(from, NULL, fifo, NULL, 10, 0));
	FAILS(EINVAL, copy_file_range(fifo, NULL, to, NULL, 10, 0));
	EQ(10, size_of("g"));
}

CASE(clone, "FICLONE makes a copy that goes its own way (where the filesystem shares data)")
{
	int from = open_new("f"), to = open_new("g");

	write_pattern(from, 0, 200000, 1);
	write_pattern(to, 0, 10, 2);
	OPTIONAL_OR(ENOTTY, ioctl(to, FICLONE, from));
	EQ(200000, size_of("g"));
	write_pattern(from, 5000, 5000, 3);
	drop_pages(to);
	expect_pattern(to, 0, 200000, 1);
	write_pattern(to, 100000, 10, 2);
	expect_pattern(from, 100000, 100000, 1);
}

CASE(clone_range, "FICLONERANGE shares a part of a file (where the filesystem shares data)")
{
	int from = open_new("f"), to = open_new("g");
	struct file_clone_range range = {
		.src_fd = from,
		.src_offset = 64 * KIB,
		.src_length = 64 * KIB,
		.dest_offset = 128 * KIB,
	};

	write_pattern(from, 0, 256 * KIB, 1);
	write_pattern(to, 0, 256 * KIB, 2);
	OPTIONAL_OR(ENOTTY, ioctl(to, FICLONERANGE, &range));
	drop_pages(to);
	expect_pattern(to, 0, 128 * KIB, 2);
	expect_moved(to, 128 * KIB, 64 * KIB, 64 * KIB, 1);
	expect_pattern(to, 192 * KIB, 64 * KIB, 2);
}
